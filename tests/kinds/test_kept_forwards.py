"""A rule or listener that others made and the spec keeps is served as well as the spec's own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.api.status import Status, look
from alb_reconcile.model.errors import RefusedError
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
every_way = pytest.mark.parametrize(
    ("wanted", "word"),
    [
        pytest.param(PATH, "replaced", id="another path of the health check"),
        pytest.param(PORT, "replaced", id="another port"),
        pytest.param(without_group(KEEP), "deleted", id="the group leaves the spec"),
    ],
)


@every_way
@pytest.mark.parametrize("what", ["rule", "listener"])
def test_what_is_kept_loses_no_target(hand: Hand, wanted: Spec, word: str, what: str) -> None:
    """Found: the old group was emptied while the rule went on to forward to it, and `/x` got 503 for good."""
    hand.make(KEEP)
    if what == "rule":
        stray_rule(hand)
    else:
        stray_listener(hand)
    hand.wait(60)
    name = RULE if what == "rule" else "listener.public/:9000"
    with pytest.raises(RefusedError) as caught:
        hand.world.apply(wanted)
    assert str(caught.value).splitlines()[-1] == (
        f"{WEB} ({hand[WEB]}) would be {word}, and {name}, which isn't in the spec, forwards to it: declare it and run "
        "alb-reconcile adopt spec.yaml, or let it forward to another target group first, by hand"
    )
    assert set(served(hand)) == {2}


def test_what_is_declared_and_adopted_moves_with_its_group(hand: Hand) -> None:
    hand.make(KEEP)
    stray_rule(hand)
    stray_listener(hand)
    listener = {"port": 9000, "protocol": "HTTP", "default_action": {"forward": "web"}}
    rule = {"priority": 5, "conditions": [{"path_pattern": "/x"}], "action": {"forward": "web"}}
    declared = edited(PATH, "load_balancers/public/listeners/more", listener)
    declared = edited(declared, "load_balancers/public/listeners/http/rules", {"x": rule})
    Keeper(hand.world).adopt(declared)
    hand.make(declared)
    assert served(hand) == [2]


def test_another_stacks_rule_is_kept_as_well(hand: Hand) -> None:
    hand.make(demo())
    stray_rule(hand, Tags=[{"Key": "alb-reconcile:stack", "Value": "other"}])
    with pytest.raises(RefusedError, match=rf"and {RULE}, which the stack other has, forwards to it: let it forward"):
        hand.world.plan(edited(demo(), "target_groups/web/port", 8080))


def test_what_goes_along_keeps_nothing(hand: Hand) -> None:
    hand.make(demo())
    stray_rule(hand)
    stray_listener(hand)
    hand.make(edited(demo(), "target_groups/web/port", 8080), allow={"close": 1})
    assert served(hand) == [2]
    hand.make(KEEP)
    stray_rule(hand)
    hand.world.destroy(KEEP)


@every_way
def test_a_rule_that_forwards_elsewhere_keeps_nothing(hand: Hand, wanted: Spec, word: str) -> None:
    del word
    other = edited(KEEP, "target_groups/other", KEEP["target_groups"]["web"])
    hand.make(other)
    rule = stray_rule(hand)
    forward = [{"Type": "forward", "TargetGroupArn": hand["target_group.other"]}]
    hand.elb.modify_rule(RuleArn=rule, Actions=forward)
    hand.make(edited(wanted, "target_groups/other", other["target_groups"]["other"]))
    assert served(hand) == [2, 2]


def test_drift_that_has_nothing_to_do_with_it_is_corrected(hand: Hand) -> None:
    hand.make(KEEP)
    stray_rule(hand)
    hand.elb.modify_target_group(TargetGroupArn=hand[WEB], HealthCheckPath="/other", Matcher={"HttpCode": "201"})
    hand.ec2.create_tags(Resources=[hand["vpc.main"]], Tags=[{"Key": "service", "Value": "wrong"}])
    spec = edited(KEEP, "sync", {"correct": ["replace", "delete"]})
    ending = hand.world.sync(spec)
    assert {str(item.step.address) for item in ending.outcomes} == {"vpc.main"}
    assert f"replace:{WEB}@{hand[WEB]}" in ending.selection.withheld
    (told,) = {text for text in ending.selection.withheld.values() if "forwards to it" in text}
    assert told.startswith(f"{WEB} ({hand[WEB]}) would be replaced, and {RULE}")


def half_way(hand: Hand, faults: Faults) -> tuple[str, str]:
    """What older versions left: the old group has no targets, the new one serves, and a kept rule forwards to the old one."""
    hand.make(KEEP)
    old = hand[WEB]
    faults.refuse("delete_target_group", "ResourceInUse", times=99)
    assert hand.world.apply(PATH).failures
    faults.refusals.clear()
    rule = stray_rule(hand)
    hand.wait(60)
    return old, rule


def looked_at(hand: Hand, spec: Spec) -> Status:
    stack = load(spec)
    found, standing = hand.world._run(lambda aws: look(aws, stack.target()))
    return Status(stack.name, REGION, found, standing)


def refused_half_way(hand: Hand, old: str) -> str:
    """Which group the refusal says that the rule should forward to."""
    with pytest.raises(RefusedError) as caught:
        hand.world.plan(PATH)
    told = str(caught.value)
    assert told.startswith(
        f"{WEB} exists twice, and {RULE}, which isn't in the spec, forwards to {old}, which would go: "
    )
    return told.partition("let it forward to ")[2].partition(" first, by hand")[0]


def test_a_rule_that_lost_its_targets_is_told_and_led_out_by_hand(hand: Hand, faults: Faults) -> None:
    old, rule = half_way(hand, faults)
    assert looked_at(hand, PATH).not_ready == (
        f"{WEB} ({old}) has no targets, and {RULE} forwards to it, so it serves nobody",
    )
    forward = [{"Type": "forward", "TargetGroupArn": refused_half_way(hand, old)}]
    hand.elb.modify_rule(RuleArn=rule, Actions=forward)
    hand.make(PATH)
    assert served(hand) == [2]
    assert looked_at(hand, PATH).not_ready == ()


def test_a_rule_that_lost_its_targets_is_led_out_by_adoption(hand: Hand, faults: Faults) -> None:
    old, _ = half_way(hand, faults)
    refused_half_way(hand, old)
    rule = {"priority": 5, "conditions": [{"path_pattern": "/x"}], "action": {"forward": "web"}}
    declared = edited(PATH, "load_balancers/public/listeners/http/rules", {"x": rule})
    Keeper(hand.world).adopt(declared)
    hand.make(declared)
    assert served(hand) == [2]


def test_a_group_that_left_the_spec_stays_while_a_rule_forwards_to_it(hand: Hand, faults: Faults) -> None:
    """Found: after the entry was removed, `plan` offered the delete again."""
    old, _ = half_way(hand, faults)
    with pytest.raises(RefusedError, match=re.escape(f"{WEB} ({old}) would be deleted, and {RULE}")):
        hand.world.plan(without_group(PATH))


def test_sync_corrects_the_rest_half_way(hand: Hand, faults: Faults) -> None:
    old, _ = half_way(hand, faults)
    hand.ec2.create_tags(Resources=[hand["vpc.main"]], Tags=[{"Key": "service", "Value": "wrong"}])
    ending = hand.world.sync(edited(PATH, "sync", {"correct": ["replace", "delete"]}))
    assert {str(item.step.address) for item in ending.outcomes} == {"vpc.main"}
    assert f"forwards to {old}" in ending.selection.withheld[f"delete:{WEB}@{old}"]


@pytest.mark.parametrize("targets", [[], ["web"]])
def test_a_group_without_targets_is_worth_a_word_and_no_more_where_the_spec_wants_none(
    hand: Hand, targets: list[str]
) -> None:
    spec = edited(edited(demo(), "target_groups/web/targets", targets), "instances/web/count", 0)
    hand.make(spec)
    found = looked_at(hand, spec)
    assert found.not_ready == ()
    assert found.warnings == (f"{WEB} gets requests and has no targets, so they are answered with 503",)
    ending = hand.world.sync(spec)
    assert not ending.is_failed
    assert not ending.notes


@pytest.mark.parametrize("is_alike", [True, False])
def test_a_kept_rule_in_the_place_of_one_that_would_be_made_is_adopted_if_it_asks_for_the_same(
    hand: Hand, *, is_alike: bool
) -> None:
    """Found: "choose another" builds a second rule with the same conditions."""
    hand.make(KEEP)
    stray_rule(hand)
    rule = {
        "priority": 5,
        "conditions": [{"path_pattern": "/x" if is_alike else "/y"}],
        "action": {"forward": "web"},
    }
    wanted = edited(KEEP, "load_balancers/public/listeners/http/rules", {"mine": rule})
    with pytest.raises(RefusedError) as refused:
        hand.world.plan(wanted)
    told = str(refused.value)
    assert ("alb-reconcile adopt spec.yaml takes it over" in told) is is_alike
    assert ("choose another" in told) is not is_alike
