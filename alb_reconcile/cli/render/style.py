"""Colours text where the terminal can show colours, and formats durations."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from typing import Final

_FINE: Final = {"green": "38;5;29", "yellow": "38;5;130", "red": "38;5;160", "dim": "38;5;243", "bold": "1"}
"""The 256 colours that stand out from white and from black (a contrast of 4:1 at least, WCAG 2.2), and from one another for a person
who can't distinguish red from green: a bluish green, orange, red. A sign or a word always says what a colour means."""
_PLAIN: Final = {"green": "32", "yellow": "35", "red": "31", "dim": "2", "bold": "1"}
"""The 16 colours: yellow can't be read on white there, so what needs a look is magenta."""
CODES: Final = frozenset({"0", *_FINE.values(), *_PLAIN.values()})
"""All codes with which a text may be coloured."""


class Style:
    """Colours text, or leaves it as it is."""

    def __init__(self, *, colored: bool, fine: bool = False, width: int | None = None) -> None:
        self.colored = colored
        self.width = width
        """Columns of the terminal; None without a terminal, where lines are as long as they are."""
        self.fine = fine
        """Whether the terminal has 256 colours."""

    @classmethod
    def detect(cls, *, no_color: bool) -> Style:
        """The style that standard output can show. --no-color outranks NO_COLOR, NO_COLOR outranks FORCE_COLOR, and FORCE_COLOR the
        kind of output."""
        kind, forced = os.environ.get("TERM", ""), os.environ.get("FORCE_COLOR", "0")
        is_forced = forced not in ("", "0", "false")
        colored = not no_color and not os.environ.get("NO_COLOR") and (is_forced or is_terminal())
        fine = "256" in kind or bool(os.environ.get("COLORTERM")) or forced in ("2", "3")
        return cls(colored=colored, fine=fine, width=shutil.get_terminal_size().columns if is_terminal() else None)

    def paint(self, text: str, name: str) -> str:
        """The text in a colour."""
        codes = _FINE if self.fine else _PLAIN
        return f"\x1b[{codes[name]}m{text}\x1b[0m" if self.colored and text else text

    def fit(self, text: str) -> str:
        """The text with lines broken between words where they are wider than the terminal, each indented like its first part."""
        if not self.width:
            return text
        return "\n".join(part for line in text.split("\n") for part in _broken(line, max(self.width, 20)))


_CODE: Final = re.compile(r"\x1b\[[0-9;]*m")


def _broken(line: str, width: int) -> Iterator[str]:
    bare = _CODE.sub("", line)
    if len(bare) <= width:
        yield line
        return
    indent = " " * min(len(bare) - len(bare.lstrip()) + 4, width // 2)
    done, used = "", 0
    for word in re.findall(r" *[^ ]+", line):
        long = len(_CODE.sub("", word))
        if done.strip() and used + long > width:
            yield done
            done, used, word = indent, len(indent), word.lstrip(" ")
            long = len(_CODE.sub("", word))
        done, used = done + word, used + long
    yield done


def is_terminal() -> bool:
    """Whether standard output is a terminal that knows colours and a cursor."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def show_seconds(seconds: float) -> str:
    """A duration as in `45s`, `2m 10s` or `1h 5m`."""
    minutes, rest = divmod(max(round(seconds), 0), 60)
    if minutes >= 60:
        hours, minutes = divmod(minutes, 60)
        return f"{hours}h {minutes}m" if minutes else f"{hours}h"
    return " ".join(filter(None, (f"{minutes}m" if minutes else "", f"{rest}s" if rest or not minutes else "")))
