"""Calls for several at once that AWS refuses for one of them, and what few calls do when many leave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.at_length import at_length
from tests.harness import World, world
from tests.kinds.hand import Faults, calls
from tests.kinds.many import members, numbers, targets, web
from tests.plan.targets import healthy, watch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@pytest.fixture
def here() -> Iterator[World]:
    with world() as found:
        yield found


def group_of(here: World) -> str:
    (group,) = here.client("elbv2").describe_target_groups()["TargetGroups"]
    return str(group["TargetGroupArn"])


def before(here: World, operation: str, act: Any) -> None:
    """Somebody does something right before the first call of an operation."""
    real, done = here._call, False

    def call(service: str, name: str, params: Mapping[str, Any]) -> Any:
        nonlocal done
        if name == operation and not done:
            done = True
            act()
        return real(service, name, params)

    here._call = call  # type: ignore[method-assign, assignment]


def test_one_that_is_protected_meanwhile_stays_and_the_others_go(here: World) -> None:
    here.converge(web(8))
    ids, ec2 = members(here), here.client("ec2")

    def protect() -> None:
        ec2.modify_instance_attribute(InstanceId=ids["5"], DisableApiTermination={"Value": True})

    before(here, "terminate_instances", protect)
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
    before(here, "terminate_instances", lambda: place_forget(here, gone))
    here.apply(web(2), allow={"delete": 9})
    here.converge(web(2), allow={"delete": 9})
    assert members(here).keys() == {"1", "2"}


def place_forget(here: World, instance: str) -> None:
    """Terminated, and shown no more."""
    here.client("ec2").terminate_instances(InstanceIds=[instance])
    here.clock.advance(3700)


def test_one_that_elb_does_not_know_yet_keeps_none_of_the_others(here: World) -> None:
    here.converge(web(0))
    real, first = here._call, 0.0

    def call(service: str, operation: str, params: Mapping[str, Any]) -> Any:
        nonlocal first
        if operation == "register_targets":
            first = first or here.clock.now()
            late = members(here)["3"]
            if here.clock.now() < first + 20 and any(item["Id"] == late for item in params["Targets"]):
                faults.refuse(operation, "InvalidTarget", f"The following targets do not exist: '{late}'")
        return real(service, operation, params)

    faults = Faults(here)
    real = here._call
    here._call = call  # type: ignore[method-assign]
    here.converge(web(8))
    assert targets(here) == {"healthy": 8}
    sizes = [len(params["Targets"]) for params in calls(here, "register_targets")]
    assert sizes[:1] == [7], "the refused call is not in the log"
    assert sizes == [7, 1]


def test_registrations_that_are_denied_are_asked_for_once(here: World) -> None:
    faults = Faults(here)
    faults.refuse("register_targets", "AccessDenied", "User is not authorized to perform it", times=9)
    result = here.apply(web(6))
    failed = [text for text in result.failures if ": failed: " in text]
    assert len(failed) == 6
    assert all("AccessDenied" in text for text in failed)
    assert faults.made["register_targets"] == 1


@pytest.mark.parametrize(
    "operation", ["terminate_instances", *at_length("register_targets", "deregister_targets", "run_instances")]
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


@pytest.mark.parametrize("ill", [True, *at_length(False)], ids=["one turns unhealthy", *at_length("all healthy")])
def test_never_more_leave_at_once_than_may(here: World, ill: bool) -> None:
    """Four may be missing by the spec; what the plan saw is past."""
    gaps = {"max_surge": 0, "max_unavailable": 4}
    here.converge(web(6, rollout=gaps))
    ids, low = members(here), list[int]()
    if ill:
        before(here, "deregister_targets", lambda: here.strict.set_target_unhealthy(group_of(here), ids["6"]))
    watch(here, low)
    after = web(6, "two", rollout=gaps)
    result = here.apply(after, allow={"replace": 9})
    assert min(low) >= (1 if ill else 2)
    if result.failures:
        here.apply(after, allow={"replace": 9})
    here.converge(after, allow={"replace": 9})
    assert healthy(here, group_of(here)) == 6


def test_who_waits_for_others_leaves_one_after_another(here: World) -> None:
    """Four are to leave, of six targets three are healthy: two must stay, so that one goes at a time."""
    here.converge(web(6, rollout={"max_surge": 0, "max_unavailable": 4}))
    ids, group = members(here), group_of(here)
    low: list[int] = []
    watch(here, low)
    real, began = here._call, False

    def call(service: str, operation: str, params: Mapping[str, Any]) -> Any:
        nonlocal began
        if operation == "describe_target_health" and not began and here.clock.now() > start:
            began = True
            for number in ("4", "5", "6"):
                here.strict.set_target_unhealthy(group, ids[number])
            here.clock.advance(60)
        return real(service, operation, params)

    start = here.clock.now()
    here._call = call  # type: ignore[method-assign]
    after = web(6, "two", rollout={"max_surge": 0, "max_unavailable": 4, "health_timeout": "2m"})
    for _ in range(4):
        if not here.apply(after, allow={"replace": 9}, timeout=60).failures:
            break
    assert min(low) >= 2, low
    here.converge(after, allow={"replace": 9})
