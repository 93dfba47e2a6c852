"""What `policy:` says: how much damage one run may do, to which kinds none at all, and when."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """A time in which changes may be made, on the clock of a time zone (an IANA name).

    `days` counts from Monday, 0; `start` and `end` are minutes since midnight. With an `end` up to `start` it ends on
    the next day.
    """

    days: frozenset[int] = frozenset(range(7))
    start: int = 0
    end: int = 24 * 60
    time_zone: str = "UTC"


@dataclass(frozen=True)
class Policy:
    """The limits of one run; None where there is none. `max_touched` is a percentage of the stack's resources."""

    max_deletions: int | None = None
    max_replacements: int | None = None
    max_touched: int | None = None
    never_delete: frozenset[str] = frozenset()
    windows: tuple[Window, ...] = ()
