"""Rules and default actions that somebody changes or deletes while the spec says something new that isn't applied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.kinds.registration import Registration
from alb_reconcile.model.address import Address
from alb_reconcile.model.plan import Step
from alb_reconcile.model.resource import Observed
from alb_reconcile.sync.severity import weigh
from tests.properties.test_rule_order import BOTH, ONE, routed, rule
from tests.sync.words import done

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.harness import Spec
    from tests.kinds.hand import Hand

OTHER = rule(30, "api", "/3/*")
NEW = rule(5, "new", "/2/*")


def action(hand: Hand) -> None:
    """Another group."""
    told = [{"Type": "forward", "TargetGroupArn": hand["target_group.web"]}]
    hand.elb.modify_rule(RuleArn=hand["rule.public/http/c"], Actions=told)


def conditions(hand: Hand) -> None:
    """Another path."""
    hand.elb.modify_rule(RuleArn=hand["rule.public/http/c"], Conditions=[{"Field": "path-pattern", "Values": ["/4/*"]}])


def default(hand: Hand) -> None:
    """Nobody answers."""
    told: list[Any] = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}}]
    hand.elb.modify_listener(ListenerArn=hand["listener.public/http"], DefaultActions=told)


def make_and_delete_a_rule(hand: Hand, spec: Spec) -> None:
    hand.make(spec)
    hand.wait(600)
    hand.elb.delete_rule(RuleArn=hand["rule.public/http/b"])
    hand.wait(600)


SPECS = {
    "a new rule": routed("web", a=ONE, c=OTHER, n=rule(5, "api", "/3/7/*")),
    "a new group": routed("web", a=ONE, c=OTHER, n=rule(5, "new", "/3/7/*")),
    "a wider rule": routed("web", a=BOTH, c=OTHER),
}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "change"), [*zip(SPECS, (action, conditions, default), strict=True)])
def test_what_somebody_has_changed_is_put_right_though_a_new_rule_would_come_before(
    hand: Hand, name: str, change: Callable[[Hand], None]
) -> None:
    before = routed("web", a=ONE, c=OTHER)
    hand.make(before)
    hand.wait(600)
    change(hand)
    hand.wait(600)
    assert "drift" in done(hand.world.sync(SPECS[name])).values()
    assert hand.world.plan(before).is_empty


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "spec"),
    [
        (routed(a=ONE, b=NEW), routed(a=rule(10, "api", "/1/*"), b=NEW)),
        (routed(a=ONE, b=NEW), routed(b=NEW)),
    ],
    ids=["another action", "a rule less"],
)
def test_a_rule_that_somebody_has_deleted_is_made_though_its_group_could_stand_beside_nothing_that_stays(
    hand: Hand, before: Spec, spec: Spec
) -> None:
    make_and_delete_a_rule(hand, before)
    hand.world.sync(spec)
    assert hand.world.plan(before).is_empty


@pytest.mark.slow
def test_a_rule_whose_group_nothing_checks_is_not_made_where_others_answer_its_requests(hand: Hand) -> None:
    """Its group could be checked only beside what the spec changes, and no target would answer until then."""
    make_and_delete_a_rule(hand, routed("web", b=NEW))
    ending = hand.world.sync(routed("api", b=NEW))
    assert not ending.selection.steps
    assert "and not on the way" in ending.selection.withheld["create:rule.public/http/b"]


@pytest.mark.slow
def test_where_nothing_is_new_it_stands_beside_what_somebody_else_has_made(hand: Hand) -> None:
    """And nothing of it is left there."""
    spec = routed(b=NEW)
    make_and_delete_a_rule(hand, spec)
    hand.elb.create_rule(
        ListenerArn=hand["listener.public/http"], Priority=40,
        Conditions=[{"Field": "path-pattern", "Values": ["/9/*"]}],
        Actions=[{"Type": "forward", "TargetGroupArn": hand["target_group.web"]}],
    )  # fmt: skip
    hand.wait(600)
    hand.world.sync(spec)
    rules = hand.elb.describe_rules(ListenerArn=hand["listener.public/http"])["Rules"]
    told = [item.get("ForwardConfig", {}) for one in rules for item in one["Actions"]]
    groups = [part["TargetGroupArn"] for config in told for part in config.get("TargetGroups", ())]
    assert groups.count(hand["target_group.new"]) == 1


@pytest.mark.parametrize(
    ("status", "action", "weight"),
    [("draining", "delete", "update"), ("draining", "replace", "replace"), ("healthy", "delete", "replace")],
)
def test_a_target_that_leaves_already_is_not_drained_again(status: str, action: Any, weight: str) -> None:
    """To take it out weighs as much as a change; what drains a target weighs as much as a replacement."""
    state = Registration(target_group="arn:web", target="i-1", port=80)
    address = Address("registration", "web/web-1:80")
    step = Step(
        action,
        address,
        "arn:web|i-1:80",
        "key",
        observed=Observed(address, "arn:web|i-1:80", state, {}, "demo", status),
    )
    assert weigh(step, ()) == weight
