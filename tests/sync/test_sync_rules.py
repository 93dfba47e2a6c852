"""Rules and default actions that somebody changes or deletes while the spec says something new that isn't applied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.harness import world
from tests.kinds.hand import Hand
from tests.properties.test_rule_order import BOTH, ONE, routed, rule
from tests.sync.words import done

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.harness import Spec

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


SPECS = {
    "a new rule": routed("web", a=ONE, c=OTHER, n=rule(5, "api", "/3/7/*")),
    "a new group": routed("web", a=ONE, c=OTHER, n=rule(5, "new", "/3/7/*")),
    "a wider rule": routed("web", a=BOTH, c=OTHER),
}


@pytest.mark.parametrize(("name", "change"), [*zip(SPECS, (action, conditions, default), strict=True)])
def test_what_somebody_has_changed_is_put_right_though_a_new_rule_would_come_before(
    name: str, change: Callable[[Hand], None]
) -> None:
    with world() as here:
        hand = Hand(here)
        before = routed("web", a=ONE, c=OTHER)
        hand.make(before)
        here.clock.advance(600)
        change(hand)
        here.clock.advance(600)
        assert "drift" in done(here.sync(SPECS[name])).values()
        assert here.plan(before).is_empty


@pytest.mark.parametrize(
    ("before", "spec"),
    [
        (routed(a=ONE, b=NEW), routed(a=rule(10, "api", "/1/*"), b=NEW)),
        (routed(a=ONE, b=NEW), routed(b=NEW)),
    ],
    ids=["another action", "a rule less"],
)
def test_a_rule_that_somebody_has_deleted_is_made_though_its_group_could_stand_beside_nothing_that_stays(
    before: Spec, spec: Spec
) -> None:
    with world() as here:
        hand = Hand(here)
        hand.make(before)
        here.clock.advance(600)
        hand.elb.delete_rule(RuleArn=hand["rule.public/http/b"])
        here.clock.advance(600)
        here.sync(spec)
        assert here.plan(before).is_empty


def test_a_rule_whose_group_nothing_checks_is_not_made_where_others_answer_its_requests() -> None:
    """Its group could be checked only beside what the spec changes, and no target would answer until then."""
    with world() as here:
        hand = Hand(here)
        hand.make(routed("web", b=NEW))
        here.clock.advance(600)
        hand.elb.delete_rule(RuleArn=hand["rule.public/http/b"])
        here.clock.advance(600)
        ending = here.sync(routed("api", b=NEW))
        assert not ending.selection.steps
        assert "and not on the way" in ending.selection.withheld["create:rule.public/http/b"]


def test_where_nothing_is_new_it_stands_beside_what_somebody_else_has_made() -> None:
    """And nothing of it is left there."""
    with world() as here:
        hand, spec = Hand(here), routed(b=NEW)
        hand.make(spec)
        hand.elb.delete_rule(RuleArn=hand["rule.public/http/b"])
        hand.elb.create_rule(
            ListenerArn=hand["listener.public/http"], Priority=40,
            Conditions=[{"Field": "path-pattern", "Values": ["/9/*"]}],
            Actions=[{"Type": "forward", "TargetGroupArn": hand["target_group.web"]}],
        )  # fmt: skip
        here.clock.advance(600)
        here.sync(spec)
        rules = hand.elb.describe_rules(ListenerArn=hand["listener.public/http"])["Rules"]
        told = [item.get("ForwardConfig", {}) for one in rules for item in one["Actions"]]
        groups = [part["TargetGroupArn"] for config in told for part in config.get("TargetGroups", ())]
        assert groups.count(hand["target_group.new"]) == 1
