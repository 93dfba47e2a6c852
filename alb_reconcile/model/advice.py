"""Commands that messages advise, with the options by which this process reaches AWS."""

from collections.abc import Iterable
from typing import Final

_KEYS: Final = "AWS_ACCESS_KEY_ID=sandbox AWS_SECRET_ACCESS_KEY=sandbox AWS_DEFAULT_REGION=us-east-1 "
_reach: list[str] = []


def reach_with(options: Iterable[str]) -> None:
    """From now on commands that are advised have these options, each with its value. The command line says it once, at its start;
    for users of the Python API there are none."""
    _reach[:] = options


def advised(name: str, *words: str) -> str:
    """The command of that name, one that asks AWS, as it is typed here: with the options of `reach_with` that aren't among the words.
    The words are as a shell takes them."""
    given = " ".join(words).split()
    reach = [option for option in _reach if option.split()[0] not in given]
    return " ".join(["alb-reconcile", name, *reach, *filter(None, words)])


def advised_aws(words: str, endpoint: str) -> str:
    """A command of the AWS CLI that asks there, with the sandbox's credentials where that is asked; an empty endpoint is AWS's own."""
    at = f" --endpoint-url {endpoint}" if endpoint else ""
    return f"{_KEYS if at and '--sandbox' in _reach else ''}aws {words}{at}"
