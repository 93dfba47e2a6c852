"""Instances of the stack that others have registered, where the spec leaves a group's targets to them."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.model.errors import RefusedError
from tests.at_length import at_length
from tests.harness import Spec, World, world
from tests.plan.targets import GROUP, by_hand, foreign, healthy, ids, parked, watch, web

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@pytest.fixture
def here() -> Iterator[World]:
    with world() as found:
        yield found


def test_an_instance_that_others_registered_is_drained_before_it_goes(here: World) -> None:
    """Found: where the spec leaves a group's targets to others, the stack's own instances among them were terminated as they served."""
    before, after, smaller = (web(count, version) for count, version in ((2, "1"), (2, "2"), (1, "1")))
    for spec in (before, after, smaller):
        del spec["target_groups"]["web"]["targets"]
    here.converge(before)
    by_hand(here, before, ("web-1", "web-2"))
    assert here.plan(before).is_empty
    with pytest.raises(RefusedError, match=r"target_group\.web would .* --allow empty-target-group=1"):
        here.apply(after)
    known = ids(here, before)
    gone = [step.key.partition("@")[0] for step in here.converge(smaller).plan.steps]
    assert gone == ["delete:registration.web/web-2:80", "delete:instance.web-2"]
    left = here.client("elbv2").describe_target_health(TargetGroupArn=known[str(GROUP)])["TargetHealthDescriptions"]
    assert [item["Target"]["Id"] for item in left] == [known["instance.web-1"]]
    here.converge(after, allow={"empty-target-group": 1, "replace": 9})


@pytest.mark.parametrize("change", [{"instance_type": "t3.small"}, {"state": "stopped"}])
def test_an_instance_that_others_registered_is_not_stopped_as_it_serves(here: World, change: Spec) -> None:
    """Found: a traceback, as nobody had said how it returns."""
    spec = web(2, "1", max_unavailable=1)
    spec["instances"]["web"]["type_change"] = "in-place"
    del spec["target_groups"]["web"]["targets"]
    here.converge(spec)
    by_hand(here, spec, ("web-1", "web-2"))
    known = ids(here, spec)
    spec["instances"]["web"] |= change
    with pytest.raises(
        RefusedError, match=r"instance\.web-1 would be stopped while it serves in target_group\.web, where others"
    ):
        here.apply(spec)
    told = [{"Id": known[f"instance.web-{number}"]} for number in (1, 2)]
    here.client("elbv2").deregister_targets(TargetGroupArn=known[str(GROUP)], Targets=told)
    here.clock.advance(300)
    here.converge(spec)


@pytest.mark.parametrize(
    ("change", "weight"),
    [
        ({"instance_type": "t3.small"}, 0),
        ({"state": "stopped"}, None),
        *at_length(({"instance_type": "t3.small"}, None), ({"state": "stopped"}, 0)),
    ],
)
def test_an_instance_of_a_group_that_gets_no_requests_may_be_stopped(
    here: World, weight: int | None, change: Spec
) -> None:
    """Found: refused as if it served; where no listener knows the group, both were stopped at once."""
    spec = parked(web(2, "1"), weight)
    here.converge(spec)
    by_hand(here, spec, ("green-1", "green-2"), "green")
    spec["instances"]["green"] |= change
    stopped: list[int] = []
    real = here._call

    def call(service: str, operation: str, params: Mapping[str, Any]) -> Any:
        if operation == "stop_instances" and "DryRun" not in params:
            stopped.append(len(params["InstanceIds"]))
        return real(service, operation, params)

    here._call = call  # type: ignore[method-assign]
    here.converge(spec)
    assert stopped == [1, 1]


@pytest.mark.parametrize("change", [{"instance_type": "t3.small"}, {"state": "stopped"}])
def test_an_instance_that_serves_behind_another_stacks_load_balancer_is_not_stopped(here: World, change: Spec) -> None:
    """Found: all instances of the group were stopped at once, since no listener of the stack forwards to it."""
    spec = parked(web(2, "1"))
    here.converge(spec)
    known, elb = ids(here, spec), here.client("elbv2")
    (theirs,) = elb.create_load_balancer(
        Name="theirs",
        Subnets=[known["subnet.public-a"], known["subnet.public-b"]],
        SecurityGroups=[known["security_group.load-balancer"]],
    )["LoadBalancers"]
    here.clock.advance(300)
    forward = {"Type": "forward", "TargetGroupArn": known["target_group.green"]}
    elb.create_listener(LoadBalancerArn=theirs["LoadBalancerArn"], Protocol="HTTP", Port=80, DefaultActions=[forward])
    by_hand(here, spec, ("green-1", "green-2"), "green")
    assert healthy(here, known["target_group.green"]) == 2
    spec["instances"]["green"] |= change
    with pytest.raises(
        RefusedError, match=r"instance\.green-1 would be stopped while it serves in target_group\.green"
    ):
        here.apply(spec)
    assert healthy(here, known["target_group.green"]) == 2


@pytest.mark.parametrize("state", ["unhealthy", *at_length("stopped")])
def test_an_instance_that_does_not_serve_may_be_changed_though_others_registered_it(here: World, state: str) -> None:
    """Found: refused as if it served."""
    spec = web(2, "1", max_unavailable=1)
    spec["instances"]["spare"] = {**copy.deepcopy(spec["instances"]["web"]), "count": 1, "type_change": "in-place"}
    spec["instances"]["spare"]["state"] = "any"
    del spec["target_groups"]["web"]["targets"]
    here.converge(spec)
    by_hand(here, spec, ("web-1", "web-2", "spare-1"))
    known = ids(here, spec)
    if state == "stopped":
        here.client("ec2").stop_instances(InstanceIds=[known["instance.spare-1"]])
    else:
        here.strict.set_target_unhealthy(known[str(GROUP)], known["instance.spare-1"])
    here.clock.advance(300)
    spec["instances"]["spare"]["instance_type"] = "t3.small"
    result = here.apply(spec)
    assert not result.failures
    assert here.plan(spec).is_empty


def test_a_refusal_names_a_group_that_is_replaced_as_the_spec_does(here: World) -> None:
    """Found: by its ARN, twice."""
    spec = web(2, "1", max_unavailable=1)
    spec["instances"]["web"]["type_change"] = "in-place"
    del spec["target_groups"]["web"]["targets"]
    here.converge(spec)
    by_hand(here, spec, ("web-1", "web-2"))
    spec["target_groups"]["web"]["port"] = 8080
    spec["instances"]["web"]["instance_type"] = "t3.small"
    with pytest.raises(RefusedError, match=r"in target_group\.web, .* in the targets of target_group\.web$"):
        here.apply(spec)


def test_the_last_healthy_target_stays_where_others_register_them(here: World) -> None:
    """Found: one target was ill, and the one that served was terminated unasked."""
    spec = web(2, "1")
    del spec["target_groups"]["web"]["targets"]
    here.converge(spec)
    by_hand(here, spec, ("web-1", "web-2"))
    known = ids(here, spec)
    here.strict.set_target_unhealthy(known[str(GROUP)], known["instance.web-1"])
    here.clock.advance(300)
    spec["instances"]["web"]["count"] = 1
    with pytest.raises(
        RefusedError, match=r"target_group\.web would get requests and have no healthy target; allow .* --allow empty-"
    ):
        here.apply(spec)
    assert healthy(here, known[str(GROUP)]) == 1
    assert not here.apply(spec, allow={"empty-target-group": 1}).failures
    assert here.plan(spec).is_empty


@pytest.mark.parametrize(
    "change", [{"instance_type": "t3.small"}, {"state": "stopped"}, {"user_data": "#!/bin/sh\nexec web-api 2\n"}]
)
@pytest.mark.parametrize("by_rule", [True, *at_length(False)])
def test_a_group_that_gets_the_requests_in_the_same_run_keeps_its_targets(
    here: World, change: Spec, *, by_rule: bool
) -> None:
    """Found: it had no requests when the run began, so both of its targets were stopped, or terminated, when it had."""
    spec = parked(web(2, "1"), 0)
    listener = spec["load_balancers"]["public"]["listeners"]["http"]
    rule = {"priority": 50, "conditions": [{"path_pattern": ["/x/*"]}], "action": {"forward": "web"}}
    listener["rules"] = {"x": rule}
    if "user_data" in change:
        spec["instances"]["green"]["rollout"] = {"max_surge": 0, "max_unavailable": 1}
    here.converge(spec)
    by_hand(here, spec, ("green-1", "green-2"), "green")
    after = copy.deepcopy(spec)
    listener = after["load_balancers"]["public"]["listeners"]["http"]
    if by_rule:
        listener["rules"]["x"]["action"] = {"forward": "green"}
    else:
        listener["default_action"] = {"forward": "green"}
    after["instances"]["green"] |= change
    with pytest.raises(RefusedError, match=r"target_group\.green"):
        here.apply(after, allow={"replace": 9})
    after["instances"]["green"] = spec["instances"]["green"]
    here.converge(after)


def test_the_last_healthy_target_stays_though_others_keep_one_that_is_ill(here: World) -> None:
    """Found: it was taken, as the one that is ill stays."""
    spec = web(2, "1")
    spec["target_groups"]["web"]["others"] = "keep"
    here.converge(spec)
    known = ids(here, spec)
    other = foreign(here, known["subnet.public-a"])
    here.client("elbv2").register_targets(TargetGroupArn=known[str(GROUP)], Targets=[{"Id": other}])
    here.strict.set_target_unhealthy(known[str(GROUP)], other)
    here.clock.advance(300)
    assert here.plan(spec).is_empty
    spec["target_groups"]["web"]["targets"] = []
    with pytest.raises(RefusedError, match="have no healthy target"):
        here.apply(spec)


@pytest.mark.parametrize("others", ["a target less", *at_length("an entry less", "keep")])
def test_a_group_that_nobody_has_checked_takes_over_with_the_targets_that_stay(here: World, others: str) -> None:
    """Found: refused as if it had none; with `others: keep`, the requests turned to it before one was healthy."""
    spec = parked(web(2, "1"))
    spec["instances"]["blue"] = copy.deepcopy(spec["instances"]["green"])
    here.converge(spec)
    by_hand(here, spec, ("green-1", "green-2", "blue-1", "blue-2"), "green")
    after = copy.deepcopy(spec)
    if others == "a target less":
        after["instances"]["green"]["count"] = 1
    elif others == "an entry less":
        del after["instances"]["green"]
    else:
        after["target_groups"]["green"] |= {"targets": ["green"], "others": "keep"}
        del after["instances"]["blue"]
    after["load_balancers"]["public"]["listeners"]["http"]["default_action"] = {"forward": "green"}
    low: list[int] = []
    watch(here, low)
    here.converge(after)
    assert min(low) >= 1


def test_a_group_of_others_targets_only_waits_until_one_of_them_is_healthy(here: World) -> None:
    """Found: the requests turned to it before AWS had checked any."""
    spec = parked(web(2, "1"))
    del spec["instances"]["green"]
    spec["target_groups"]["green"] |= {"targets": [], "others": "keep"}
    here.converge(spec)
    known = ids(here, spec)
    other = foreign(here, known["subnet.public-a"])
    here.client("elbv2").register_targets(TargetGroupArn=known["target_group.green"], Targets=[{"Id": other}])
    here.clock.advance(300)
    spec["load_balancers"]["public"]["listeners"]["http"]["default_action"] = {"forward": "green"}
    low: list[int] = []
    watch(here, low)
    here.converge(spec)
    assert min(low) == 1
