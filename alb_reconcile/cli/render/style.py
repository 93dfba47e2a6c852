"""Colours, where somebody can see them."""

from __future__ import annotations

import os
import sys
from typing import Final

_CODES: Final = {"green": "32", "yellow": "33", "red": "31", "dim": "2", "bold": "1"}


class Style:
    """Paints text, or leaves it alone: without a terminal, with NO_COLOR, or with --no-color."""

    def __init__(self, *, colored: bool) -> None:
        self.colored = colored

    @classmethod
    def detect(cls, *, no_color: bool) -> Style:
        """What standard output can show."""
        return cls(
            colored=not no_color
            and not os.environ.get("NO_COLOR")
            and sys.stdout.isatty()
            and os.environ.get("TERM") != "dumb"
        )

    def paint(self, text: str, name: str) -> str:
        """The text in a colour."""
        return f"\x1b[{_CODES[name]}m{text}\x1b[0m" if self.colored else text
