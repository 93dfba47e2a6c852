"""Calls for several at once that AWS refuses for one of them, and what few calls do when many leave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.harness import World
from tests.kinds.hand import Faults, calls
from tests.kinds.many import members, numbers, targets, web
from tests.plan.targets import healthy, watch

if TYPE_CHECKING:
    from collections.abc import Mapping


def group_of(here: World) -> str:
    (group,) = here.client("elbv2").describe_target_groups()["TargetGroups"]
    return str(group["TargetGroupArn"])


def test_one_that_is_protected_meanwhile_stays_and_the_others_go(here: World) -> None:
    here.converge(web(8))
    protected = {"InstanceId": members(here)["5"], "DisableApiTermination": {"Value": True}}
    ec2 = here.client("ec2")
    Faults(here).before("terminate_instances", lambda _: ec2.modify_instance_attribute(**protected))
    result = here.apply(web(2), allow={"delete": 9})
    (failure,) = [text for text in result.failures if ": failed: " in text]
    assert "instance.web-5" in failure
    assert "OperationNotPermitted" in failure
    assert members(here).keys() == {"1", "2", "5"}
    assert len(calls(here, "terminate_instances")) == 2


def test_one_that_is_gone_meanwhile_is_no_failure(here: World) -> None:
    """It is unknown to AWS by then."""
    here.converge(web(8))
    gone = members(here)["5"]
    Faults(here).before("terminate_instances", lambda _: place_forget(here, gone))
    here.apply(web(2), allow={"delete": 9})
    here.converge(web(2), allow={"delete": 9})
    assert members(here).keys() == {"1", "2"}


def place_forget(here: World, instance: str) -> None:
    """Terminated, and shown no more."""
    here.client("ec2").terminate_instances(InstanceIds=[instance])
    here.clock.advance(3700)


@pytest.mark.slow
def test_one_that_elb_does_not_know_yet_keeps_none_of_the_others(here: World) -> None:
    here.converge(web(0))
    first, faults = 0.0, Faults(here)

    def late(params: Mapping[str, Any]) -> None:
        nonlocal first
        faults.before("register_targets", late)
        first, third = first or here.clock.now(), members(here)["3"]
        if here.clock.now() < first + 20 and any(item["Id"] == third for item in params["Targets"]):
            faults.refuse("register_targets", "InvalidTarget", f"The following targets do not exist: '{third}'")

    faults.before("register_targets", late)
    here.converge(web(8))
    assert targets(here) == {"healthy": 8}
    sizes = [len(params["Targets"]) for params in calls(here, "register_targets")]
    assert sizes[:1] == [7], "the refused call is not in the log"
    assert sizes == [7, 1]


@pytest.mark.parametrize(
    "operation", ["terminate_instances", "run_instances", "register_targets", "deregister_targets"]
)
def test_a_lost_reply_of_a_batch_changes_nothing(here: World, operation: str) -> None:
    here.converge(web(6))
    faults = Faults(here)
    faults.lose_reply(operation)
    roll = web(6, "two", rollout={"max_surge": 6})
    for _ in range(3):
        result = here.apply(roll, allow={"replace": 9})
        if not result.failures:
            break
    here.converge(roll, allow={"replace": 9})
    assert members(here).keys() == numbers(upto=6)
    here.clock.advance(60)
    assert targets(here) == {"healthy": 6}
    assert faults.made[operation] <= 6


@pytest.mark.slow
def test_never_more_leave_at_once_than_may(here: World) -> None:
    """Four may be missing by the spec; what the plan saw is past."""
    gaps = {"max_surge": 0, "max_unavailable": 4}
    here.converge(web(6, rollout=gaps))
    ids, low = members(here), list[int]()
    ill = group_of(here), ids["6"]
    Faults(here).before("deregister_targets", lambda _: here.strict.set_target_unhealthy(*ill))
    watch(here, low)
    after = web(6, "two", rollout=gaps)
    result = here.apply(after, allow={"replace": 9})
    assert min(low) >= 1
    if result.failures:
        here.apply(after, allow={"replace": 9})
    here.converge(after, allow={"replace": 9})
    assert healthy(here, group_of(here)) == 6


# -- creates whose reply was lost, and tags of what is created
