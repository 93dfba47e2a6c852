"""A rule or listener that others made and the spec keeps is served as well as the spec's own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.api.status import Status, look
from tests.adoption.adopting import Keeper
from tests.harness import REGION, demo, load
from tests.kinds.hand import edited

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.kinds.hand import Faults, Hand

WEB, RULE = "target_group.web", "rule.public/http/#5"
KEEP = edited(
    edited(demo(), "load_balancers/public/listeners/http/others", "keep"), "load_balancers/public/others", "keep"
)


def stray_rule(hand: Hand, **more: Any) -> str:
    forward = [{"Type": "forward", "TargetGroupArn": hand[WEB]}]
    conditions = [{"Field": "path-pattern", "Values": ["/x"]}]
    made = hand.elb.create_rule(
        ListenerArn=hand["listener.public/http"], Priority=5, Conditions=conditions, Actions=forward, **more
    )
    return str(made["Rules"][0]["RuleArn"])


def stray_listener(hand: Hand) -> None:
    forward = [{"Type": "forward", "TargetGroupArn": hand[WEB]}]
    hand.elb.create_listener(
        LoadBalancerArn=hand["load_balancer.public"], Protocol="HTTP", Port=9000, DefaultActions=forward
    )


def healthy(hand: Hand, group: str) -> int:
    found = hand.elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
    return sum(item["TargetHealth"]["State"] == "healthy" for item in found)


def served(hand: Hand) -> list[int]:
    """How many healthy targets each group has that gets requests, whoever sends them there."""
    listeners = hand.elb.describe_listeners(LoadBalancerArn=hand["load_balancer.public"])["Listeners"]
    rules = [rule for item in listeners for rule in hand.elb.describe_rules(ListenerArn=item["ListenerArn"])["Rules"]]
    groups = {
        part["TargetGroupArn"]
        for rule in rules
        for action in rule["Actions"]
        for part in action["ForwardConfig"]["TargetGroups"]
    }
    return [healthy(hand, group) for group in groups]


def without_group(spec: Spec) -> Spec:
    """Another group serves, and `web` has left the spec."""
    spec = edited(spec, "target_groups/api", spec["target_groups"]["web"])
    spec = edited(spec, "load_balancers/public/listeners/http/default_action", {"forward": "api"})
    return edited(spec, "target_groups/web", None)


PATH = edited(KEEP, "target_groups/web/health_check/path", "/other")
PORT = edited(KEEP, "target_groups/web/port", 8080)
ADOPT = "declare it and run alb-reconcile adopt spec.yaml, or let it forward to another target group first, by hand"
DECLARED = {"priority": 5, "conditions": [{"path_pattern": "/x"}], "action": {"forward": "web"}}


@pytest.mark.slow
def test_what_is_kept_loses_no_target_and_moves_with_its_group_once_it_is_declared(hand: Hand) -> None:
    """Found: the old group was emptied while the rule went on to forward to it, and `/x` got 503 for good."""
    hand.make(KEEP)
    stray_rule(hand)
    stray_listener(hand)
    hand.wait(60)
    for wanted, word in ((PATH, "replaced"), (PORT, "replaced"), (without_group(KEEP), "deleted")):
        lines = hand.refuses_run(wanted)
        for name in (RULE, "listener.public/:9000"):
            assert (
                f"{WEB} ({hand[WEB]}) would be {word}, and {name}, which isn't in the spec, forwards to it: {ADOPT}"
                in lines
            )
    assert set(served(hand)) == {2}
    hand.ec2.create_tags(Resources=[hand["vpc.main"]], Tags=[{"Key": "service", "Value": "wrong"}])
    hand.elb.modify_target_group(TargetGroupArn=hand[WEB], HealthCheckPath="/other", Matcher={"HttpCode": "201"})
    ending = hand.world.sync(edited(KEEP, "sync", {"correct": ["replace", "delete"]}))
    assert {str(item.step.address) for item in ending.outcomes} == {"vpc.main"}, "what has nothing to do with it"
    assert "would be replaced, and" in ending.selection.withheld[f"replace:{WEB}@{hand[WEB]}"]
    listener = {"port": 9000, "protocol": "HTTP", "default_action": {"forward": "web"}}
    declared = edited(PATH, "load_balancers/public/listeners/more", listener)
    declared = edited(declared, "load_balancers/public/listeners/http/rules", {"x": DECLARED})
    Keeper(hand.world).adopt(declared)
    hand.make(declared)
    assert served(hand) == [2]


def test_another_stacks_rule_is_kept_as_well(hand: Hand) -> None:
    hand.make(demo())
    stray_rule(hand, Tags=[{"Key": "alb-reconcile:stack", "Value": "other"}])
    told = f"and {RULE}, which the stack other has, forwards to it: let it forward"
    hand.refuses(edited(demo(), "target_groups/web/port", 8080), told)


def test_what_goes_along_keeps_nothing(hand: Hand) -> None:
    hand.make(demo())
    stray_rule(hand)
    stray_listener(hand)
    hand.make(edited(demo(), "target_groups/web/port", 8080), allow={"close": 1})
    assert served(hand) == [2]
    hand.make(KEEP)
    stray_rule(hand)
    hand.world.destroy(KEEP)


def looked_at(hand: Hand, spec: Spec) -> Status:
    stack = load(spec)
    found, standing = hand.world._run(lambda aws: look(aws, stack.target()))
    return Status(stack.name, REGION, found, standing)


def test_a_rule_that_lost_its_targets_is_told_and_led_out_by_hand(hand: Hand, faults: Faults) -> None:
    """As older versions left it: the old group has no targets, the new one serves, and a kept rule forwards to the old one."""
    hand.make(KEEP)
    old = hand[WEB]
    faults.refuse("delete_target_group", "ResourceInUse", times=99)
    assert hand.world.apply(PATH).failures
    faults.refusals.clear()
    rule = stray_rule(hand)
    hand.wait(60)
    assert looked_at(hand, PATH).not_ready == (
        f"{WEB} ({old}) has no targets, and {RULE} forwards to it, so it serves nobody",
    )
    hand.refuses(without_group(PATH), re.escape(f"{WEB} ({old}) would be deleted, and {RULE}"))
    ending = hand.world.sync(edited(PATH, "sync", {"correct": ["replace", "delete"]}))
    assert not ending.outcomes
    assert f"forwards to {old}" in ending.selection.withheld[f"delete:{WEB}@{old}"]
    told = hand.refuses(
        PATH, f"^{WEB} exists twice, and {RULE}, which isn't in the spec, forwards to {old}, which would go: "
    )
    group = told.partition("let it forward to ")[2].partition(" first, by hand")[0]
    hand.elb.modify_rule(RuleArn=rule, Actions=[{"Type": "forward", "TargetGroupArn": group}])
    hand.make(PATH)
    assert served(hand) == [2]
    assert looked_at(hand, PATH).not_ready == ()


def test_a_kept_rule_in_the_place_of_one_that_would_be_made_is_adopted_if_it_asks_for_the_same(hand: Hand) -> None:
    """Found: "choose another" builds a second rule with the same conditions."""
    hand.make(KEEP)
    stray_rule(hand)
    for path in ("/x", "/y"):
        rule = {**DECLARED, "conditions": [{"path_pattern": path}]}
        told = hand.refuses(edited(KEEP, "load_balancers/public/listeners/http/rules", {"mine": rule}))
        assert ("alb-reconcile adopt spec.yaml takes it over" in told) == (path == "/x")
        assert ("choose another" in told) == (path == "/y")
