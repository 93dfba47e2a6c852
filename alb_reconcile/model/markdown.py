"""Puts texts into Markdown so that no text can end its span or block, and GitHub reads no Markdown, HTML or mentions in it."""

import re
from collections.abc import Iterable
from typing import Final

from alb_reconcile.model.text import printable

_LINE: Final = 400
"""Characters of one line."""


def code_span(text: str) -> str:
    """A text between other Markdown, in one line: a span that nothing in it can end."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    ticks = "`" * (longest + 1)
    return f"{ticks} {one_line(text)} {ticks}" if longest else f"{ticks}{one_line(text)}{ticks}"


def code_block(lines: Iterable[str], language: str) -> str:
    """A block of lines that nothing in the lines can end."""
    body = "\n".join(lines)
    longest = max((len(run) for run in re.findall(r"~+", body)), default=0)
    fence = "~" * max(longest + 1, 4)
    return f"{fence}{language}\n{body}\n{fence}"


def one_line(text: str, most: int = _LINE) -> str:
    """A text without line ends, cut where it is long."""
    text = printable(text)
    return text if len(text) <= most else f"{text[: most - 1]}…"
