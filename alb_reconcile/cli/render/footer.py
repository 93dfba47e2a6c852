"""Redraws the lines at the bottom of a terminal during a run. Imported only where there is a terminal."""

import re
import shutil
import threading
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from alb_reconcile.cli.render.console import draw, draw_above
from alb_reconcile.cli.render.style import Style, show_seconds

_ROWS: Final = 8
"""Lines for running steps, if the terminal has room for so many."""
_ERASE: Final = "\r\x1b[2K"
"""ECMA-48: the cursor to the first column, and the whole line erased. The cursor stays visible: a process that is killed couldn't show it
again."""
_UP: Final = "\x1b[1A"
_CODE: Final = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Row:
    """A line on a running step: its name, for how long it has run, and its progress or what it waits for."""

    name: str
    text: str
    seconds: float


class Footer:
    """Running steps, one line each, and a summary line. Lines of the run's report are written above the footer."""

    def __init__(self, style: Style, *, width: int | None = None, height: int | None = None) -> None:
        self._style = style
        self._size = width, height
        self._lines: list[str] = []
        """The lines that are on the terminal. The cursor is at the end of the last one."""
        self._lock = threading.Lock()

    def show(self, rows: Sequence[Row], summary: str) -> None:
        """Redraw the footer."""
        size = shutil.get_terminal_size()
        width, height = self._size[0] or size.columns, self._size[1] or size.lines
        room = max(1, min(_ROWS, height - 4))
        shown = rows if len(rows) <= room else rows[: room - 1]
        names = min(max((len(row.name) for row in shown), default=0), max(20, width * 2 // 5))
        lines = [*self._rows(shown, names, width)]
        if len(shown) < len(rows):
            lines.append(self._dim(f"  … and {len(rows) - len(shown)} more", width))
        lines.append(self._dim(f"  {summary}", width))
        draw_above(self._above)
        with self._lock:
            self._redraw("", lines)

    def close(self) -> None:
        """Remove the footer."""
        draw_above(None)
        with self._lock:
            self._redraw("", [])

    def _rows(self, rows: Sequence[Row], names: int, width: int) -> Sequence[str]:
        heads = (f"  {_cropped(row.name, names):<{names}}  {show_seconds(row.seconds):>7}  " for row in rows)
        return [
            _cropped(head, width) + self._dim(row.text, width - len(head))
            for head, row in zip(heads, rows, strict=True)
        ]

    def _dim(self, text: str, width: int) -> str:
        return self._style.paint(_cropped(text, width), "dim")

    def _above(self, text: str) -> None:
        with self._lock:
            self._redraw(f"{text}\n", self._lines)

    def _redraw(self, above: str, lines: list[str]) -> None:
        """Replace the footer's lines, by one write, which doesn't flicker; `above` stays above the footer."""
        if above or lines != self._lines:
            draw(_ERASE * bool(self._lines) + (_UP + _ERASE) * (len(self._lines) - 1) + above + "\n".join(lines))
        self._lines = lines


def _cropped(text: str, width: int) -> str:
    """The text without codes of colours, as far as a terminal shows it in so many columns; one that is shortened ends with `…`."""
    bare = _CODE.sub("", text)
    if sum(map(_columns, bare)) <= width:
        return bare
    left, end = width - 1, 0
    while end < len(bare) and _columns(bare[end]) <= left:
        left -= _columns(bare[end])
        end += 1
    return f"{bare[:end]}…" if width > 0 else ""


def _columns(character: str) -> int:
    """Two for a wide character (Unicode's UAX 11), none for one that combines with the one before."""
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
