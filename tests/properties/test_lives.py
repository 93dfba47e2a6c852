"""Each kind's example is made, changed and destroyed in one run each beside other stacks whose tags are nearly the same; faults on the way are tried by
`test_scenes.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from zlib import crc32

import pytest

from alb_reconcile.kinds import load_kinds
from tests.kinds.example import example_of
from tests.properties.examples import changed, prepare
from tests.properties.near_misses import NEAR_MISSES
from tests.properties.neighbours import inventory, neighbour, retag
from tests.properties.scenes import ALLOW, ways_of
from tests.properties.seeds import SOAK, sampled
from tests.properties.watched import watched

if TYPE_CHECKING:
    from collections.abc import Collection

    from tests.harness import Spec

pytestmark = pytest.mark.slow

KINDS = load_kinds()


def _without_kept(found: dict[str, Any], there: Collection[str], *specs: Spec) -> dict[str, Any]:
    """Without the volumes that a spec has outlive their instances, but for those that were there before."""
    keeps = "'delete_on_termination': False" in str(specs)
    return {key: item for key, item in found.items() if key in there or not (keeps and key.startswith("vol-"))}


@pytest.mark.parametrize("kind", sampled(KINDS, 6))
def test_its_life_needs_one_run_each_and_leaves_what_other_stacks_have_of_it(kind: str) -> None:
    """With reads that are 25 s behind, beside others whose tags are nearly ours: two, and at length one for each near miss."""
    example = example_of(kind)
    number = crc32(kind.encode())
    two = {number % len(NEAR_MISSES), (number + 4) % len(NEAR_MISSES)}
    with watched() as world:
        prepare(kind)
        for place in range(len(NEAR_MISSES)) if SOAK else sorted(two):
            stack = f"demo-{place}"
            world.converge(neighbour(kind, stack), allow={**ALLOW, **example.allow})
            assert retag(world, stack, NEAR_MISSES[place])
        before = inventory(world)
        world.clock.advance(60)
        world.strict.lag = 25.0
        for part in ("create", "change", "destroy"):
            if way := ways_of(kind).get(part):
                world.clock.advance(example.rest)
                world.converge(way.target, **way.run_options)
        world.clock.advance(120)
        world.strict.lag = 0.0
        assert _without_kept(inventory(world), before, changed(kind)) == before
