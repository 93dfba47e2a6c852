"""The rows that the bench prints: what was measured, against what floor, under what limit, and whether it holds."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_HEADINGS: Final = ("what", "measured", "floor", "ratio", "limit", "")
_WIDTHS: Final = (56, 12, 10, 6, 10, 6)


@dataclass(frozen=True)
class Row:
    """One number. `limit` is about `measured`, or about the ratio to the floor if `by_ratio`; None is for reading only."""

    what: str
    measured: float
    unit: str = ""
    floor: float | None = None
    limit: float | None = None
    by_ratio: bool = False
    exact: bool = False
    """Whether the limit has to be met exactly (a number that must not grow)."""

    @property
    def ratio(self) -> float | None:
        """Measured to floor."""
        return self.measured / self.floor if self.floor else None

    @property
    def ok(self) -> bool:
        """Whether the limit holds."""
        judged = self.ratio if self.by_ratio else self.measured
        if self.limit is None or judged is None:
            return True
        return judged == self.limit if self.exact else judged <= self.limit

    def cells(self) -> tuple[str, ...]:
        """The row as it is printed."""
        limit = "-"
        if self.limit is not None:
            sign = "= " if self.exact else "≤ "
            limit = sign + (f"{self.limit:.1f} ×" if self.by_ratio else _number(self.limit, self.unit))
        verdict = "" if self.limit is None else "ok" if self.ok else "MISSED"
        return (
            self.what,
            _number(self.measured, self.unit),
            "-" if self.floor is None else _number(self.floor, self.unit),
            "-" if self.ratio is None else f"{self.ratio:.2f}",
            limit,
            verdict,
        )


@dataclass
class Table:
    """All rows, printed as they come."""

    rows: list[Row] = field(default_factory=list)

    def head(self, title: str) -> None:
        """Begin a section."""
        print(f"\n{title}")
        print(_line(_HEADINGS))
        print(_line(["-" * width for width in _WIDTHS]), flush=True)

    def add(self, row: Row) -> None:
        """Print a row."""
        self.rows.append(row)
        print(_line(row.cells()), flush=True)

    @staticmethod
    def note(text: str) -> None:
        """Print something that isn't judged."""
        print(f"  {text}", flush=True)

    @property
    def missed(self) -> list[Row]:
        """The rows whose limit doesn't hold."""
        return [row for row in self.rows if not row.ok]


def _line(cells: Sequence[str]) -> str:
    first, *rest = cells
    numbers = (f"{cell:>{width}}" for cell, width in zip(rest, _WIDTHS[1:], strict=True))
    return f"{first:<{_WIDTHS[0]}}  {'  '.join(numbers)}".rstrip()


def _number(value: float, unit: str) -> str:
    if unit == "s":
        return f"{value:.3f} s" if value < 1 else f"{value:.2f} s"
    return f"{value:.0f} {unit}".rstrip()


def spread(values: Sequence[float]) -> str:
    """Median, fastest and slowest of several runs."""
    return f"median {statistics.median(values):.3f}, {min(values):.3f} to {max(values):.3f} s, {len(values)} runs"
