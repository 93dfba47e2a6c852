"""Replies that are lost, or aren't AWS's; errors of AWS's own after the effect, which botocore repeats; calls that don't arrive, or are
throttled."""

from __future__ import annotations

import gc
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.properties.campaign import trial
from tests.properties.faults import Eater, Storm, spoilt
from tests.properties.scenarios import ALL
from tests.properties.seeds import SOAK, try_seeds

if TYPE_CHECKING:
    from random import Random

SEEDS = 330
BESIDE = 110
IN_SUITE = ("create", "roll")


@pytest.mark.parametrize("name", ALL if SOAK else IN_SUITE)
def test_after_a_storm_one_run_is_enough(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """One to three runs go through it, and end as they may, without a traceback."""
    with trial(name) as way:

        def check(chance: Random) -> None:
            way.begin()
            share, ended = chance.choice((0.05, 0.2, 0.5)), list[str]()
            way.world.storm = storm = Storm(chance, share)
            ended = [way.run() for _ in range(chance.randint(1, 3))]
            way.world.storm = None
            try:
                way.finish(1)
                way.check()
            except AssertionError as error:
                raise AssertionError(f"{dict(storm.hit)}: {error}; before it {ended}") from error

        try_seeds(1, -(-SEEDS // len(ALL)), check)
    gc.collect()
    assert caplog.records == []


@pytest.mark.parametrize("name", ALL if SOAK else ["roll"])
def test_beside_a_tool_that_takes_half_of_every_bucket_one_run_is_enough(name: str) -> None:
    """It has emptied them, too; AWS's documented buckets."""
    with trial(name, throttling=True) as way:
        buckets = way.world.strict._throttling
        assert buckets is not None
        refused: Counter[str] = Counter()

        def check(chance: Random) -> None:
            way.begin()
            buckets._levels.clear()  # of a time that hasn't come yet
            way.world.clock.advance(chance.uniform(0, 100))
            other = Eater(buckets, 0.5, way.world.clock.now)
            with spoilt(way.world, other):
                way.finish(1)
            refused.update(other.refused)
            way.check()

        try_seeds(1, -(-BESIDE // len(ALL)), check)
        assert refused
