"""Targets whose instance is stopped, as `state: any` allows."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.model.errors import RefusedError
from tests.at_length import at_length
from tests.harness import Spec, World, world
from tests.plan.targets import GROUP, healthy, ids, watch, web

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@pytest.fixture
def here() -> Iterator[World]:
    with world() as found:
        yield found


def test_a_target_that_rests_is_named_where_the_last_one_is_to_leave(here: World) -> None:
    """Found: who waited in vain for another one wasn't told that somebody had stopped it."""
    spec = web(2, "one", health_timeout="2m")
    spec["instances"]["web"]["state"] = "any"
    here.converge(spec)
    stopped = ids(here, spec)["instance.web-1"]
    here.client("ec2").stop_instances(InstanceIds=[stopped])
    here.clock.advance(300)
    spec["instances"]["web"]["count"] = 1
    (failure, *_) = here.apply(spec, timeout=60).failures
    assert f"(now 0; {stopped}:80 is unused, Target.InvalidState." in failure, failure
    here.client("ec2").start_instances(InstanceIds=[stopped])
    here.clock.advance(300)
    here.converge(spec)


def test_who_takes_over_does_not_wait_for_a_target_that_rests(here: World) -> None:
    """Found: a stopped instance, as `state: any` allows, was waited for as if it could get healthy, and the run failed."""
    before = web(2, "one")
    before["instances"]["web"]["state"] = "any"
    before["target_groups"]["green"] = copy.deepcopy(before["target_groups"]["web"])
    here.converge(before)
    here.client("ec2").stop_instances(InstanceIds=[ids(here, before)["instance.web-2"]])
    here.clock.advance(300)
    after = copy.deepcopy(before)
    after["load_balancers"]["public"]["listeners"]["http"]["default_action"] = {"forward": "green"}
    here.converge(after)


def forwarding(spec: Spec, group: str) -> Spec:
    other = copy.deepcopy(spec)
    other["load_balancers"]["public"]["listeners"]["http"]["default_action"] = {"forward": group}
    return other


def beside(spec: Spec, count: int, **group: Any) -> Spec:
    """Another group, of instances of its own that may rest."""
    other = copy.deepcopy(spec)
    other["instances"]["green"] = {**copy.deepcopy(spec["instances"]["web"]), "count": count, "state": "any"}
    other["target_groups"]["green"] = {**copy.deepcopy(spec["target_groups"]["web"]), "targets": ["green"], **group}
    return other


def stop(here: World, spec: Spec, *names: str) -> None:
    known = ids(here, spec)
    here.client("ec2").stop_instances(InstanceIds=[known[f"instance.{name}"] for name in names])
    here.clock.advance(300)


@pytest.mark.parametrize(
    ("serving", "are_registered"),
    [(1, False), (3, True), *at_length((1, True), (2, False), (2, True), (3, False))],
)
def test_a_group_takes_over_with_no_fewer_targets_than_serve(
    here: World, serving: int, *, are_registered: bool
) -> None:
    """Found: three targets gave way to one, since the other two of the group that took over were stopped."""
    alone = web(serving, "one")
    before = beside(alone, 3)
    if not are_registered:
        del before["target_groups"]["green"]
    here.converge(before)
    stop(here, before, "green-2", "green-3")
    before = beside(alone, 3)
    here.converge(before)
    low: list[int] = []
    watch(here, low)
    after = forwarding(before, "green")
    if serving > 1:
        text = (
            rf"^listener\.public/http: target_group\.green can have 1 healthy targets at most, and needs {serving} before it gets "
            r"requests that others serve now; start instance\.green-2, instance\.green-3, or declare more targets for it$"
        )
        with pytest.raises(RefusedError, match=text):
            here.apply(after)
        after["instances"]["green"]["state"] = "running"
    here.converge(after)
    assert min(low) == serving


DEFAULT: Spec = {}


@pytest.mark.parametrize(("count", "least"), [(1, {}), (2, {"min_healthy": 2}), (2, {})])
@pytest.mark.parametrize("rollout", [{"max_unavailable": 1}, *at_length(DEFAULT)])
def test_a_group_with_too_many_targets_that_rest_is_refused_at_once(
    here: World, count: int, least: Spec, rollout: Spec
) -> None:
    """They needn't run, but whoever serves goes on until they do. Found: the run waited for ten minutes, and named none of them."""
    before = beside(web(2, "one"), count, **least)
    before["instances"]["green"]["rollout"] = rollout
    here.converge(before)
    stop(here, before, "green-1")
    after = forwarding(before, "green")
    if not rollout or count == 1 or least:
        with pytest.raises(RefusedError, match=rf"can have {count - 1} .* start instance\.green-1, or "):
            here.apply(after)
        here.client("ec2").start_instances(InstanceIds=[ids(here, before)["instance.green-1"]])
        here.clock.advance(300)
    here.converge(after)


@pytest.mark.parametrize("is_checked", [True, False])
@pytest.mark.parametrize("are_registered", [True, False])
def test_a_new_rule_gives_no_requests_to_targets_that_rest(
    here: World, *, are_registered: bool, is_checked: bool
) -> None:
    """Found: it took over from a rule that went, all targets of its group were stopped, and clients got 503."""
    before = beside(web(2, "one"), 2)
    rules = {"old": {"priority": 50, "conditions": [{"path_pattern": ["/x/*"]}], "action": {"forward": "web"}}}
    forward = {"target_groups": [{"target_group": "web", "weight": 1}, {"target_group": "green", "weight": 0}]}
    listener = before["load_balancers"]["public"]["listeners"]["http"]
    listener |= {"rules": rules, "default_action": {"forward": forward if is_checked else "web"}}
    first = copy.deepcopy(before)
    if not are_registered:
        del first["target_groups"]["green"]
        first["load_balancers"]["public"]["listeners"]["http"]["default_action"] = {"forward": "web"}
    here.converge(first)
    stop(here, before, "green-1", "green-2")
    here.converge(before)
    after = copy.deepcopy(before)
    rules = after["load_balancers"]["public"]["listeners"]["http"]["rules"]
    rules["new"] = {**rules.pop("old"), "priority": 60, "action": {"forward": "green"}}
    with pytest.raises(RefusedError, match=r"start instance\.green-1, instance\.green-2, or "):
        here.apply(after)


def test_who_takes_over_waits_for_all_that_run(here: World) -> None:
    """Found: as many as had served were enough, as soon as one target rested."""
    before = web(1, "one")
    here.converge(before)
    first = beside(before, 4) | {"target_groups": before["target_groups"]}
    here.converge(first)
    stop(here, first, "green-4")
    seen: list[int] = []
    real = here._call

    def call(service: str, operation: str, params: Mapping[str, Any]) -> Any:
        if operation == "modify_listener":
            groups = here.client("elbv2").describe_target_groups()["TargetGroups"]
            seen.append(max(healthy(here, item["TargetGroupArn"]) for item in groups))
        return real(service, operation, params)

    here._call = call  # type: ignore[method-assign]
    here.converge(forwarding(beside(before, 4), "green"))
    assert seen[-1] == 3


def test_no_target_is_enough_where_one_serves_though_one_may_be_missing(here: World) -> None:
    """Found: a group whose only registered target was ill took over from one that served, as the other one was stopped."""
    alone = web(1, "one")
    before = beside(alone, 2)
    before["instances"]["green"]["rollout"] = {"max_unavailable": 1}
    after = copy.deepcopy(before)
    del before["target_groups"]["green"]
    here.converge(before)
    stop(here, before, "green-2")
    here.converge(after)
    known = ids(here, after)
    here.strict.set_target_unhealthy(known["target_group.green"], known["instance.green-1"])
    here.clock.advance(300)
    low: list[int] = []
    watch(here, low)
    assert any("has 0 healthy targets, and needs 1" in text for text in here.apply(forwarding(after, "green")).failures)
    assert min(low) == 1


def test_who_takes_over_waits_neither_for_what_rests_nor_for_what_is_ill(here: World) -> None:
    """Found: one target was stopped, another failed its checks in both groups, and the run waited for the two of them."""
    before = web(3, "one")
    before["instances"]["web"]["state"] = "any"
    before["target_groups"]["green"] = copy.deepcopy(before["target_groups"]["web"])
    here.converge(before)
    known = ids(here, before)
    stop(here, before, "web-2")
    for group in ("web", "green"):
        here.strict.set_target_unhealthy(known[f"target_group.{group}"], known["instance.web-3"])
    here.clock.advance(300)
    result = here.apply(forwarding(before, "green"))
    assert not result.failures
    assert result.rest is not None
    assert result.rest.is_empty


def test_an_instance_that_a_change_starts_is_registered_before_another_one_leaves(here: World) -> None:
    """Found: it was taken for one that rests; the only target left meanwhile, and a second apply was needed."""
    spec = web(2, "one", max_unavailable=1)
    spec["instances"]["web"] |= {"type_change": "in-place", "state": "any"}
    here.converge(spec)
    known = ids(here, spec)
    stop(here, spec, "web-2")
    here.client("elbv2").deregister_targets(TargetGroupArn=known[str(GROUP)], Targets=[{"Id": known["instance.web-2"]}])
    here.clock.advance(300)
    assert here.plan(spec).is_empty
    spec["instances"]["web"]["instance_type"] = "t3.small"
    low: list[int] = []
    watch(here, low)
    here.converge(spec)
    assert min(low) == 1
