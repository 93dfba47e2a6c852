"""Instances that are restarted in the run in which listeners or rules turn to the target groups that they are in."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from tests.harness import Spec, World, demo, world
from tests.plan.targets import ids, parked, watch, web

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@pytest.fixture(params=[0.0, 2.0, 10.0])
def here(request: pytest.FixtureRequest) -> Iterator[World]:
    """With reads that are as old as that."""
    with world(lag=request.param) as found:
        yield found


def in_two_groups(count: int, unavailable: int, target_type: str) -> Spec:
    """Instances in two target groups, of which each has half of the requests."""
    spec = demo()
    web = spec["instances"]["web"]
    web |= {"count": count, "type_change": "in-place", "rollout": {"max_unavailable": unavailable}}
    groups = spec["target_groups"]
    groups["api"] = copy.deepcopy(groups["web"])
    groups["web"]["target_type"] = target_type
    halves = [{"target_group": name, "weight": 50} for name in groups]
    spec["load_balancers"]["public"]["listeners"]["http"]["default_action"] = {"forward": {"target_groups": halves}}
    return spec


def in_one_group(spec: Spec) -> Spec:
    """The same with one of the two, and of another type, for which an instance is stopped."""
    after = copy.deepcopy(spec)
    after["instances"]["web"]["instance_type"] = "t3.small"
    del after["target_groups"]["api"]
    after["load_balancers"]["public"]["listeners"]["http"]["default_action"] = {"forward": "web"}
    return after


@pytest.mark.parametrize("target_type", ["instance", "ip"])
@pytest.mark.parametrize(("count", "unavailable"), [(1, 1), (2, 1), (2, 2), (3, 2)])
def test_requests_turn_before_the_targets_are_restarted(
    here: World, count: int, unavailable: int, target_type: str
) -> None:
    """Found: all targets left the group that was to take over, which waited for them, and they for it, until the run failed."""
    spec = in_two_groups(count, unavailable, target_type)
    here.converge(spec)
    here.converge(in_one_group(spec))


@pytest.mark.parametrize(("count", "unavailable"), [(1, 1), (2, 2), (3, 1)])
def test_requests_turn_to_targets_that_have_been_restarted(here: World, count: int, unavailable: int) -> None:
    """They turned in the midst of the restarts, if the targets that were there were just enough."""
    spec = parked(web(count, "1"), 0)
    spec["target_groups"]["green"]["targets"] = ["green"]
    spec["instances"]["green"]["rollout"] = {"max_unavailable": unavailable}
    here.converge(spec)
    low: list[int] = []
    watch(here, low)
    after = copy.deepcopy(spec)
    after["instances"]["green"]["instance_type"] = "t3.small"
    after["load_balancers"]["public"]["listeners"]["http"]["default_action"] = {"forward": "green"}
    here.converge(after)
    assert min(low) == count


def test_requests_turn_to_targets_that_a_restart_heals(here: World) -> None:
    """What is ill isn't waited for before it is restarted."""
    spec = parked(web(1, "1"), 0)
    spec["target_groups"]["green"]["targets"] = ["green"]
    here.converge(spec)
    known = ids(here, spec)
    group, instance = known["target_group.green"], known["instance.green-1"]
    here.strict.set_target_unhealthy(group, instance)
    here.clock.advance(300)
    real = here._call

    def heal(service: str, operation: str, params: Mapping[str, Any]) -> Any:
        if operation == "start_instances":
            here.strict.set_target_healthy(group, instance)
        return real(service, operation, params)

    here._call = heal  # type: ignore[method-assign]
    after = copy.deepcopy(spec)
    after["instances"]["green"]["instance_type"] = "t3.small"
    after["load_balancers"]["public"]["listeners"]["http"]["default_action"] = {"forward": "green"}
    here.converge(after)
