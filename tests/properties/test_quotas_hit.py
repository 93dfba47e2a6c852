"""Each quota is hit half-way, since somebody else has taken the last place after the plan."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID

from alb_reconcile.kinds import load_kinds
from alb_reconcile.model.errors import ReconcileError
from alb_reconcile.model.text import camel
from alb_reconcile.sandbox.strict.quotas import QUOTAS, STANDARD_VCPUS
from alb_reconcile.sandbox.strict.world import World as Place
from tests.harness import REGION
from tests.properties.campaign import told
from tests.properties.faults import spoilt
from tests.properties.scenarios import LAST_STATES, census, finish, look_of
from tests.properties.test_lives import begin, ways_of
from tests.properties.watched import watched

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.properties.scenarios import Way
    from tests.properties.watched import WatchedWorld

SOAK = bool(os.environ.get("SOAK"))
ACTIONS = {code: frozenset(actions) for code, _, _, actions in QUOTAS} | {STANDARD_VCPUS: frozenset({"RunInstances"})}
CASES = [
    (kind, code)
    for kind, how in load_kinds().items()
    for code, actions in ACTIONS.items()
    if actions & {action.partition(":")[2] for action in (*how.iam_actions.create, *how.iam_actions.update)}
]
"""Each quota with the kinds of which one may hit it."""


class Filled:
    """From the call of that number on that makes what is counted, there is no room any more."""

    def __init__(self, code: str, number: int = 0) -> None:
        self.counted = 0
        self._code, self._number = code, number

    def __call__(self, service: str, operation: str, call: Callable[[], Any]) -> Any:
        if camel(operation) in ACTIONS[self._code]:
            self.counted += 1
            if self.counted == self._number:
                Place(DEFAULT_ACCOUNT_ID, REGION).ledger.quotas[self._code] = 0.0
        return call()


def run(world: WatchedWorld, way: Way) -> str:
    """Go the way. Returns what the user is told of what wasn't done."""
    try:
        result = world.apply(way.target, **way.run_options)
    except ReconcileError as error:
        return told(error)
    return "\n".join([*result.failures, *result.problems])


@pytest.mark.parametrize(("kind", "code"), CASES if SOAK else CASES[::9])
def test_a_quota_that_is_hit_half_way_is_told_and_the_next_run_with_room_finishes(kind: str, code: str) -> None:
    """At the first and at the last call that it may refuse; at length at each."""
    wrong = list[str]()
    for name, way in ways_of(kind).items():
        with watched() as world:
            begin(world, kind, way)
            quotas = Place(DEFAULT_ACCOUNT_ID, REGION).ledger.quotas
            assert not quotas
            start, whole = world.moment(), Filled(code)
            with spoilt(world, whole):
                world.converge(way.target, **way.run_options)
            world.clock.advance(LAST_STATES)
            good = look_of(world, way), census(world)
            numbers = range(1, whole.counted + 1)
            for number in numbers if SOAK else {*numbers[:1], *numbers[-1:]}:
                world.go_back(start)
                try:
                    check(world, way, Filled(code, number), good)
                except AssertionError as error:
                    wrong.append(f"{name}, {code} at call {number}: {error}")
    assert not wrong, "\n\n".join(wrong)


def check(world: WatchedWorld, way: Way, filled: Filled, good: tuple[Any, Any]) -> None:
    """Twice in vain, and then with room."""
    with spoilt(world, filled):
        first = run(world, way)
    second = run(world, way)
    Place(DEFAULT_ACCOUNT_ID, REGION).ledger.quotas.clear()
    world.clock.advance(60)
    if first:  # what changes something that is there may need no more room
        for said in (first, second):
            assert "quota" in said, said
    finish(world, way, 1)
    world.clock.advance(LAST_STATES)
    assert (look_of(world, way), census(world)) == good
