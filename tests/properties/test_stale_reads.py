"""Each read is behind by another time, up to 300 s: what is new comes and goes, and so does what is deleted."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.properties.campaign import trial
from tests.properties.faults import Killed
from tests.properties.scenarios import ALL
from tests.properties.seeds import SOAK, tried, try_seeds

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

SEEDS = 5000
IN_SUITE = ("roll", "another group")
LONGEST = 300
"""Seconds by which AWS's reads are behind at most, and for which it says nothing itself."""
PROMISED = 60
"""Up to so many seconds one run is enough, and the run after a killed one keeps capacity."""


def behind(chance: Random) -> tuple[float, Callable[[], float]]:
    """By how much reads are behind at most, and by how much each is: as if one of many copies answered, of which some are
    up to date."""
    most = chance.choice((5, 30, PROMISED, 120, LONGEST))
    up_to_date = chance.choice((0.0, 0.5, 0.9))
    return most, lambda: 0.0 if chance.random() < up_to_date else chance.uniform(0, most)


@pytest.mark.parametrize("name", ALL if SOAK else IN_SUITE)
def test_reads_that_go_back_and_forth_mislead_no_run(name: str) -> None:
    """In the first run, which is killed half of the time, and in those after it: three at most, or six where it was killed and reads are
    behind by more than is promised."""
    with trial(name, lag=LONGEST) as way:

        def check(chance: Random) -> None:
            way.begin()
            most, way.world.strict.lag_of_read = behind(chance)
            killed = None
            if chance.random() < 0.5:
                killed = Killed(chance.randint(1, len(way.changes)), chance.choice(("before", "after")))
                way.be_killed(killed)
            late = most > PROMISED
            floor = 0 if killed and late else None
            try:
                way.finish(6 if killed and late else 3 if killed or late else 1)
                if late or killed:  # a run that such reads tell that all is well may be wrong; the next one isn't
                    with suppress(AssertionError):
                        way.check(floor)
                        return
                    way.finish(3)
                way.check(floor)
            except AssertionError as error:
                words = f"behind by {most} s" + (f", killed {killed.words}" if killed else "")
                raise AssertionError(f"{words}: {error}") from error

        try_seeds(1, -(-SEEDS // len(ALL)), check)


@pytest.mark.parametrize("name", ALL if SOAK else ["another group"])
def test_the_run_after_a_killed_one_sees_what_was_a_minute_ago(name: str) -> None:
    """Though that one's own reads were up to date. Killed after each change, or, in the suite, when requests have moved.

    Found: the next run hadn't seen the new group yet, and gave them back to targets that nobody checked any more.
    """
    with trial(name, lag=PROMISED) as way:
        moved = [number for number, operation in enumerate(way.changes, 1) if operation == "modify_listener"]
        wrong = []
        for number in range(1, len(way.changes) + 1) if SOAK else moved[-1:]:
            way.begin()
            tried["kills"] += 1
            way.world.strict.lag_of_read = lambda: 0.0
            way.be_killed(killed := Killed(number, "after"))
            way.world.strict.lag_of_read = lambda: PROMISED
            try:
                way.finish(3)
                way.check()
            except AssertionError as error:
                wrong.append(f"killed {killed.words}: {error}")
        assert not wrong, "\n\n".join(wrong)


def test_a_group_that_was_seen_is_asked_whether_a_load_balancer_has_it() -> None:
    """Found by an attack: only the listener's read was from before it forwarded to that group."""
    with trial("another group", lag=PROMISED) as way:
        way.begin()
        way.world.strict.lag_of_read = lambda: 0.0
        moved = [number for number, operation in enumerate(way.changes, 1) if operation == "modify_listener"]
        way.be_killed(Killed(moved[-1], "after"))
        way.world.strict.lag_of_read = lambda: PROMISED if way.world.log[-1][0] == "describe_listeners" else 0.0
        way.finish(3)
        way.check()
