"""Instances of the stack that others have registered, where the spec leaves a group's targets to them."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.model.errors import RefusedError
from tests.plan import targets
from tests.plan.targets import GROUP, by_hand, fall_ill, foreign, healthy, ids, listener, parked, rule, turned, web

if TYPE_CHECKING:
    from tests.harness import Spec, World


def test_an_instance_that_others_registered_is_drained_before_it_goes(here: World) -> None:
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
    targets.deregister(here, known[str(GROUP)], known["instance.web-1"], known["instance.web-2"])
    here.converge(spec)


@pytest.mark.parametrize(
    ("change", "weight"),
    [({"instance_type": "t3.small"}, 0), ({"state": "stopped"}, None)],
)
def test_an_instance_of_a_group_that_gets_no_requests_may_be_stopped(
    here: World, weight: int | None, change: Spec
) -> None:
    spec = parked(web(2, "1"), weight)
    here.converge(spec)
    by_hand(here, spec, ("green-1", "green-2"), "green")
    spec["instances"]["green"] |= change
    stopped: list[int] = []
    targets.before_each(here, lambda _, params: stopped.append(len(params["InstanceIds"])), "stop_instances")
    here.converge(spec)
    assert stopped == [1, 1]


@pytest.mark.parametrize("change", [{"instance_type": "t3.small"}, {"state": "stopped"}])
def test_an_instance_that_serves_behind_another_stacks_load_balancer_is_not_stopped(here: World, change: Spec) -> None:
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


@pytest.mark.parametrize("state", ["unhealthy", "stopped"])
def test_an_instance_that_does_not_serve_may_be_changed_though_others_registered_it(here: World, state: str) -> None:
    spec = web(2, "1", max_unavailable=1)
    spec["instances"]["spare"] = {**copy.deepcopy(spec["instances"]["web"]), "count": 1, "type_change": "in-place"}
    spec["instances"]["spare"]["state"] = "any"
    del spec["target_groups"]["web"]["targets"]
    here.converge(spec)
    by_hand(here, spec, ("web-1", "web-2", "spare-1"))
    if state == "stopped":
        targets.stop(here, ids(here, spec)["instance.spare-1"])
    else:
        fall_ill(here, spec, "spare-1")
    spec["instances"]["spare"]["instance_type"] = "t3.small"
    result = here.apply(spec)
    assert not result.failures
    assert here.plan(spec).is_empty


def test_the_last_healthy_target_stays_where_others_register_them(here: World) -> None:
    spec = web(2, "1")
    del spec["target_groups"]["web"]["targets"]
    here.converge(spec)
    by_hand(here, spec, ("web-1", "web-2"))
    known = fall_ill(here, spec, "web-1")
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
def test_a_group_that_gets_the_requests_in_the_same_run_keeps_its_targets(here: World, change: Spec) -> None:
    spec = parked(web(2, "1"), 0)
    listener(spec)["rules"] = {"x": rule(50, "/x/*", "web")}
    if "user_data" in change:
        spec["instances"]["green"]["rollout"] = {"max_surge": 0, "max_unavailable": 1}
    here.converge(spec)
    by_hand(here, spec, ("green-1", "green-2"), "green")
    after = copy.deepcopy(spec)
    listener(after)["rules"] = {"x": rule(50, "/x/*", "green")}
    after["instances"]["green"] |= change
    with pytest.raises(RefusedError, match=r"target_group\.green"):
        here.apply(after, allow={"replace": 9})
    after["instances"]["green"] = spec["instances"]["green"]
    here.converge(after)


@pytest.mark.slow
def test_the_last_healthy_target_stays_though_others_keep_one_that_is_ill(here: World) -> None:
    spec = web(2, "1")
    spec["target_groups"]["web"]["others"] = "keep"
    here.converge(spec)
    known = ids(here, spec)
    other = foreign(here, known["subnet.public-a"], known[str(GROUP)])
    here.strict.set_target_unhealthy(known[str(GROUP)], other)
    here.clock.advance(300)
    assert here.plan(spec).is_empty
    spec["target_groups"]["web"]["targets"] = []
    with pytest.raises(RefusedError, match="have no healthy target"):
        here.apply(spec)


@pytest.mark.parametrize("others", ["a target less", "keep"])
def test_a_group_that_nobody_has_checked_takes_over_with_the_targets_that_stay(here: World, others: str) -> None:
    spec = parked(web(2, "1"))
    spec["instances"]["blue"] = copy.deepcopy(spec["instances"]["green"])
    here.converge(spec)
    by_hand(here, spec, ("green-1", "green-2", "blue-1", "blue-2"), "green")
    after = copy.deepcopy(spec)
    if others == "a target less":
        after["instances"]["green"]["count"] = 1
    else:
        after["target_groups"]["green"] |= {"targets": ["green"], "others": "keep"}
        del after["instances"]["blue"]
    low = targets.watched(here)
    here.converge(turned(after))
    assert min(low) >= 1


@pytest.mark.slow
def test_a_group_of_others_targets_only_waits_until_one_of_them_is_healthy(here: World) -> None:
    spec = parked(web(2, "1"))
    del spec["instances"]["green"]
    spec["target_groups"]["green"] |= {"targets": [], "others": "keep"}
    here.converge(spec)
    known = ids(here, spec)
    foreign(here, known["subnet.public-a"], known["target_group.green"])
    low = targets.watched(here)
    here.converge(turned(spec))
    assert min(low) == 1
