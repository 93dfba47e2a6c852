"""Changes that meet a target which fails, or which somebody has taken away: they arrive, and nobody who asks sees anything of it."""

from __future__ import annotations

from typing import Any

import pytest

from alb_reconcile.model.steps import Register
from tests.harness import Spec, demo, world
from tests.kinds.hand import Faults, Hand
from tests.properties.account import account
from tests.properties.scene import SHAPES
from tests.properties.walks import BASES, Pair


def go(before: Spec, after: Spec, deed: str | None = None, number: int = 0) -> None:
    """From one to the other, after this (if anything) has happened to that target."""
    pair = Pair("", (), (), deed, number=number)
    vars(pair).update(before=before, after=after)
    with account() as here:
        here.begin(before)
        assert here.go(pair) == "converged"


def weighted(canary: int = 10, **settings: Any) -> Spec:
    """A rule that shares its requests between a group of two targets and one of one, with these settings of both."""
    spec = SHAPES["secure"]()
    action = spec["load_balancers"]["public"]["listeners"]["https"]["rules"]["api"]["action"]["forward"]
    action["target_groups"][1]["weight"] = canary
    for group in spec["target_groups"].values():
        group |= settings
    rule = spec["security_groups"]["web"]["ingress"][0]
    spec["security_groups"]["web"]["ingress"] = [rule, {**rule, "port": 80}]
    return spec


@pytest.mark.slow
@pytest.mark.parametrize("change", [{"health_check": {"protocol": "HTTPS"}}, {"port": 80}], ids=str)
def test_both_groups_of_a_rule_are_replaced_while_a_target_fails(change: dict[str, Any]) -> None:
    """Found: the group of two had to have as many healthy targets as both groups had together, and one on another port had to
    become healthy first, though its instance failed where it was, too."""
    go(weighted(), weighted(**change), "ill", 1)


def alone(path: str) -> Spec:
    """A group of one target behind a rule for this path."""
    spec = SHAPES["secure"]()
    spec["load_balancers"]["public"]["listeners"]["https"]["rules"]["canary"]["conditions"] = [{"path_pattern": path}]
    return spec


@pytest.mark.parametrize("deed", ["terminated", pytest.param("stopped", marks=pytest.mark.slow)])
def test_a_rule_takes_other_requests_when_its_group_has_its_targets_again(deed: str) -> None:
    """Found: the rule came first, and what others had answered until then met a group without a target."""
    for number in range(2):
        go(alone("/1/*"), alone("/9/*"), deed, number)


def handed_on(path: str, forward: tuple[str, str], *groups: str) -> Spec:
    """A rule for this path that shares its requests between two of these groups, before instances that leave before they are
    replaced."""
    spec = BASES["two ports"]()
    spec["instances"]["web"] |= {
        "rollout": {"max_surge": 0, "max_unavailable": 1},
        "user_data": f"#!/bin/sh\n: {path}\n",
    }
    spec["instances"]["other"] = {**spec["instances"]["web"], "user_data": "#!/bin/sh\n"}
    spec["target_groups"]["third"] = {**spec["target_groups"]["api"], "targets": ["other"]}
    spec["target_groups"] = {name: spec["target_groups"][name] for name in ("web", "third", *groups)}
    rules = spec["load_balancers"]["public"]["listeners"]["http"]["rules"]
    rules["v2"]["conditions"] = [{"path_pattern": path}]
    rules["v2"]["action"] = {"forward": {"target_groups": [{"target_group": name, "weight": 50} for name in forward]}}
    rules["rest"] = {"priority": 30, "conditions": [{"path_pattern": "/x"}], "action": {"forward": "third"}}
    return spec


def test_a_rule_waits_for_no_target_that_waits_for_it() -> None:
    """Found: a group that a rule had already was to have its new targets first, though an old one leaves when the rule has left
    another group."""
    with world() as here:
        here.converge(handed_on("/v2/*", ("api", "web"), "api"))
        here.converge(handed_on("/v9/*", ("web", "third")), allow={"delete": 9, "replace": 9})


def test_what_replaces_an_ill_instance_has_to_become_healthy() -> None:
    """Found: a new version wasn't waited for where the old instance had failed. Only one that fails in a group that goes is exempt."""
    with world() as here:
        hand = Hand(here)
        hand.make(demo())
        here.strict.set_target_unhealthy(hand["target_group.web"], hand["instance.web-1"])
        here.clock.advance(600)
        spec = demo()
        spec["instances"]["web"]["instance_type"] = "t3.small"
        steps = here.plan(spec, allow={"replace": 9}).steps
        found = {
            str(step.address): step.detail(Register).is_checked
            for step in steps
            if step.address.kind == "registration" and step.action != "delete"
        }
        assert found == {"registration.web/web-1:80": True, "registration.web/web-2:80": True}


def rolled(to: str) -> Spec:
    spec = demo()
    spec["instances"]["web"]["instance_type"] = to
    return spec


def begin(hand: Hand, spec: Spec, upto: str) -> None:
    """A roll: the first member has its successor, and that call fails."""
    faults = Faults(hand.world)
    faults.refuse(upto, "InternalError", times=99)
    assert hand.world.apply(spec, allow={"replace": 9}).failures
    faults.refusals.clear()


def test_what_a_roll_has_left_waits_for_the_successor_of_one_that_serves_nobody() -> None:
    """Found by two hosts at once: that one had left its target group, and its successor waited for what was left."""
    with world() as here:
        hand = Hand(here)
        hand.make(demo())
        group, other = hand["target_group.web"], hand["instance.web-2"]
        begin(hand, rolled("t3.small"), "deregister_targets")
        hand.elb.deregister_targets(TargetGroupArn=group, Targets=[{"Id": other}])
        here.clock.advance(600)
        here.converge(rolled("t3.small"), allow={"replace": 9})


@pytest.mark.parametrize("is_used", [True, False])
def test_one_that_is_only_being_checked_has_its_successor_first(is_used: bool) -> None:
    """Nor is one ill that is in a group that gets no requests."""
    with world() as here:
        hand = Hand(here)
        spec = demo()
        if not is_used:
            spec["load_balancers"] = {}
        hand.make(spec)
        group, other = hand["target_group.web"], hand["instance.web-2"]
        after = rolled("t3.small") if is_used else {**rolled("t3.small"), "load_balancers": {}}
        begin(hand, after, "terminate_instances")
        if is_used:
            hand.elb.deregister_targets(TargetGroupArn=group, Targets=[{"Id": other}])
            here.clock.advance(60)
            hand.elb.register_targets(TargetGroupArn=group, Targets=[{"Id": other}])
        steps = {step.key: step.needs for step in here.plan(after, allow={"replace": 9}).steps}
        assert f"delete:instance.web-2@{other}" in steps
        assert not [need for need in steps[f"replace:instance.web-2@{other}"] if other in need]
