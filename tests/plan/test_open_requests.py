"""Requests that are still open when their target group gets no more: they have the group's deregistration delay to end in."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest

from tests.harness import Spec, World, demo
from tests.kinds.hand import edited
from tests.plan.targets import before_each, turned

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DELAY = 200
SETTLE = 30
"""Seconds until every node of a load balancer knows a switch; it may send requests to the old targets until then."""
ENDS = ("deregister_targets", "delete_target_group", "terminate_instances")
ALLOW = {"empty-target-group": 1}


def slow() -> Spec:
    spec = demo()
    spec["target_groups"]["web"]["attributes"] = {"deregistration_delay.timeout_seconds": DELAY}
    return spec


def two_groups(**weights: int) -> Spec:
    """The instances of each colour in a group of their own."""
    spec = slow()
    group, web = spec["target_groups"].pop("web"), spec["instances"].pop("web")
    for color in ("blue", "green"):
        spec["instances"][color] = deepcopy(web)
        spec["target_groups"][color] = {**deepcopy(group), "targets": [color]}
    return turned(spec, **weights)


def pace(here: World, spec: Spec) -> list[float]:
    """Seconds from the last change of the listener to each call that ends requests."""
    times: list[tuple[float, str]] = []
    began = here.clock.now()
    before_each(here, lambda name, _: times.append((here.clock.now(), name)), "modify_listener", *ENDS)
    assert not here.apply(spec, allow=ALLOW).failures
    assert here.plan(spec).is_empty
    switch = max((when for when, name in times if name == "modify_listener"), default=began)
    return [when - switch for when, name in times if name in ENDS]


def another_port() -> tuple[Spec, Spec]:
    after = edited(slow(), "target_groups/web/port", 8080)
    return slow(), edited(after, "instances/web/user_data", "#!/bin/sh\nPORT=8080 exec web-api\n")


def blue_to_green() -> tuple[Spec, Spec]:
    before = two_groups(blue=1, green=0)
    after = turned(before)
    after["instances"]["blue"]["count"] = 0
    return before, after


def blue_restarts() -> tuple[Spec, Spec]:
    """The colour that requests leave is changed in the same run, and stays."""
    before = two_groups(blue=1, green=0)
    before["instances"]["blue"] |= {"type_change": "in-place", "rollout": {"max_unavailable": 1}}
    after = turned(before)
    after["instances"]["blue"]["instance_type"] = "t3.small"
    return before, after


def blue_rolls() -> tuple[Spec, Spec]:
    before = two_groups(blue=1, green=0)
    after = turned(before)
    after["instances"]["blue"] |= {"instance_type": "t3.small", "rollout": {"max_surge": 1}}
    return before, after


@pytest.mark.parametrize("change", [blue_restarts, blue_rolls])
def test_targets_that_are_changed_meanwhile_have_it_once(here: World, change: Callable[[], tuple[Spec, Spec]]) -> None:
    before, after = change()
    here.converge(before)
    paused = [step.pause[0] for step in here.plan(after, allow=ALLOW).steps if step.address.kind == "registration"]
    assert paused.count(DELAY + SETTLE) == 1, paused
    assert min(pace(here, after)) >= DELAY + SETTLE


class Killed(BaseException):
    """The run ends here."""


def test_a_run_after_one_that_was_killed_at_the_switch_waits_for_it_too(here: World) -> None:
    """For a group that was replaced, of which it isn't known since when it gets no more requests."""
    before, after = another_port()
    here.converge(before)
    call = here._call

    def kill(service: str, operation: str, params: Mapping[str, Any]) -> Any:
        answer = call(service, operation, params)
        if operation == "modify_listener" and str(params).count("TargetGroupArn") == 1:
            raise Killed
        return answer

    here._call = kill  # type: ignore[method-assign]
    with pytest.raises(Killed):
        here.apply(after, allow=ALLOW)
    here._call = call  # type: ignore[method-assign]
    ends = pace(here, after)
    assert DELAY + SETTLE <= min(ends) <= max(ends) <= DELAY + SETTLE + 30


@pytest.mark.parametrize("change", [another_port, blue_to_green])
def test_targets_stay_for_the_delay_after_the_switch(here: World, change: Callable[[], tuple[Spec, Spec]]) -> None:
    """AWS drains no target of a group that nothing forwards to: found, requests longer than 30 s were cut by each release that
    replaces a group, and by each switch from blue to green."""
    before, after = change()
    here.converge(before)
    ends = pace(here, after)
    assert ends
    assert min(ends) >= DELAY + SETTLE
    assert max(ends) <= DELAY + SETTLE + 10


def test_where_the_group_still_gets_requests_aws_drains(here: World) -> None:
    before = two_groups(blue=1, green=1)
    here.converge(before)
    after = turned(before, blue=1, green=3)
    after["instances"]["blue"]["count"] = 1
    ends = pace(here, after)
    assert min(ends) < DELAY
    assert DELAY <= max(ends) - min(ends) <= DELAY + 10


def test_what_got_no_requests_before_is_not_waited_for(here: World) -> None:
    before = turned(two_groups(blue=1, green=1), green=1)
    here.converge(before)
    after = deepcopy(before)
    after["instances"]["blue"]["count"] = 0
    assert max(pace(here, after)) <= 30
