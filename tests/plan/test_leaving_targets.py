"""Groups that take over, and lose targets in the same run."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.model.errors import RefusedError
from tests.at_length import at_length
from tests.harness import Spec, World, world
from tests.plan.targets import by_hand, foreign, healthy, ids, parked, watch, web

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=[10.0, *at_length(0.0, 2.0)])
def here(request: pytest.FixtureRequest) -> Iterator[World]:
    """With reads that are as old as that."""
    with world(lag=request.param) as found:
        yield found


def stop(here: World, instance: str) -> None:
    here.client("ec2").stop_instances(InstanceIds=[instance])
    here.clock.advance(300)


def fall_ill(here: World, group: str, instance: str) -> None:
    here.strict.set_target_unhealthy(group, instance)
    here.clock.advance(300)


def turned(spec: Spec, *, by_rule: bool = False) -> Spec:
    """The same, with all requests for `green`."""
    after = copy.deepcopy(spec)
    listener = after["load_balancers"]["public"]["listeners"]["http"]
    (listener["rules"]["x"] if by_rule else listener)["action" if by_rule else "default_action"] = {"forward": "green"}
    return after


def refused(here: World, after: Spec) -> str:
    """What a run says that must not turn the requests, which doesn't wait for what can't come."""
    low: list[int] = []
    watch(here, low)
    began = here.clock.now()
    try:
        result = here.apply(after, allow={"delete": 9, "replace": 9})
    except RefusedError as error:
        told = str(error)
    else:
        told = "\n".join(str(failure) for failure in result.failures)
    assert min(low, default=2) == 2
    assert here.clock.now() - began < 500
    return told


@pytest.mark.parametrize("weight", [None, *at_length(0)])
def test_the_healthy_target_that_leaves_does_not_count(here: World, weight: int | None) -> None:
    """Found: the other one was ill; the requests turned to the group at the moment at which its only healthy target left it."""
    spec = parked(web(2, "1"), weight)
    spec["target_groups"]["green"]["targets"] = ["green"]
    here.converge(spec)
    known = ids(here, spec)
    fall_ill(here, known["target_group.green"], known["instance.green-1"])
    after = turned(spec)
    after["instances"]["green"]["count"] = 1
    assert "has 0 healthy targets, and needs 1" in refused(here, after)
    here.strict.set_target_healthy(known["target_group.green"], known["instance.green-1"])
    here.clock.advance(300)
    here.converge(after)


@pytest.mark.parametrize("weight", [0, *at_length(None)])
@pytest.mark.parametrize("by_rule", [True, *at_length(False)])
def test_a_stopped_target_of_others_neither_counts_nor_is_waited_for(
    here: World, weight: int | None, *, by_rule: bool
) -> None:
    """Found: it was taken for a sign that nobody checks the group, so that the requests turned as its last healthy target left."""
    spec = parked(web(2, "1"), weight)
    spec["instances"]["green"]["state"] = "any"
    if by_rule:
        rule = {"priority": 50, "conditions": [{"path_pattern": ["/x/*"]}], "action": {"forward": "web"}}
        spec["load_balancers"]["public"]["listeners"]["http"]["rules"] = {"x": rule}
    here.converge(spec)
    by_hand(here, spec, ("green-1", "green-2"), "green")
    stop(here, ids(here, spec)["instance.green-1"])
    after = turned(spec, by_rule=by_rule)
    after["instances"]["green"]["count"] = 1
    told = refused(here, after)
    assert "have no healthy target" in told or "has 0 healthy targets, and needs 1" in told


def test_only_a_stopped_target_of_others_is_refused_soon(here: World) -> None:
    """Found: it was waited for, ten minutes long."""
    spec = parked(web(2, "1"))
    del spec["instances"]["green"]
    spec["target_groups"]["green"] |= {"targets": [], "others": "keep"}
    here.converge(spec)
    known = ids(here, spec)
    other = foreign(here, known["subnet.public-a"])
    here.client("elbv2").register_targets(TargetGroupArn=known["target_group.green"], Targets=[{"Id": other}])
    here.clock.advance(300)
    stop(here, other)
    assert "has 0 healthy targets, and needs 1" in refused(here, turned(spec))
    here.client("ec2").start_instances(InstanceIds=[other])
    here.clock.advance(300)
    here.converge(turned(spec))


def test_targets_that_drain_are_not_waited_for(here: World) -> None:
    """Found: somebody had deregistered them by hand, and they counted as targets of others."""
    spec = parked(web(2, "1"), 0)
    spec["target_groups"]["green"] |= {
        "targets": ["green"],
        "attributes": {"deregistration_delay.timeout_seconds": 3600},
    }
    here.converge(spec)
    known = ids(here, spec)
    told = [{"Id": known[f"instance.green-{number}"]} for number in (1, 2)]
    here.client("elbv2").deregister_targets(TargetGroupArn=known["target_group.green"], Targets=told)
    here.clock.advance(15)
    spec["target_groups"]["green"]["targets"] = []
    assert here.plan(spec).is_empty
    assert not here.apply(turned(spec), allow={"empty-target-group": 1}).failures


def test_a_group_may_turn_and_shrink_in_one_run(here: World) -> None:
    spec = parked(web(2, "1"), 0)
    spec["target_groups"]["green"]["targets"] = ["green"]
    here.converge(spec)
    known = ids(here, spec)
    after = turned(spec)
    after["instances"]["green"]["count"] = 1
    low: list[int] = []
    watch(here, low)
    here.converge(after)
    assert min(low) == 1
    assert healthy(here, known["target_group.green"]) == 1


def test_a_group_may_turn_and_be_replaced_in_one_run(here: World) -> None:
    spec = parked(web(2, "1"), 0)
    spec["target_groups"]["green"]["targets"] = ["green"]
    here.converge(spec)
    after = turned(spec)
    after["instances"]["green"]["user_data"] = "#!/bin/sh\nexec web-api 2\n"
    low: list[int] = []
    watch(here, low)
    here.converge(after, allow={"replace": 9})
    assert min(low) == 2


@pytest.mark.parametrize("by_rule", [True, *at_length(False)])
def test_a_target_in_a_zone_that_the_load_balancer_gets_is_waited_for(here: World, *, by_rule: bool) -> None:
    """Found: the plan was refused, as if that target were ill."""
    spec = parked(web(2, "1"), 0)
    del spec["instances"]["green"]
    spec["subnets"]["c"] = {"cidr_block": "10.0.3.0/24", "availability_zone": "c"}
    spec["target_groups"]["green"] |= {"targets": [], "others": "keep"}
    if by_rule:
        rule = {"priority": 50, "conditions": [{"path_pattern": ["/x/*"]}], "action": {"forward": "web"}}
        spec["load_balancers"]["public"]["listeners"]["http"]["rules"] = {"x": rule}
    here.converge(spec)
    known = ids(here, spec)
    other = foreign(here, known["subnet.c"])
    here.client("elbv2").register_targets(TargetGroupArn=known["target_group.green"], Targets=[{"Id": other}])
    here.clock.advance(300)
    after = turned(spec, by_rule=by_rule)
    after["load_balancers"]["public"]["subnets"].append("c")
    low: list[int] = []
    watch(here, low)
    here.converge(after)
    assert min(low) >= 1


def test_a_target_that_a_sync_leaves_alone_counts(here: World) -> None:
    """Found: it takes nothing away by itself, but turned the requests back as if that target were to go."""
    spec = turned(parked(web(2, "1")))
    spec["target_groups"]["green"]["targets"] = ["green"]
    spec["instances"]["green"] = copy.deepcopy(spec["instances"]["web"])  # of which none may be missing
    here.converge(spec)
    known, elb = ids(here, spec), here.client("elbv2")
    other = foreign(here, known["subnet.public-a"])
    elb.register_targets(TargetGroupArn=known["target_group.green"], Targets=[{"Id": other}])
    fall_ill(here, known["target_group.green"], known["instance.green-1"])
    forward = {"Type": "forward", "TargetGroupArn": known["target_group.web"]}
    elb.modify_listener(ListenerArn=known["listener.public/http"], DefaultActions=[forward])
    here.clock.advance(60)
    here.sync(spec)
    (told,) = elb.describe_listeners(ListenerArns=[known["listener.public/http"]])["Listeners"]
    (part,) = told["DefaultActions"][0]["ForwardConfig"]["TargetGroups"]
    assert part["TargetGroupArn"] == known["target_group.green"]
    assert healthy(here, known["target_group.green"]) == 2
