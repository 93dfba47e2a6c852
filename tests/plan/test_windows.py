"""Windows in which changes may be made: over midnight, and on the days on which the clock is put forward or back."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from alb_reconcile.model.policy import Policy, Window, zone_of

ZURICH = "Europe/Zurich"
SUN, FRI = 6, 4


def window(text: str, *days: int, zone: str = ZURICH) -> Window:
    """A window as in `22:00-04:00`."""
    start, end = (int(part[:2]) * 60 + int(part[3:]) for part in text.split("-"))
    return Window(frozenset(days or range(7)), start, end, zone)


def at(text: str) -> datetime:
    """A moment in UTC, as in `2026-03-29 01:30`."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# in Zurich 02:00 is followed by 03:00 on 2026-03-29 (at 01:00 UTC), and 03:00 by 02:00 on 2026-10-25 (at 01:00 UTC)
@pytest.mark.parametrize(
    ("which", "moment", "is_open"),
    [
        (window("08:00-17:00"), "2026-07-01 06:00", True),
        (window("08:00-17:00"), "2026-07-01 05:59", False),
        (window("08:00-17:00"), "2026-07-01 15:00", False),
        (window("08:00-17:00"), "2026-01-07 06:30", False),  # an hour later in winter
        (window("22:00-04:00", FRI), "2026-07-03 20:00", True),
        (window("22:00-04:00", FRI), "2026-07-04 01:59", True),  # Saturday, but it began on Friday
        (window("22:00-04:00", FRI), "2026-07-04 02:00", False),
        (window("22:00-04:00", FRI), "2026-07-04 20:00", False),
        (window("22:00-04:00", FRI), "2026-07-03 01:00", False),
        (window("22:00-00:00", FRI), "2026-07-03 21:59", True),
        (window("22:00-00:00", FRI), "2026-07-03 22:00", False),
        (window("22:00-24:00", FRI), "2026-07-03 22:00", False),
        (window("00:00-24:00", SUN), "2026-07-05 21:59", True),
        (window("00:00-24:00", SUN), "2026-07-05 22:00", False),
        (window("00:00-24:00", SUN, zone="Asia/Kathmandu"), "2026-07-04 18:15", True),
        (window("00:00-24:00", SUN, zone="Asia/Kathmandu"), "2026-07-04 18:14", False),
        (window("02:00-03:00"), "2026-03-29 00:59", False),  # the hour that the clock skips
        (window("02:00-03:00"), "2026-03-29 01:00", False),
        (window("02:30-03:30"), "2026-03-29 01:00", True),
        (window("01:30-02:30"), "2026-03-29 00:59", True),
        (window("01:30-02:30"), "2026-03-29 01:00", False),
        (window("02:00-03:00"), "2026-10-25 00:30", True),  # the hour that it shows twice
        (window("02:00-03:00"), "2026-10-25 01:30", True),
        (window("22:00-03:00", SUN - 1), "2026-10-25 01:59", True),
        (window("22:00-03:00", SUN - 1), "2026-10-25 02:00", False),
    ],
)
def test_the_clock_on_the_wall_counts(which: Window, moment: str, is_open: bool) -> None:
    assert which.is_open(at(moment)) == is_open


@pytest.mark.parametrize(
    ("calendars", "moment", "opening"),
    [
        ([[window("22:00-04:00", FRI)]], "2026-07-04 02:00", "2026-07-10 20:00"),
        ([[window("02:00-03:00", SUN)]], "2026-03-28 12:00", "2026-04-05 00:00"),  # skipped once
        ([[window("02:30-04:00")]], "2026-03-29 00:10", "2026-03-29 01:00"),
        ([[window("01:30-02:30")]], "2026-10-25 00:45", "2026-10-25 01:00"),
        ([[window("08:00-12:00"), window("14:00-18:00")]], "2026-07-01 10:00", "2026-07-01 12:00"),
        ([[window("22:00-04:00")], [window("00:00-24:00", SUN)]], "2026-07-03 22:00", "2026-07-04 22:00"),
        ([[window("00:00-24:00", FRI)], [window("00:00-24:00", SUN)]], "2026-07-04 00:00", None),
    ],
)
def test_the_next_opening(calendars: list[list[Window]], moment: str, opening: str | None) -> None:
    policy = Policy(calendars=tuple(map(tuple, calendars)))
    assert not policy.is_open(at(moment))
    assert policy.next_opening(at(moment)) == (at(opening) if opening else None)


def test_without_windows_it_is_always_open() -> None:
    assert Policy().is_open(at("2026-03-29 01:00"))


def test_utc_needs_no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small containers have none; then it is said, before AWS is asked anything."""
    monkeypatch.setattr("zoneinfo.TZPATH", ())
    monkeypatch.setattr("zoneinfo.ZoneInfo", _not_found)
    monkeypatch.setattr("zoneinfo.available_timezones", set)
    zone_of.cache_clear()
    assert zone_of("UTC") is UTC
    with pytest.raises(ValueError, match=r"no time zone database; install tzdata, or use UTC"):
        zone_of(ZURICH)
    zone_of.cache_clear()


def _not_found(name: str) -> None:
    raise KeyError(name)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("Europe/Zuerich", "did you mean Europe/Zurich"),
        ("Europe", "did you mean"),  # a folder of the database
        ("leapseconds", "use an IANA name"),  # a file of it that is none
        ("x", "use an IANA name such as Europe/Zurich, or UTC"),
    ],
)
def test_a_time_zone_that_there_is_not(name: str, advice: str) -> None:
    with pytest.raises(ValueError, match=f"there is no time zone {name}; .*{advice}"):
        zone_of(name)
