"""Groups that take over, and lose targets in the same run."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.model.errors import RefusedError
from tests.harness import Spec, World, world
from tests.plan import targets
from tests.plan.targets import fall_ill, foreign, healthy, ids, listener, parked, rule, stop, turned, watched, web

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def here() -> Iterator[World]:
    """With reads that are ten seconds old."""
    with world(lag=10.0) as found:
        yield found


def with_rule(spec: Spec, group: str) -> Spec:
    """The same, with a rule of whose requests the group gets all."""
    after = copy.deepcopy(spec)
    listener(after)["rules"] = {"x": rule(50, "/x/*", group)}
    return after


def refused(here: World, after: Spec) -> str:
    """What a run says that must not turn the requests, which doesn't wait for what can't come."""
    low = watched(here)
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


@pytest.mark.slow
def test_the_healthy_target_that_leaves_does_not_count(here: World) -> None:
    spec = parked(web(2, "1"))
    spec["target_groups"]["green"]["targets"] = ["green"]
    here.converge(spec)
    known = fall_ill(here, spec, "green-1", group="green")
    after = turned(spec)
    after["instances"]["green"]["count"] = 1
    assert "has 0 healthy targets, and needs 1" in refused(here, after)
    here.strict.set_target_healthy(known["target_group.green"], known["instance.green-1"])
    here.clock.advance(300)
    here.converge(after)


def test_a_stopped_target_of_others_neither_counts_nor_is_waited_for(here: World) -> None:
    spec = with_rule(parked(web(2, "1"), 0), "web")
    spec["instances"]["green"]["state"] = "any"
    here.converge(spec)
    targets.by_hand(here, spec, ("green-1", "green-2"), "green")
    stop(here, ids(here, spec)["instance.green-1"])
    after = with_rule(spec, "green")
    after["instances"]["green"]["count"] = 1
    told = refused(here, after)
    assert "have no healthy target" in told or "has 0 healthy targets, and needs 1" in told


@pytest.mark.slow
def test_only_a_stopped_target_of_others_is_refused_soon(here: World) -> None:
    spec = parked(web(2, "1"))
    del spec["instances"]["green"]
    spec["target_groups"]["green"] |= {"targets": [], "others": "keep"}
    here.converge(spec)
    known = ids(here, spec)
    other = foreign(here, known["subnet.public-a"], known["target_group.green"])
    stop(here, other)
    assert "has 0 healthy targets, and needs 1" in refused(here, turned(spec))
    targets.start(here, other)
    here.converge(turned(spec))


def test_targets_that_drain_are_not_waited_for(here: World) -> None:
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
    low = watched(here)
    here.converge(after)
    assert min(low) == 1
    assert healthy(here, known["target_group.green"]) == 1


@pytest.mark.slow
def test_a_group_may_turn_and_be_replaced_in_one_run(here: World) -> None:
    spec = parked(web(2, "1"), 0)
    spec["target_groups"]["green"]["targets"] = ["green"]
    here.converge(spec)
    after = turned(spec)
    after["instances"]["green"]["user_data"] = "#!/bin/sh\nexec web-api 2\n"
    low = watched(here)
    here.converge(after, allow={"replace": 9})
    assert min(low) == 2


@pytest.mark.slow
def test_a_target_in_a_zone_that_the_load_balancer_gets_is_waited_for(here: World) -> None:
    spec = with_rule(parked(web(2, "1"), 0), "web")
    del spec["instances"]["green"]
    spec["subnets"]["c"] = {"cidr_block": "10.0.3.0/24", "availability_zone": "c"}
    spec["target_groups"]["green"] |= {"targets": [], "others": "keep"}
    here.converge(spec)
    known = ids(here, spec)
    foreign(here, known["subnet.c"], known["target_group.green"])
    after = with_rule(spec, "green")
    after["load_balancers"]["public"]["subnets"].append("c")
    low = watched(here)
    here.converge(after)
    assert min(low) >= 1


@pytest.mark.slow
def test_a_target_that_a_sync_leaves_alone_counts(here: World) -> None:
    spec = turned(parked(web(2, "1")))
    spec["target_groups"]["green"]["targets"] = ["green"]
    spec["instances"]["green"] = copy.deepcopy(spec["instances"]["web"])  # of which none may be missing
    here.converge(spec)
    known, elb = ids(here, spec), here.client("elbv2")
    foreign(here, known["subnet.public-a"], known["target_group.green"])
    fall_ill(here, spec, "green-1", group="green")
    forward = {"Type": "forward", "TargetGroupArn": known["target_group.web"]}
    elb.modify_listener(ListenerArn=known["listener.public/http"], DefaultActions=[forward])
    here.clock.advance(60)
    here.sync(spec)
    (told,) = elb.describe_listeners(ListenerArns=[known["listener.public/http"]])["Listeners"]
    (part,) = told["DefaultActions"][0]["ForwardConfig"]["TargetGroups"]
    assert part["TargetGroupArn"] == known["target_group.green"]
    assert healthy(here, known["target_group.green"]) == 2
