"""Windows in which changes may be made: over midnight, and on the days on which the clock is put forward or back."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

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


def is_within(which: Window, moment: datetime) -> bool:
    """The same from the other end: between the start and the end that a day gives, on a clock without a zone."""
    local = moment.astimezone(ZoneInfo(which.time_zone)).replace(tzinfo=None)
    for day in (local.date(), local.date() - timedelta(days=1)):
        start = datetime.combine(day, time()) + timedelta(minutes=which.start)
        end = datetime.combine(day, time()) + timedelta(minutes=which.end)
        end += timedelta(days=which.end <= which.start)
        if day.weekday() in which.days and start <= local < end:
            return True
    return False


WINDOWS = st.builds(
    Window,
    days=st.frozensets(st.integers(0, 6), min_size=1),
    start=st.integers(0, 1439),
    end=st.integers(0, 1440),
    time_zone=st.sampled_from(["UTC", ZURICH, "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
)
MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))


@settings(max_examples=50, deadline=None)
@given(first=WINDOWS, second=WINDOWS, moment=MOMENTS)
@example(window("02:00-03:00", SUN), window("02:00-03:00", SUN), at("2026-03-29 00:50"))
def test_a_run_may_begin_just_when_each_calendar_has_an_open_window(
    first: Window, second: Window, moment: datetime
) -> None:
    policy = Policy(calendars=((first,), (second,)))

    def may(at: datetime) -> bool:
        return is_within(first, at) and is_within(second, at)

    assert policy.is_open(moment) == may(moment)
    if may(moment):
        return
    opening = policy.next_opening(moment)
    probe = moment
    for _ in range(1000):  # nothing opens before it
        probe += timedelta(minutes=13)
        if probe >= (opening or moment + timedelta(days=9)):
            break
        assert not may(probe)
    if opening is not None:
        assert opening > moment
        assert may(opening)
        assert not may(opening - timedelta(minutes=1))


def test_utc_needs_no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small containers have none; then it is said, before AWS is asked anything."""
    monkeypatch.setattr("zoneinfo.TZPATH", ())
    monkeypatch.setattr("alb_reconcile.model.policy.ZoneInfo", _not_found)
    monkeypatch.setattr("alb_reconcile.model.policy.available_timezones", set)
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
