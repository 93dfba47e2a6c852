"""Walks through specs that differ in one to four declared properties of any kind: nobody who asks sees anything of the change."""

from __future__ import annotations

import os
from collections import Counter
from random import Random

import pytest

from alb_reconcile.kinds import load_kinds
from tests.properties.changes import draw_change, places, varied
from tests.properties.examples import loads
from tests.properties.seeds import SOAK, first_seed, tried
from tests.properties.walks import BASES, Walk, shrink

ONE = os.environ.get("CHANGES_SEED")
"""The one walk to repeat."""
SHARDS = len(BASES)
WALKS = 30 if SOAK and not ONE else 1
LENGTH = 17
"""Pairs of one walk: 102 in all, at length 3,060."""


@pytest.mark.parametrize("shard", range(1 if ONE else SHARDS))
def test_a_walk_is_seen_by_nobody(shard: int) -> None:
    """From healthy and from partly ill starts, with lag and without. At most one pair in ten is refused (of so few, three), and
    then the refusal's advice leads there. Where an entry was renamed, which walks do more than anybody, the advice is `move`."""
    ways: Counter[str] = Counter()
    for number in range(WALKS):
        walk = Walk(int(ONE) if ONE else first_seed(f"walk {shard}") + number if SOAK else shard + SHARDS * number)
        walk.go(LENGTH, compares=bool(SOAK) or shard % 3 == 0)
        ways += walk.ways
        tried.update(walk.ways)
        if walk.wrong:
            pair, text = walk.wrong[0]
            small, found = shrink(pair)
            pytest.fail(
                f"PYTHONHASHSEED=0 CHANGES_SEED={walk.seed} pytest tests/properties/test_changes.py repeats it, with {len(walk.wrong)} pairs that fail\n{text}\n\n"
                f"{f'made small: {found}' if found else 'it fails after what came before only'}\n{small}",
                pytrace=False,
            )
    assert ways["refused"] <= max(3, ways.total() // 10), ways


def test_whatever_is_drawn_is_another_valid_spec() -> None:
    """Of several kinds, in so few tries."""
    for make in BASES.values():
        random, spec = Random(1), make()
        kinds = {place.kind for place in places(spec)}
        drawn = [draw_change(random, spec) for _ in range(8)]
        for change in drawn:
            assert loads(change.made(spec))
            assert change.made(spec) != spec
        touched = {place.kind for place in places(spec) for change in drawn if place.what == change.what}
        assert kinds <= load_kinds().keys()
        assert len(touched) >= min(3, len(kinds))


def test_another_entry_differs_in_what_it_has_within() -> None:
    """Found: entries within it, such as listeners, were looked for in the spec, and what one change had taken out was changed."""
    spec = BASES["wide"]()
    (place,) = (
        item for item in places(spec) if item.is_entry and item.path[0] == "load_balancers" and len(item.path) == 2
    )
    found = [varied(Random(number), spec, place) for number in range(60)]
    assert any(item["listeners"] != place.given["listeners"] for item in found if "listeners" in item)
