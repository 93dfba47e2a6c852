"""Killed before and after each mutating call, and run again: it converges, without duplicates, orphans or a dip."""

from __future__ import annotations

import os

import pytest

from tests.harness import demo
from tests.properties.scenarios import LAST_STATES, MANY, WAYS, census, drift, failures_of
from tests.properties.watched import portrait, watched

PARTS = 3
SOAK = bool(os.environ.get("SOAK"))


@pytest.mark.parametrize("part", range(PARTS if SOAK else 1))
@pytest.mark.parametrize("name", [*WAYS, *MANY] if SOAK else [*WAYS, *MANY][1::2])
def test_a_killed_run_is_finished_by_the_next(name: str, part: int) -> None:
    """One more run leads where an uninterrupted one does, wherever the first was killed; destroy then leaves nothing.

    In the suite a fifteenth of the moments of every other way; test_lag.py tries some of the others with reads that lag.
    """
    tried, resumed, wrong = failures_of(name, PARTS if SOAK else 5 * PARTS, part if SOAK else 1)
    assert not wrong, "\n\n".join(wrong)
    # what the last calls do (targets, what the tags say of the spec) needs no further step
    assert resumed >= 0.5 * tried > 0, "the kills left something to do"


def test_a_killed_round_of_sync_is_finished_by_the_next() -> None:
    """What drift it had corrected already, and what not: a ninth of the moments, at length each."""
    spec = demo()
    spec["sync"] = {"correct": ["create", "update", "replace", "delete"], "report": []}
    with watched() as world:
        world.converge(spec)
        good, counts = portrait(world, spec), census(world)
        drift(world)
        world.clock.advance(LAST_STATES)
        with world.moments() as moments:
            assert not world.sync(spec).is_failed
        assert len(moments) >= 10
        for moment in moments if SOAK else moments[1::9]:
            world.go_back(moment)
            ending = world.sync(spec)
            assert not ending.is_failed, (moment.words, ending.error, ending.problems)
            assert world.plan(spec).is_empty, moment.words
            world.clock.advance(LAST_STATES)
            assert portrait(world, spec) == good, moment.words
            assert census(world) == counts, moment.words
