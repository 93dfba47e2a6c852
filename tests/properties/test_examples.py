"""What holds for any stack holds for every kind, and for the next one: pairs, kills, lost replies, lag and strangers, out of
each kind's `EXAMPLE`."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import Phase, given, settings
from moto.iam.models import iam_backends

from alb_reconcile.kinds import load_kinds
from alb_reconcile.model import tags
from alb_reconcile.model.errors import AwsError, PlanError, RefusedError
from tests.harness import by_hand
from tests.kinds.example import example_of
from tests.properties.examples import changed, pairs, prepare
from tests.properties.faults import Lost, spoilt
from tests.properties.scenarios import LAST_STATES, Way, census, finish, look_of
from tests.properties.test_bystanders import NEAR_MISSES
from tests.properties.watched import ACCOUNT, WatchedWorld, portrait, watched

if TYPE_CHECKING:
    from tests.harness import Spec

SOAK = bool(os.environ.get("SOAK"))
KINDS = load_kinds()
PAIRS = 60 if SOAK else 2
EVERY = 1 if SOAK else 7
"""Each kill, and each reply, in so many is tried."""
ALLOW = {
    "delete": 999, "replace": 999, "replace-load-balancer": 9, "delete-load-balancer": 9, "lift-protection": 9,
}  # fmt: skip
STAYS = frozenset({"key_pair", "instance_profile", "trust_store"})
"""Of these, what the spec no longer declares and nothing uses is found by `destroy` only (docs/spec.md)."""
every_kind = pytest.mark.parametrize("kind", KINDS)


def inventory(world: WatchedWorld) -> dict[str, Any]:
    """All that there is, roles and profiles included."""
    iam = iam_backends[ACCOUNT]["aws"]
    return {**world.strict.inventory(), **dict.fromkeys(iam.roles, "role"), **dict.fromkeys(iam.instance_profiles, "")}


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
@every_kind
def test_one_apply_leads_from_any_example_to_any_other(kind: str) -> None:
    """With anything said otherwise, and with another kind's example beside it or not. At most one in ten is refused."""
    ways: Counter[str] = Counter()

    @settings(
        max_examples=PAIRS, database=None, deadline=None, print_blob=True, phases=[Phase.generate], derandomize=not SOAK
    )
    @given(pairs(kind))
    def check(pair: tuple[Spec, Spec]) -> None:
        ways[_check_pair(*pair)] += 1

    check()
    assert ways["converged"] >= 0.9 * ways.total(), ways


def _check_pair(before: Spec, after: Spec) -> str:
    with watched() as world:
        world.add_strangers()
        prepare(*KINDS)
        empty = inventory(world)
        try:
            world.converge(before, allow=ALLOW)
            world.clock.advance(6 * 3600)
            world.converge(after, allow=ALLOW)
        except (PlanError, RefusedError) as error:
            return str(error)
        found = portrait(world, after, besides=STAYS)
        world.destroy(after, allow=ALLOW)
        assert _without_kept(inventory(world), before, after) == empty
    with watched() as fresh:
        fresh.add_strangers()
        prepare(*KINDS)
        fresh.converge(after, allow=ALLOW)
        assert portrait(fresh, after) == found
    return "converged"


def _without_kept(found: dict[str, Any], *specs: Spec) -> dict[str, Any]:
    """Without the volumes that a spec has outlive their instances."""
    keeps = "'delete_on_termination': False" in str(specs)
    return {key: item for key, item in found.items() if not (keeps and key.startswith("vol-"))}


@every_kind
def test_a_killed_run_is_finished_by_the_next(kind: str) -> None:
    """Each seventh moment of each part of its life, at length each."""
    wrong = []
    for name, way in ways_of(kind).items():
        with watched() as world:
            begin(world, kind, way)
            with world.moments() as moments:
                world.converge(way.target, **way.run_options)
            world.clock.advance(LAST_STATES)
            good = look_of(world, way), census(world)
            for moment in moments[len(name) % EVERY :: EVERY]:
                world.go_back(moment)
                try:
                    finish(world, way, 1)
                    world.clock.advance(LAST_STATES)
                    assert (look_of(world, way), census(world)) == good
                except AssertionError as error:
                    wrong.append(f"{name}, killed {moment.words}: {error}")
    assert not wrong, "\n\n".join(wrong)


@every_kind
def test_a_change_whose_reply_is_lost_is_made_once(kind: str) -> None:
    """Each seventh call of each part of its life, at length each."""
    wrong = []
    for name, way in ways_of(kind).items():
        with watched() as world:
            begin(world, kind, way)
            start = [world.moment() for _ in range(1)]
            writes = sum(world.converge(way.target, **way.run_options).writes.values())
            world.clock.advance(LAST_STATES)
            good = look_of(world, way), census(world)
            numbers = range(1 + len(kind) % EVERY, writes + 1, EVERY)
            world.go_back(start.pop())
            for number, moment in [(number, world.moment()) for number in numbers]:
                world.go_back(moment)
                lost = Lost(number, "InvalidResponse")
                try:
                    with (
                        spoilt(world, lost),
                        suppress(AwsError),
                    ):  # what ends the run before its first step, or after its last
                        world.apply(way.target, **way.run_options)
                    finish(world, way, 1)
                    world.clock.advance(LAST_STATES)
                    assert (look_of(world, way), census(world)) == good
                except AssertionError as error:
                    wrong.append(f"{name}, reply to {lost.lost} lost: {error}")
    assert not wrong, "\n\n".join(wrong)


@every_kind
def test_its_life_needs_one_run_each_however_far_reads_lag(kind: str) -> None:
    with watched() as world:
        prepare(kind)
        empty = inventory(world)
        world.strict.lag = 25.0
        for way in ("create", "change", "destroy"):
            if found := ways_of(kind).get(way):
                world.clock.advance(example_of(kind).rest)
                world.converge(found.target, **found.run_options)
        world.clock.advance(120)
        assert _without_kept(inventory(world), changed(kind)) == empty


NAMES = [item[tags.STACK] for item in NEAR_MISSES if tags.STACK in item]


@every_kind
def test_what_another_stack_has_of_it_stays_as_it_was(kind: str) -> None:
    """Also under a name that is nearly ours, and with tags that are nearly those."""
    example, options = example_of(kind), {"allow": {**ALLOW, **example_of(kind).allow}}
    for name in NAMES if SOAK else NAMES[len(kind) % len(NAMES) :][:1]:
        with watched() as world:
            prepare(kind)
            world.converge({**example.spec, "stack": "demo-2"}, **options)
            _retag(world, name)
            before = inventory(world)
            for spec in (example.spec, changed(kind)):
                world.clock.advance(example.rest)
                world.converge(spec, **options)
            world.destroy(changed(kind), **options)
            after = _without_kept(inventory(world), changed(kind))
            assert after == _without_kept(before, changed(kind))


def _retag(world: WatchedWorld, stack: str) -> None:
    """Let all that is a stack's be called another's."""
    for physical_id, item in world.strict.inventory().items():
        if any(tag["Key"] == tags.STACK for tag in item.get("Tags", ())):
            pair = {"Key": tags.STACK, "Value": stack}
            if physical_id.startswith("arn:"):
                by_hand("elbv2").add_tags(ResourceArns=[physical_id], Tags=[pair])
            else:
                by_hand("ec2").create_tags(Resources=[physical_id], Tags=[pair])
