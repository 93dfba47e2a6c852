"""Waits that end at once where what they wait for can't come any more, and rolls that stop when their own version turns ill."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.cli.render.progress import render_outcomes
from alb_reconcile.kinds import waits
from alb_reconcile.sandbox.strict import Timing
from tests.harness import World, world
from tests.plan.targets import GROUP, after_the_first, healthy, ids, web

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SLACK = 30
"""Seconds for a launch, and for the looks at the beginning and the end of a wait."""


def deregister(here: World, group: str, instance: str) -> None:
    here.client("elbv2").deregister_targets(TargetGroupArn=group, Targets=[{"Id": instance, "Port": 80}])


def terminate(here: World, _: str, instance: str) -> None:
    here.client("ec2").terminate_instances(InstanceIds=[instance])


def stop(here: World, _: str, instance: str) -> None:
    here.client("ec2").stop_instances(InstanceIds=[instance])


@pytest.mark.parametrize("deed", [deregister, terminate, stop])
def test_a_target_that_is_gone_isnt_waited_for(here: World, deed: Callable[[World, str, str], None]) -> None:
    before, after = web(3, "one"), web(3, "two")
    here.converge(before)
    after_the_first(
        here, "register_targets", lambda params: deed(here, params["TargetGroupArn"], params["Targets"][0]["Id"])
    )
    began = here.clock.now()
    failures = here.apply(after).failures
    told = "someone has deregistered it, or its instance has been stopped or has ended; run again"
    assert any(told in text for text in failures), failures
    assert here.clock.now() - began < waits.LAG + SLACK
    assert healthy(here, ids(here, before)[str(GROUP)]) == 3
    here.converge(after)


@pytest.mark.parametrize("deed", [deregister, terminate, stop])
def test_others_that_are_gone_arent_waited_for(here: World, deed: Callable[[World, str, str], None]) -> None:
    before, after = web(3, "one"), web(3, "two")
    here.converge(before)
    known = ids(here, before)
    after_the_first(here, "run_instances", lambda _: deed(here, known[str(GROUP)], known["instance.web-3"]))
    began = here.clock.now()
    result = here.apply(after)
    failures = result.failures
    told = f"{known['instance.web-1']}:80 can't be deregistered: 3 other targets must stay, and only 2 are there"
    assert any(told in text for text in failures), failures
    assert "run the same command again" in render_outcomes(result.outcomes)
    assert here.clock.now() - began < 60 + waits.LAG + SLACK
    here._call = World._call.__get__(here)  # type: ignore[method-assign]
    here.converge(after)


@pytest.mark.parametrize("is_stopped", [False, True])
def test_others_that_the_run_is_going_to_register_or_start_are_waited_for(*, is_stopped: bool) -> None:
    """However long they take to start. A stopped instance stays registered."""
    with world(Timing(metal=400)) as here:
        before = web(2, "one")
        large = {**before["instances"]["web"], "count": 1, "instance_type": "m5.metal"}
        both = copy.deepcopy(before)
        both["instances"]["large"] = large
        both["target_groups"]["web"]["targets"].append("large")
        here.converge(both if is_stopped else before)
        known = ids(here, both if is_stopped else before)
        if is_stopped:
            stop(here, "", known["instance.large-1"])
            here.clock.advance(600)
        both["instances"]["web"] = web(2, "two")["instances"]["web"]
        after_the_first(here, "run_instances", lambda _: deregister(here, known[str(GROUP)], known["instance.web-2"]))
        here.converge(both)


def turns_ill(here: World, old: set[str], after: float) -> None:
    """New instances pass their checks, and fail them `after` seconds later."""
    since: dict[str, float] = {}

    def health(_: str, instance: str, __: int) -> Any:
        now = here.clock.now()
        return "unhealthy" if instance not in old and now - since.setdefault(instance, now) > after else None

    here.strict.health = health


@pytest.mark.parametrize(
    ("rollout", "after", "made", "left"),
    [
        ({}, 60.0, 1, 1),  # as the old one is terminated: the next one isn't launched
        ({}, 110.0, 2, 1),  # when the next one has been launched: the old one beside it doesn't leave
        ({"max_surge": 0, "max_unavailable": 1}, 60.0, 2, 2),  # when the second old one has left: the third one doesn't
    ],
)
def test_a_roll_stops_when_its_own_version_turns_ill(
    here: World, rollout: Mapping[str, Any], after: float, made: int, left: int
) -> None:
    before = web(3, "one", **rollout)
    here.converge(before)
    known = ids(here, before)
    turns_ill(here, {known[f"instance.web-{number}"] for number in (1, 2, 3)}, after)
    began = here.clock.now()
    result = here.apply(web(3, "two", **rollout))
    told = "which this run has registered, was healthy and isn't any more (now unhealthy Target.FailedHealthChecks"
    assert any(told in text for text in result.failures), result.failures
    assert "put the old version back" in render_outcomes(result.outcomes)
    assert (result.writes["run_instances"], result.writes["deregister_targets"]) == (made, left)
    assert here.clock.now() - began < 400
    here.strict.health = lambda *_: None
    here.converge(before)


def test_one_look_that_shows_it_ill_stops_nothing(here: World) -> None:
    """It may show what was before the target got healthy."""
    before = web(3, "one")
    here.converge(before)
    old, real, looks = set(ids(here, before).values()), here._call, list[str]()

    def call(service: str, operation: str, params: Mapping[str, Any]) -> Any:
        if operation == "deregister_targets" and not looks:
            looks.append(next(item["Target"]["Id"] for item in shown(params) if item["Target"]["Id"] not in old))
        answer = real(service, operation, params)
        if operation == "describe_target_health" and looks:
            looks.append(operation)
            for item in answer["TargetHealthDescriptions"] if len(looks) % 2 else ():
                if item["Target"]["Id"] == looks[0]:
                    item["TargetHealth"] = {"State": "unhealthy", "Reason": "Target.FailedHealthChecks"}
        return answer

    def shown(params: Mapping[str, Any]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = real(
            "elbv2", "describe_target_health", {"TargetGroupArn": params["TargetGroupArn"]}
        )["TargetHealthDescriptions"]
        return found

    here._call = call  # type: ignore[method-assign]
    assert not here.apply(web(3, "two"), timeout=1).failures
    assert len(looks) > 20
