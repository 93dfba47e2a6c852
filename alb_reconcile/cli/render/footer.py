"""Redraws the lines at the bottom of a terminal during a run. Imported only where there is a terminal."""

import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, cast

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from alb_reconcile.cli.render.console import draw, draw_above
from alb_reconcile.cli.render.style import Style, show_seconds

_ROWS = 8
"""Lines for running steps, if the terminal has room for so many."""


@dataclass(frozen=True)
class Row:
    """A line on a running step: its name, for how long it has run, and its progress or what it waits for."""

    name: str
    text: str
    seconds: float


class Footer:
    """Running steps, one line each, and a summary line. Lines of the run's report are written above the footer."""

    def __init__(self, style: Style, *, width: int | None = None, height: int | None = None) -> None:
        self._console = _Console(
            file=cast(IO[str], _Screen()), force_terminal=True, legacy_windows=False, no_color=not style.colored,
            color_system="256" if style.fine else "standard", width=width, height=height,
        )  # fmt: skip
        self._live = Live(console=self._console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False)  # fmt: skip
        self._style = style

    def show(self, rows: Sequence[Row], summary: str) -> None:
        """Redraw the footer."""
        if not self._live.is_started:
            self._live.start()
            draw_above(self._above)
        room = max(1, min(_ROWS, self._console.height - 4))
        shown = rows if len(rows) <= room else rows[: room - 1]
        parts: list[RenderableType] = [self._table(shown)] if shown else []
        if len(shown) < len(rows):
            parts.append(self._line(f"  … and {len(rows) - len(shown)} more"))
        self._live.update(Group(*parts, self._line(f"  {summary}")), refresh=True)

    def close(self) -> None:
        """Remove the footer."""
        if self._live.is_started:
            draw_above(None)
            self._live.update("")
            self._live.stop()

    def _table(self, rows: Sequence[Row]) -> Group:
        width = min(max(len(row.name) for row in rows), max(20, self._console.width * 2 // 5))
        return Group(*(self._row(row, width) for row in rows))

    def _row(self, row: Row, width: int) -> Text:
        name = row.name if len(row.name) <= width else f"{row.name[: width - 1]}…"
        line = Text(f"  {name:<{width}}  {show_seconds(row.seconds):>7}  ", no_wrap=True, overflow="ellipsis")
        return line.append_text(self._line(row.text))

    def _line(self, text: str) -> Text:
        return Text.from_ansi(self._style.paint(text, "dim"), no_wrap=True, overflow="ellipsis")

    def _above(self, text: str) -> None:
        self._console.print(Text.from_ansi(text), soft_wrap=True)


class _Console(Console):
    def show_cursor(self, show: bool = True) -> bool:
        """Keep the cursor visible: a process that is killed couldn't bring it back."""
        return False


class _Screen(io.TextIOBase):
    """Standard output as the stream that rich writes to."""

    @property
    def encoding(self) -> str:  # type: ignore[override]  # a text stream's, which typeshed has as a plain attribute
        return sys.stdout.encoding or "utf-8"

    def write(self, text: str) -> int:
        draw(text)
        return len(text)

    def flush(self) -> None:
        """Do nothing: `draw` has flushed."""

    def fileno(self) -> int:
        return sys.stdout.fileno()

    def isatty(self) -> bool:
        return True
