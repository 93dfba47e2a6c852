"""What holds for any stack holds for every kind, and for the next one: pairs, kills, lost replies, lag and strangers, out of
each kind's `EXAMPLE`."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings

from alb_reconcile.kinds import load_kinds
from alb_reconcile.model.errors import AwsError, PlanError, RefusedError
from tests.harness import load
from tests.kinds.example import example_of
from tests.properties.examples import Genome, changed, pairs, prepare
from tests.properties.faults import Lost, spoilt
from tests.properties.near_misses import NEAR_MISSES
from tests.properties.neighbours import inventory, neighbour, retag
from tests.properties.scenarios import LAST_STATES, Way, census, finish, look_of
from tests.properties.seeds import PHASES
from tests.properties.watched import WatchedWorld, portrait, watched

if TYPE_CHECKING:
    from collections.abc import Collection

    from tests.harness import Spec

SOAK = bool(os.environ.get("SOAK"))
KINDS = load_kinds()
PAIRS = 20 if SOAK else 2
EVERY = 1 if SOAK else 37
"""Each kill, and each reply, in so many is tried."""
ALLOW = {
    "delete": 999, "replace": 999, "replace-load-balancer": 9, "delete-elastic-ip": 9, "delete-load-balancer": 9, "lift-protection": 9,
    "empty-target-group": 9, "close": 99, "gap": 99,
}  # fmt: skip
STAYS = frozenset({"key_pair", "instance_profile", "trust_store", "certificate", "log_bucket"})
"""Of these, what the spec no longer declares and nothing uses is found by `destroy` only (docs/spec.md)."""
TELL_OF_RECORDS = frozenset(
    {"vpc", "subnet", "internet_gateway", "route_table", "security_group", "instance", "load_balancer"}
)
"""Of a stack with none of these, records that have left the spec are found by `destroy` only (docs/spec.md)."""
every_kind = pytest.mark.parametrize("kind", KINDS)


def ways_of(kind: str) -> dict[str, Way]:
    """The life of a kind's example: made, changed in all that can be changed at once, and destroyed."""
    example = example_of(kind)
    options = {"allow": {**ALLOW, **example.allow}}
    one, other = (lambda: example.spec), (lambda: changed(kind))
    ways = {"create": Way(None, one, options=options), "destroy": Way(other, None, options=options)}
    return ways if changed(kind) == example.spec else {**ways, "change": Way(one, other, options=options)}


def begin(world: WatchedWorld, kind: str, way: Way) -> None:
    prepare(kind)
    if way.before:
        world.converge(way.before(), **way.options)
    world.clock.advance(example_of(kind).rest)


@pytest.mark.usefixtures("only_fresh")
@(every_kind if SOAK else pytest.mark.parametrize("kind", [*KINDS][0::8]))
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


@(every_kind if SOAK else pytest.mark.parametrize("kind", [*KINDS][1::3]))
def test_a_run_that_is_cut_short_is_finished_by_the_next(kind: str) -> None:
    """Killed, or without a reply: at some of the moments, and of the calls, of each part of its life; at length each."""
    wrong = []
    for name, way in ways_of(kind).items():
        with watched() as world:
            begin(world, kind, way)
            start = world.moment()
            with world.moments(len(name) % EVERY, EVERY) as moments:
                writes = sum(world.converge(way.target, **way.run_options).writes.values())
            good = _end_of(world, way)
            for moment in moments:
                world.go_back(moment)
                world.clock.advance(example_of(kind).hidden)
                wrong += _finished(world, way, good, f"{name}, killed {moment.words}")
            for number in range(1 + len(kind) % EVERY, writes + 1, EVERY):
                world.go_back(start)
                lost = Lost(number, "InvalidResponse")
                # what ends a run before its first step or after its last is raised
                with spoilt(world, lost), suppress(AwsError):
                    world.apply(way.target, **way.run_options)
                world.clock.advance(example_of(kind).hidden)
                wrong += _finished(world, way, good, f"{name}, reply to {lost.lost} lost")
    assert not wrong, "\n\n".join(wrong)


def _end_of(world: WatchedWorld, way: Way) -> tuple[Any, Any]:
    world.clock.advance(LAST_STATES)
    return look_of(world, way), census(world)


def _finished(world: WatchedWorld, way: Way, good: tuple[Any, Any], words: str) -> list[str]:
    """Run again. Returns what was wrong then, if anything."""
    try:
        finish(world, way, 1)
        assert _end_of(world, way) == good
    except AssertionError as error:
        return [f"{words}: {error}"]
    return []


@(every_kind if SOAK else pytest.mark.parametrize("kind", [*KINDS][2::3]))
def test_its_life_needs_one_run_each_and_leaves_what_other_stacks_have_of_it(kind: str) -> None:
    """With reads that are 25 s behind, beside others whose tags are nearly ours: two, and at length one for each near miss."""
    example = example_of(kind)
    number = list(KINDS).index(kind)
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
