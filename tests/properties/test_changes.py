"""Walks through specs that differ in one to four declared properties of any kind: nobody who asks sees anything of the change."""

from __future__ import annotations

import os
import re
from collections import Counter
from random import Random
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.kinds import load_kinds
from alb_reconcile.model.errors import PlanError
from alb_reconcile.spec.schema import SECTIONS, resolved
from tests.properties import walks
from tests.properties.account import Account
from tests.properties.changes import draw_change, places, varied
from tests.properties.examples import loads
from tests.properties.seeds import SOAK, first_seed
from tests.properties.walks import BASES, Walk, shrink

if TYPE_CHECKING:
    from tests.harness import Spec

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


REFUSED = PlanError("spec.yaml:1:1: choose another")
UNKNOWN = AssertionError(
    "delete:internet_gateway.main: failed: DetachInternetGateway: DependencyViolation: mapped addresses"
)


@pytest.mark.parametrize(
    ("error", "nobody_has", "goes_back", "ways", "wrong"),
    [
        (REFUSED, "before and after", True, {"invalid": 1}, []),
        (AssertionError("create:vpc.main: failed: CreateVpc: The allocation size is too big for the pool"), "before and after", True, {"invalid": 1}, []),
        (REFUSED, "after", False, {"invalid": 1}, ["back from what is refused: AssertionError: stays"]),
        (UNKNOWN, "after", True, {"invalid": 1}, []),
        (UNKNOWN, "before and after", True, {"failed": 1}, [f"AssertionError: {UNKNOWN}"]),
        (UNKNOWN, "", True, {"failed": 1}, [f"AssertionError: {UNKNOWN}"]),
        (AssertionError("dark: load_balancer.public"), "after", True, {"failed": 1}, ["AssertionError: dark: load_balancer.public"]),
    ],
)  # fmt: skip
def test_only_what_is_refused_is_excused(
    error: Exception,
    nobody_has: str,
    goes_back: bool,
    ways: dict[str, int],
    wrong: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever a client sees is wrong, though a fresh account refuses that spec, too; and so is a way back that isn't free, and what
    AWS refuses for another reason than the change, as far as anybody knows."""
    begun: list[Spec] = []

    def begin(_: Account, spec: Spec) -> None:
        begun.append(spec)
        assert goes_back or len(begun) == 1, "stays"

    def go(*_: object) -> str:
        raise error

    monkeypatch.setattr(Account, "begin", begin)
    monkeypatch.setattr(Account, "go", go)
    before = BASES["foreign"]()
    monkeypatch.setattr(walks, "is_refused", lambda spec: ("before" if spec == before else "after") in nobody_has)
    walk = Walk(1)
    walk.go(1)
    assert begun[0] == before
    assert +walk.ways == ways
    assert [text.partition("\n")[0] for _, text in walk.wrong] == wrong


@pytest.mark.slow
def test_each_kind_comes_in() -> None:
    """Also those that no base has, and the next one: what has a section of its own."""
    random, spec, came = Random(3), BASES["wide"](), set[str]()
    for _ in range(120):
        change = draw_change(random, spec)
        spec = change.made(spec)
        came |= {SECTIONS[key] for key, entries in spec.items() if key in SECTIONS and entries}
    assert came == {kind for key, kind in SECTIONS.items() if key in resolved("stack")["properties"]}


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


def test_another_entry_differs_in_what_it_has_within() -> None:
    """Found: entries within it, such as listeners, were looked for in the spec, and what one change had taken out was changed."""
    spec = BASES["wide"]()
    (place,) = (
        item for item in places(spec) if item.is_entry and item.path[0] == "load_balancers" and len(item.path) == 2
    )
    found = [varied(Random(number), spec, place) for number in range(60)]
    assert any(item["listeners"] != place.given["listeners"] for item in found if "listeners" in item)
