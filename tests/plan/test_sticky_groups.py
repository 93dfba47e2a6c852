"""Sticky target groups: AWS takes several in one forward only if the forward is sticky, too."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from tests.harness import Spec, World, demo, load
from tests.kinds.hand import edited
from tests.plan.targets import listener, turned

STICKY = {"stickiness.enabled": True, "stickiness.type": "lb_cookie"}


def colours(blue: int, green: int, *, sticky: bool = True, **forward: Any) -> Spec:
    """Two groups of the same instances in one forward."""
    spec = demo()
    group = spec["target_groups"].pop("web")
    group["attributes"] |= STICKY if sticky else {"stickiness.enabled": False}
    spec = turned({**spec, "target_groups": {"blue": group, "green": deepcopy(group)}}, blue=blue, green=green)
    listener(spec)["default_action"]["forward"] |= forward
    return spec


def shown(here: World) -> Any:
    """The listener as AWS shows it."""
    elb = here.client("elbv2")
    (balancer,) = elb.describe_load_balancers()["LoadBalancers"]
    (found,) = elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    return found


def held(here: World) -> Any:
    """How sticky AWS shows the forward."""
    return shown(here)["DefaultActions"][0]["ForwardConfig"]["TargetGroupStickinessConfig"]


@pytest.mark.parametrize("field", ["port", "health_check/path"])
def test_a_sticky_group_is_replaced(here: World, field: str) -> None:
    spec = demo()
    spec["target_groups"]["web"]["attributes"] |= STICKY
    here.converge(spec)
    here.converge(edited(spec, f"target_groups/web/{field}", 8080 if field == "port" else "/healthz"))
    assert len(here.client("elbv2").describe_target_groups()["TargetGroups"]) == 1


def test_weights_move_between_sticky_groups(here: World) -> None:
    """The forward is sticky for the shortest time that AWS takes, whatever else changes."""
    for weights in ((100, 0), (50, 50), (0, 100)):
        here.converge(colours(*weights))
        assert held(here) == {"Enabled": True, "DurationSeconds": 1}


def test_a_spec_that_leaves_the_time_open_is_warned_of() -> None:
    sticky = {"enabled": True, "duration_seconds": 60}
    (problem,) = [item for item in load(colours(1, 1)).warnings if "sticky" in item.message]
    assert problem.message.startswith("blue is sticky, so AWS keeps a client on one of these groups, too")
    for fine in (colours(1, 1, stickiness=sticky), colours(1, 1, sticky=False)):
        assert not [item for item in load(fine).warnings if "sticky" in item.message]


def test_the_specs_own_time_is_kept_and_given_up(here: World) -> None:
    here.converge(colours(1, 1))
    here.converge(colours(1, 1, stickiness={"enabled": True, "duration_seconds": 60}))
    assert held(here) == {"Enabled": True, "DurationSeconds": 60}
    here.converge(colours(1, 1))
    assert held(here) == {"Enabled": True, "DurationSeconds": 1}


@pytest.mark.slow
@pytest.mark.parametrize("forward", [{"stickiness": {"enabled": True, "duration_seconds": 60}}, {}])
def test_groups_and_their_forward_become_sticky_together(here: World, forward: Any) -> None:
    """Also where the spec says nothing of the forward, and beside a roll and other weights."""
    here.converge(colours(1, 0, sticky=False))
    spec = colours(1, 1, **forward)
    spec["instances"]["web"]["instance_type"] = "t3.small"
    here.converge(spec)
    here.converge(colours(1, 1, sticky=False))
    here.converge(spec)


def test_stickiness_that_was_switched_off_by_hand_is_switched_on_again(here: World) -> None:
    spec = colours(1, 1)
    here.converge(spec)
    elb, off = here.client("elbv2"), [{"Key": "stickiness.enabled", "Value": "false"}]
    found = shown(here)
    for group in elb.describe_target_groups()["TargetGroups"]:
        elb.modify_target_group_attributes(TargetGroupArn=group["TargetGroupArn"], Attributes=off)
    (action,) = found["DefaultActions"]
    action["ForwardConfig"]["TargetGroupStickinessConfig"] = {"Enabled": False}
    elb.modify_listener(ListenerArn=found["ListenerArn"], DefaultActions=[action])
    here.converge(spec)
