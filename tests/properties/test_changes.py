"""Walks through specs that differ in one to four declared properties of any kind: nobody who asks sees anything of the change."""

from __future__ import annotations

import os
import re
from collections import Counter
from random import Random
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.kinds import load_kinds
from alb_reconcile.spec.schema import SECTIONS, resolved
from tests.properties.changes import draw_change, places
from tests.properties.examples import loads
from tests.properties.seeds import SOAK, first_seed
from tests.properties.walks import BASES, Walk, shrink

if TYPE_CHECKING:
    pass

ONE = os.environ.get("CHANGES_SEED")
"""The one walk to repeat."""
SHARDS = len(BASES)
WALKS = 30 if SOAK and not ONE else 1
LENGTH = 17
"""Pairs of one walk: 102 in all, at length 3,060."""
SHORT = 5
"""Of the one that is quick."""


@pytest.mark.parametrize(
    ("shard", "length"),
    [(0, LENGTH)]
    if ONE
    else [(0, SHORT), *(pytest.param(shard, LENGTH, marks=pytest.mark.slow) for shard in range(SHARDS))],
)
def test_a_walk_is_seen_by_nobody(shard: int, length: int) -> None:
    """From healthy and from partly ill starts, with lag and without. At most one pair in ten is refused (of so few, three): the
    refusal's advice leads there, or nobody can have that spec, and the way back is free. Where an entry was renamed, which walks do
    more than anybody, the advice is `move`."""
    ways: Counter[str] = Counter()
    number = pairs = 0
    while pairs < WALKS * length and not (ONE and number):
        walk = Walk(int(ONE) if ONE else first_seed(f"walk {shard}", shard) + SHARDS * number)
        walk.go(min(length, WALKS * length - pairs), compares=bool(SOAK or ONE) or shard % 3 == 0)
        number, pairs = number + 1, pairs + walk.ways.total()
        ways += walk.ways
        if walk.wrong:
            pair, text = walk.wrong[0]
            small, found = shrink(pair)
            pytest.fail(
                f"PYTHONHASHSEED=0 CHANGES_SEED={walk.seed} pytest tests/properties/test_changes.py repeats it, with {len(walk.wrong)} pairs that fail\n{text}\n\n"
                f"{f'made small: {found}' if found else 'it fails after what came before only'}\n{small}",
                pytrace=False,
            )
    print(f"{pairs} pairs: {', '.join(f'{count} {way}' for way, count in ways.most_common() if count)}")
    assert pairs - ways["converged"] <= max(3, pairs // 10), ways


@pytest.mark.slow
def test_each_kind_comes_in() -> None:
    """Also those that no base has, and the next one: what has a section of its own."""
    random, spec, came = Random(3), BASES["wide"](), set[str]()
    for _ in range(120):
        change = draw_change(random, spec)
        spec = change.made(spec)
        came |= {SECTIONS[key] for key, entries in spec.items() if key in SECTIONS and entries}
    assert came == {kind for key, kind in SECTIONS.items() if key in resolved("stack")["properties"]}


@pytest.mark.slow
def test_whatever_is_drawn_is_another_valid_spec() -> None:
    """Of several kinds, in so few tries."""
    for make in BASES.values():
        random, spec = Random(1), make()
        kinds = {place.kind for place in places(spec)}
        drawn = [draw_change(random, spec) for _ in range(8)]
        for change in drawn:
            assert loads(change.made(spec))
            assert change.made(spec) != spec
        touched = {re.split(r"\W", change.what)[0] for change in drawn}
        assert kinds | touched <= load_kinds().keys()
        assert len(touched) >= min(3, len(kinds))
