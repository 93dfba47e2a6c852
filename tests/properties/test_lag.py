"""Describes that lag: everything still converges, drift is repaired, and a killed run leaves no duplicates."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.harness import demo
from tests.properties.scenarios import ALL, MANY, WAYS, drift, failures_of, regrouped, rolled, scaled
from tests.properties.watched import portrait, watched

if TYPE_CHECKING:
    pass

LAGS = (0, 7, 30, 60)
PARTS = 18
TRIED = {7: 1, 30: 2, 60: 5}
"""Which part of the moments the suite tries with which lag; test_interrupted.py tries other moments without one, of the ways that this leaves out."""
SOAK = bool(os.environ.get("SOAK"))
LATER = 120
"""Seconds after which nobody's reads are behind any more."""
STEPS = {
    "roll": rolled,
    "scale out": lambda: scaled(4),
    "scale in": lambda: scaled(1),
    "another group": regrouped,
}


@pytest.mark.parametrize("lag", LAGS if SOAK else LAGS[-1:])
@pytest.mark.parametrize("name", [*WAYS, *MANY] if SOAK else [*WAYS, *MANY][1::4])
def test_every_way_is_gone_in_one_apply_however_far_reads_lag(name: str, lag: int) -> None:
    """Create, roll, scale, group replacement and destroy need one run each."""
    way = ALL[name]
    with watched() as world:
        empty = world.strict.inventory()
        if way.before:
            world.converge(way.before())
        world.strict.lag = float(lag)
        world.watch()
        world.converge(way.target, **way.run_options)
        assert not way.floor or world.lows["target_group.web"].healthy >= way.floor, world.lows
        world.clock.advance(LATER)
        if way.after:
            portrait(world, way.target)
            world.destroy(way.target)
        assert world.strict.inventory() == empty


@pytest.mark.parametrize("lag", LAGS if SOAK else LAGS[2:3])
def test_drift_is_repaired_in_one_apply_however_far_reads_lag(lag: int) -> None:
    """A rule too many, a missing association, a changed health check, a stopped and a terminated instance."""
    with watched(lag) as world:
        world.converge(demo())
        world.clock.advance(LATER)
        good = portrait(world, demo())
        drift(world)
        world.clock.advance(LATER)
        assert not world.plan(demo()).is_empty
        world.converge(demo())
        world.clock.advance(LATER)
        assert portrait(world, demo()) == good


@pytest.mark.parametrize(
    ("name", "lag", "part"),
    [
        (name, lag, part)
        for number, name in (enumerate([*WAYS, *MANY]) if SOAK else [*enumerate([*WAYS, *MANY])][::2])
        for lag in (LAGS[1:] if SOAK else LAGS[1:][(number + 2) % 3 :][:1])
        for part in range(PARTS)
        if SOAK
        or (part == TRIED[lag] and (name != "create many" or lag == 30))  # the demo's creation, but for the launches
    ],
)
def test_a_kill_and_lag_need_three_more_runs_at_most(name: str, lag: int, part: int) -> None:
    """Whatever the next runs can't see yet: in the end there are no duplicates, no orphans, and there was no dip.

    An eighteenth of the moments of the way is tried with one of the lags, and at length each with each.
    """
    tried, resumed, wrong = failures_of(name, PARTS, part, lag=lag, tries=3)
    assert not wrong, "\n\n".join(wrong)
    assert tried or (SOAK and part > TRIED[60]), "there are fewer moments than parts"
    assert resumed >= 0.5 * tried or tried < 3, "the kills left something to do"


@settings(max_examples=100 if SOAK else 2, database=None, deadline=None, print_blob=True, derandomize=not SOAK)
@given(st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.integers(0, 60)), min_size=2, max_size=4))
def test_lag_may_be_another_at_every_step(steps: list[tuple[str, int]]) -> None:
    """Any of the demo's changes after another, each with reads that lag otherwise."""
    with watched(60) as world:
        empty = world.strict.inventory()
        for name, lag in [*steps, ("scale in", 13)]:
            world.strict.lag = float(lag)
            world.converge(STEPS[name]())
            world.strict.lag = 60.0
            world.clock.advance(LATER)
        portrait(world, scaled(1))
        world.destroy(scaled(1))
        assert world.strict.inventory() == empty
