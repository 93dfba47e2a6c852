"""Each quota is hit half-way, since somebody else has taken the last place after the plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID

from alb_reconcile.kinds import load_kinds
from alb_reconcile.model.errors import AwsError, ReconcileError
from alb_reconcile.model.text import camel
from alb_reconcile.sandbox.strict.quotas import (
    GROUPS_A_BALANCER,
    LIMITS,
    QUOTAS,
    STANDARD_VCPUS,
    TARGETS_A_BALANCER,
)
from alb_reconcile.sandbox.strict.world import World as Place
from tests.harness import REGION, demo
from tests.properties.campaign import begin, told
from tests.properties.faults import spoilt
from tests.properties.scenarios import LAST_STATES, Way, census, finish, look_of, regrouped, scaled, with_rule
from tests.properties.scenes import ways_of
from tests.properties.seeds import sampled
from tests.properties.watched import watched

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.harness import Spec
    from tests.properties.watched import WatchedWorld

ERRORS = {code: error for code, _, error, _ in QUOTAS} | {STANDARD_VCPUS: "VcpuLimitExceeded"}
"""What AWS refuses with, by the quota's code."""
ACTIONS = {code: frozenset(actions) for code, _, _, actions in QUOTAS} | {STANDARD_VCPUS: frozenset({"RunInstances"})}
"""The actions that it refuses."""
NOT_FILLED = {
    "L-FB94F0B0": "names of a certificate: the sandbox knows AWS's default only, which it always refuses to exceed",
    "L-83CA0A9D": "IPv4 ranges of a VPC: the same",
    "L-45FE3B85": "egress-only internet gateways: the sandbox doesn't count them",
}
"""The kinds' quotas that nobody can fill here, each with the reason."""
CASES = [
    f"{kind} {code}"
    for kind, how in load_kinds().items()
    for code, actions in ACTIONS.items()
    if actions & {action.partition(":")[2] for action in (*how.iam_actions.create, *how.iam_actions.update)}
]
"""Each quota with the kinds of which one may hit it."""


def v2_to(group: str) -> Spec:
    """The demo with a rule that forwards to that group, which has one of its own as well."""
    spec = with_rule()
    spec["load_balancers"]["public"]["listeners"]["http"]["rules"]["v2"]["action"] = {"forward": group}
    return spec


BALANCED = {
    ("listener", GROUPS_A_BALANCER): {"create": Way(None, demo), "another group": Way(demo, regrouped)},
    ("rule", GROUPS_A_BALANCER): {
        "a new rule": Way(demo, with_rule),
        "a rule's other group": Way(lambda: v2_to("web"), with_rule),
    },
    ("registration", TARGETS_A_BALANCER): {"create": Way(None, demo), "scale out": Way(demo, lambda: scaled(4))},
}
"""What a load balancer forwards to is hit on these ways: the kinds' examples forward to nothing."""


class Filled:
    """From the call of that number on that makes what is counted, there is no room any more."""

    def __init__(self, code: str, number: int = 0) -> None:
        self.counted = 0
        self.is_hit = False
        """Whether a call was refused for it."""
        self._code, self._number = code, number

    def __call__(self, service: str, operation: str, call: Callable[[], Any]) -> Any:
        if camel(operation) in ACTIONS[self._code]:
            self.counted += 1
            if self.counted == self._number:
                Place(DEFAULT_ACCOUNT_ID, REGION).ledger.quotas[self._code] = 0.0
        try:
            return call()
        except AwsError as error:
            self.is_hit = self.is_hit or error.code == ERRORS[self._code]
            raise


def run(world: WatchedWorld, way: Way) -> str:
    """Go the way. Returns what the user is told of what wasn't done."""
    try:
        result = world.apply(way.target, **way.run_options)
    except ReconcileError as error:
        return told(error)
    return "\n".join([*result.failures, *result.problems])


def test_each_quota_is_one_that_a_kind_may_hit() -> None:
    assert {case.split()[1] for case in CASES} == ACTIONS.keys()
    assert {" ".join(case) for case in BALANCED} <= set(CASES)
    named = {name: code for name, (code, _) in LIMITS.items()}
    stated = {named.get(quota.code, quota.code) for kind in load_kinds().values() for quota in kind.quotas}
    assert stated - ACTIONS.keys() == NOT_FILLED.keys()


@pytest.mark.parametrize("case", sampled(CASES, 12))
def test_a_quota_that_is_hit_half_way_is_told_and_the_next_run_with_room_finishes(case: str) -> None:
    """At the first and at the last call that it may refuse. Some change what is there, for which there is room;
    one at least is refused."""
    wrong = list[str]()
    kind, code = case.split()
    hits = 0
    for name, way in BALANCED.get((kind, code), ways_of(kind)).items():
        with watched() as world:
            way.prepare()
            begin(world, way)
            quotas = Place(DEFAULT_ACCOUNT_ID, REGION).ledger.quotas
            assert not quotas
            start, whole = world.moment(), Filled(code)
            with spoilt(world, whole):
                world.converge(way.target, **way.run_options)
            world.clock.advance(LAST_STATES)
            good = look_of(world, way), census(world)
            numbers = range(1, whole.counted + 1)
            for number in sorted({*numbers[:1], *numbers[-1:]}):
                world.go_back(start)
                filled = Filled(code, number)
                try:
                    check(world, way, filled, good)
                except AssertionError as error:
                    wrong.append(f"{name}, {code} at call {number}: {error}")
                hits += filled.is_hit
    assert not wrong, "\n\n".join(wrong)
    assert hits, f"no call is refused for {code}"


def check(world: WatchedWorld, way: Way, filled: Filled, good: tuple[Any, Any]) -> None:
    """Twice in vain, if it is hit, and then with room."""
    with spoilt(world, filled):
        first = run(world, way)
    second = run(world, way)
    Place(DEFAULT_ACCOUNT_ID, REGION).ledger.quotas.clear()
    world.clock.advance(60)
    for said in (first, second):
        assert ("quota" in said) if filled.is_hit else not said, f"hit: {filled.is_hit}, told: {said or 'nothing'}"
    finish(world, way, 1)
    world.clock.advance(LAST_STATES)
    assert (look_of(world, way), census(world)) == good
