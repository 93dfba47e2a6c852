"""What holds for any stack holds for every kind, and for the next one: random pairs, and strangers, out of each kind's `EXAMPLE`; faults in its life
are tried by `test_scenes.py`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any
from zlib import crc32

import pytest
from hypothesis import given, settings

from alb_reconcile.kinds import load_kinds
from alb_reconcile.model.errors import PlanError, RefusedError
from tests.harness import load
from tests.kinds.example import example_of
from tests.properties.examples import Genome, changed, pairs, prepare
from tests.properties.near_misses import NEAR_MISSES
from tests.properties.neighbours import inventory, neighbour, retag
from tests.properties.scenes import ALLOW, ways_of
from tests.properties.seeds import PHASES, SOAK, sampled
from tests.properties.watched import portrait, watched

if TYPE_CHECKING:
    from collections.abc import Collection

    from tests.harness import Spec

KINDS = load_kinds()
PAIRS = 20 if SOAK else 2
STAYS = frozenset({"key_pair", "instance_profile", "trust_store", "certificate", "log_bucket"})
"""Of these, what the spec no longer declares and nothing uses is found by `destroy` only (docs/spec.md)."""
TELL_OF_RECORDS = frozenset(
    {"vpc", "subnet", "internet_gateway", "route_table", "security_group", "instance", "load_balancer"}
)
"""Of a stack with none of these, records that have left the spec are found by `destroy` only (docs/spec.md)."""


@pytest.mark.usefixtures("only_fresh")
@pytest.mark.parametrize("kind", sampled(KINDS, 10))
def test_one_apply_leads_from_any_example_to_any_other(kind: str) -> None:
    """With anything said otherwise, and with another kind's example beside it or not. At most one in ten is refused."""
    ways: Counter[str] = Counter()

    @settings(max_examples=PAIRS, database=None, deadline=None, print_blob=True, phases=PHASES, derandomize=not SOAK)
    @given(pairs(kind))
    def check(pair: tuple[Spec, Spec]) -> None:
        ways[_check_pair(*pair)] += 1

    check()
    assert ways["converged"] >= 0.9 * ways.total(), ways


def test_what_only_destroy_finds_is_held_against_no_pair() -> None:
    """Found at length: certificates and a bucket that the spec no longer has, nor any other."""
    before, after = (
        Genome(tuple((kind, ()) for kind in ("target_group", *also))).spec() for also in (sorted(STAYS), ())
    )
    assert _check_pair(before, after) == "converged"


def _check_pair(before: Spec, after: Spec) -> str:
    one, other = ({address.kind for address in load(spec).desired} for spec in (before, after))
    with watched() as world:
        world.add_strangers()
        prepare(*sorted(one | other))
        empty = inventory(world)
        stays = STAYS if TELL_OF_RECORDS & one else STAYS | {"record"}
        try:
            world.converge(before, allow=ALLOW)
            world.clock.advance(6 * 3600)
            world.converge(after, allow=ALLOW)
        except (PlanError, RefusedError) as error:
            return str(error)
        found = portrait(world, after, besides=stays)
        if "record" in stays:  # nor does `destroy`, as long as something carries tags that don't tell of them
            world.apply(after, destroy=True, allow=ALLOW)
        world.destroy(after, allow=ALLOW)
        left = _without_kept(inventory(world), empty, before, after)
        assert left == empty
    with watched() as fresh:
        fresh.add_strangers()
        prepare(*sorted(other))
        try:
            fresh.converge(after, allow=ALLOW)
        except RefusedError as error:  # what is there may need less than what is made: a pool has no length of its own
            return str(error)
        new = portrait(fresh, after)
    # where others' are kept, so is what the first spec has declared
    keeping = {str(address) for address, item in load(after).desired.items() if item.lifecycle.keep_others}
    assert {key: found[key] for key in new.keys() - keeping} == {key: new[key] for key in new.keys() - keeping}
    return "converged"


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
