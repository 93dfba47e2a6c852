"""The `policy` section of a spec: how much a run may change or delete, of which kinds nothing, and when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from difflib import get_close_matches
from functools import cache
from typing import Final

_MINUTE: Final = timedelta(minutes=1)
_HORIZON: Final = 15 * 24 * 60
"""Minutes after which an opening isn't looked for: windows come back weekly, and a clock that is put forward may skip one."""


@dataclass(frozen=True)
class Window:
    """A time in which changes may be made, on the clock of a time zone (an IANA name).

    `days` counts from Monday, 0; `start` and `end` are minutes since midnight. With an `end` up to `start` it ends on
    the next day. Local time counts: an hour that the local clock skips isn't in the window, an hour that it shows twice is open
    twice.
    """

    days: frozenset[int] = frozenset(range(7))
    start: int = 0
    end: int = 24 * 60
    time_zone: str = "UTC"

    def is_open(self, moment: datetime) -> bool:
        """Whether changes may begin at an (aware) moment."""
        local = moment.astimezone(zone_of(self.time_zone))
        minute = local.hour * 60 + local.minute
        begins_today = local.weekday() in self.days and minute >= self.start
        if self.start < self.end:
            return begins_today and minute < self.end
        return begins_today or ((local.weekday() - 1) % 7 in self.days and minute < self.end)


Calendar = tuple[Window, ...]
"""Windows, at least one of which must be open."""


@dataclass(frozen=True)
class Policy:
    """The limits of one run; None for no limit. `max_touched` is a percentage of the stack's resources.

    Each of the calendars must be open.
    """

    max_deletions: int | None = None
    max_replacements: int | None = None
    max_touched: int | None = None
    never_delete: frozenset[str] = frozenset()
    calendars: tuple[Calendar, ...] = ()

    def tighten(self, other: Policy) -> Policy:
        """Both policies joined: the smaller of two numbers, all kinds, and all calendars."""
        return Policy(
            max_deletions=_least(self.max_deletions, other.max_deletions),
            max_replacements=_least(self.max_replacements, other.max_replacements),
            max_touched=_least(self.max_touched, other.max_touched),
            never_delete=self.never_delete | other.never_delete,
            calendars=tuple(dict.fromkeys(self.calendars + other.calendars)),
        )

    def is_open(self, moment: datetime) -> bool:
        """Whether a run may begin at an (aware) moment."""
        return all(any(window.is_open(moment) for window in calendar) for calendar in self.calendars)

    def next_opening(self, moment: datetime) -> datetime | None:
        """The first full minute after a moment at which a run may begin, in UTC; None if there is none in two weeks."""
        start = moment.astimezone(UTC).replace(second=0, microsecond=0)
        candidates = (start + number * _MINUTE for number in range(1, _HORIZON))
        return next((candidate for candidate in candidates if self.is_open(candidate)), None)

    def show(self, moment: datetime) -> str:
        """A moment on the clock of the windows, as in `Mon 2026-03-30 22:00 Europe/Zurich`."""
        names = {window.time_zone for calendar in self.calendars for window in calendar}
        name = names.pop() if len(names) == 1 else "UTC"
        return f"{moment.astimezone(zone_of(name)):%a %Y-%m-%d %H:%M} {name}"


def _least(one: int | None, other: int | None) -> int | None:
    return min((item for item in (one, other) if item is not None), default=None)


@cache
def zone_of(name: str) -> tzinfo:
    """A time zone by its IANA name; UTC needs no database. Raises ValueError with what is wrong and what to do."""
    if name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo, available_timezones

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # not found, no such data, a folder of the database
        known = available_timezones()
    if not known:
        raise ValueError(
            f"{name} can't be looked up: this machine has no time zone database; install tzdata, or use UTC"
        )
    near = get_close_matches(name, sorted(known), 1, 0.6)
    advice = f"did you mean {near[0]}?" if near else "use an IANA name such as Europe/Zurich, or UTC"
    raise ValueError(f"there is no time zone {name}; {advice}")
