"""Commands that are advised, with the options by which AWS was reached."""

import re
from collections.abc import Iterable
from typing import Final

_ADVISED: Final = re.compile(
    r"\b(alb-reconcile (?:adopt|apply|destroy|export|graph|history|move|plan|release|report|stacks|status|sync|verify"
    r"|lock (?:break|show)|fleet [a-z]+)(?![\w-]))(?! \(| without )((?:\s+--?[a-z][a-z-]*(?: [^-\s`]\S*)?)*)"
)
"""A command that asks AWS, with the options that follow; not where a run is named that holds a stack."""


def with_options(text: str, options: Iterable[str]) -> str:
    """The text, where each command that asks AWS has these options, each with its value, unless it has them already."""

    def complete(found: re.Match[str]) -> str:
        missing = [option for option in options if option.split()[0] not in found[2].split()]
        return " ".join([found[1], *missing]) + found[2]

    return _ADVISED.sub(complete, text)
