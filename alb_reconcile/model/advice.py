"""Writes the commands that messages advise, with the options by which this process reaches AWS."""

import shlex
from collections.abc import Iterable
from typing import Final

_KEYS: Final = "AWS_ACCESS_KEY_ID=sandbox AWS_SECRET_ACCESS_KEY=sandbox AWS_DEFAULT_REGION=us-east-1 "
_reach: list[tuple[str, ...]] = []


def reach_with(options: Iterable[tuple[str, ...]]) -> None:
    """Set the options that advised commands have from now on, each with its value. The command line calls this once, at its start;
    for users of the Python API there are no options."""
    _reach[:] = options


def advised(name: str, *words: str | tuple[str, ...]) -> str:
    """A command of this tool that calls AWS, as a user types it: with the options of `reach_with` that aren't among the words."""
    given = {word[0] for word in words if isinstance(word, tuple) and word}
    return typed("alb-reconcile", *name.split(), *(option for option in _reach if option[0] not in given), *words)


def typed(*words: str | tuple[str, ...]) -> str:
    """A command of raw words, as a shell takes it, without empty words. An option and its value are a tuple; no other word is an option."""
    plain: list[str] = []
    for word in filter(None, words):
        if isinstance(word, str):
            plain.append(f"./{word}" if word[0] == "-" else word)
        else:
            plain += ["=".join(word)] if word[-1][:1] == "-" else word
    return shlex.join(plain)


def advised_aws(words: Iterable[str], endpoint: str) -> str:
    """A command of the AWS CLI for an endpoint, with the sandbox's credentials for the sandbox; an empty endpoint is AWS's own."""
    at = ("--endpoint-url", endpoint) if endpoint else ()
    return f"{_KEYS if at and ('--sandbox',) in _reach else ''}{typed('aws', *words, at)}"
