"""Listener rules: drift, priorities, strangers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.model.errors import RefusedError
from tests.harness import Spec, demo
from tests.kinds.example import Example
from tests.kinds.hand import calls, create, delete, edited, order, short, update

if TYPE_CHECKING:
    from tests.kinds.hand import Faults, Hand

A, B = "rule.public/http/a", "rule.public/http/b"
ORDER = "rule_priorities.public/http"
RULES = "load_balancers/public/listeners/http/rules"
PATH = {"Field": "path-pattern", "PathPatternConfig": {"Values": ["/a/*"]}}
WORD = {"remove-unsupported": 1}
WRITES = ("modify_rule", "modify_listener", "add_tags")
ANSWER = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}


def rule(priority: int, path: str, **more: Any) -> Spec:
    return {
        "priority": priority,
        "conditions": [{"path_pattern": path}],
        "action": {"fixed_response": {"status_code": 503, "content_type": "text/plain", "message_body": path}},
        **more,
    }


EXAMPLE = Example(
    spec={
        "stack": "demo",
        "region": "us-east-1",
        "vpcs": {"main": {"cidr_block": "10.0.0.0/16"}},
        "subnets": {
            name: {"cidr_block": f"10.0.{number}.0/24", "availability_zone": name} for number, name in enumerate("ab")
        },
        "load_balancers": {
            "public": {
                "scheme": "internal",
                "subnets": ["a", "b"],
                "listeners": {
                    "http": {
                        "protocol": "HTTP",
                        "port": 80,
                        "default_action": rule(1, "no")["action"],
                        "rules": {"a": rule(10, "/a/*")},
                    }
                },
            }
        },
    },
    address=A,
    changes={
        "priority": 20,
        "conditions": [{"path_pattern": ["/a/*", "/more"]}, {"host_header": "example.com"}],
        "action": rule(1, "other")["action"],
    },
)


def ruled(**rules: Spec) -> Spec:
    return edited(demo(), RULES, rules or {"a": rule(10, "/a/*"), "b": rule(20, "/b/*")})


def stray(hand: Hand, priority: int, **params: Any) -> str:
    answer = hand.elb.create_rule(
        ListenerArn=hand["listener.public/http"], Priority=priority, Actions=[ANSWER],
        Conditions=[{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/stray"]}}], **params,
    )  # fmt: skip
    return str(answer["Rules"][0]["RuleArn"])


@pytest.mark.parametrize(
    ("lost", "narrowed"),
    [
        ("source-ip", {"Conditions": [PATH, {"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.0/8"]}}]}),
        ("path-pattern", {"Conditions": [{"Field": "path-pattern", "RegexValues": ["^/a/"]}]}),
        (
            "url-rewrite",
            {
                "Transforms": [
                    {"Type": "url-rewrite", "UrlRewriteConfig": {"Rewrites": [{"Regex": "^", "Replace": "/"}]}}
                ]
            },
        ),
    ],
)
def test_what_no_spec_can_say_goes_by_a_persons_word_only(hand: Hand, lost: str, narrowed: Spec) -> None:
    hand.make(ruled())
    hand.elb.modify_rule(RuleArn=hand[A], **narrowed)
    with pytest.raises(RefusedError, match=f"{A} would lose .*{lost}.* --allow remove-unsupported=1"):
        hand.world.plan(hand.spec)
    found = hand.world.plan(hand.spec, allow=WORD)
    assert any(lost in warning for warning in found.warnings)
    assert not hand.world.sync(hand.spec).outcomes
    (reason,) = hand.world.sync(hand.spec).selection.withheld.values()
    assert "requires manual action" in reason or "would lose what no spec can say" in reason
    hand.make(hand.spec, allow=WORD)
    assert order(hand.world, *WRITES) == ["modify_rule"]
    (shown,) = hand.elb.describe_rules(RuleArns=[hand[A]])["Rules"]
    assert [item["Field"] for item in shown["Conditions"]] == ["path-pattern"]
    assert not shown.get("Transforms")


def test_rules_come_back_with_a_listener_that_was_deleted_by_hand(hand: Hand) -> None:
    hand.make(ruled())
    hand.elb.delete_listener(ListenerArn=hand["listener.public/http"])
    hand.repairs(create("listener.public/http"), create(A), create(B), by=("create_listener", "create_rule"))


def test_a_stray_rule_is_removed(hand: Hand) -> None:
    hand.make(ruled())
    stray(hand, 5)
    hand.repairs(delete("rule.public/http/#5"), by="delete_rule")


def test_stray_rules_under_a_listener_without_rules_are_removed(hand: Hand) -> None:
    hand.make(demo())
    stray(hand, 5)
    hand.repairs(delete("rule.public/http/#5"), by="delete_rule")


def test_a_stray_rule_may_stay_where_the_spec_says_so(hand: Hand) -> None:
    spec = edited(ruled(), "load_balancers/public/listeners/http/others", "keep")
    hand.make(spec)
    stray(hand, 5)
    assert hand.world.plan(spec).is_empty


def test_another_stacks_rule_is_shown_and_left_alone(hand: Hand) -> None:
    hand.make(ruled())
    stray(hand, 5, Tags=[{"Key": "alb-reconcile:stack", "Value": "other"}])
    plan = hand.world.plan(ruled())
    assert plan.is_empty
    assert any("belongs to the stack other" in note for note in plan.kept)


def test_two_rules_swap_their_places_in_one_call(hand: Hand) -> None:
    hand.make(ruled())
    swapped = ruled(a=rule(20, "/a/*"), b=rule(10, "/b/*"))
    result = hand.make(swapped)
    assert result.writes.get("set_rule_priorities") == 1
    assert not {"create_rule", "delete_rule", "modify_rule"} & result.writes.keys()
    (params,) = calls(hand.world, "set_rule_priorities")
    assert {item["RuleArn"]: item["Priority"] for item in params["RulePriorities"]} == {
        hand[A]: 20,
        hand[B]: 10,
    }


def test_three_rules_move_round_in_one_call(hand: Hand) -> None:
    hand.make(ruled(a=rule(1, "/a"), b=rule(2, "/b"), c=rule(3, "/c")))
    result = hand.make(ruled(a=rule(2, "/a"), b=rule(3, "/b"), c=rule(1, "/c")))
    assert result.writes.get("set_rule_priorities") == 1
    assert "create_rule" not in result.writes


def test_a_doomed_rule_is_parked_until_the_one_that_takes_its_place_is_there(hand: Hand) -> None:
    hand.make(ruled())
    hand.make(ruled(c=rule(10, "/c"), b=rule(20, "/b/*")))
    names = ("set_rule_priorities", "create_rule", "delete_rule")
    assert order(hand.world, *names) == list(names)
    (params,) = calls(hand.world, "set_rule_priorities")
    assert [item["Priority"] for item in params["RulePriorities"]] == [11], "right behind its own place"


def test_a_stray_rule_on_a_priority_that_the_spec_wants_is_parked_and_removed(hand: Hand) -> None:
    hand.make(ruled(a=rule(10, "/a/*")))
    stray(hand, 20)
    hand.repairs(
        update(ORDER, "rule.public/http/#20.priority"), create(B), delete("rule.public/http/#20"), spec=ruled(),
        calls={"set_rule_priorities": 1, "create_rule": 1, "delete_rule": 1},
    )  # fmt: skip


@pytest.mark.parametrize("owner", [None, "other"])
def test_a_priority_that_a_stranger_keeps_is_refused(hand: Hand, owner: str | None) -> None:
    keep = edited(ruled(a=rule(10, "/a/*")), "load_balancers/public/listeners/http/others", "keep")
    hand.make(keep)
    stray(hand, 20, **({"Tags": [{"Key": "alb-reconcile:stack", "Value": owner}]} if owner else {}))
    wanted = edited(ruled(), "load_balancers/public/listeners/http/others", "keep")
    with pytest.raises(RefusedError, match=r"rule\.public/http/b: priority 20 is in use by"):
        hand.world.plan(wanted)


def test_a_priority_that_a_stranger_takes_meanwhile_is_refused(hand: Hand, faults: Faults) -> None:
    hand.make(ruled(a=rule(10, "/a/*")))
    real = faults._real

    def stranger_comes_first(service: str, operation: str, params: Any) -> Any:
        if operation == "create_rule":
            stray(hand, 20)
        return real(service, operation, params)

    faults._real = stranger_comes_first
    result = hand.world.apply(ruled())
    (failure,) = [outcome for outcome in result.outcomes if outcome.how == "failed"]
    assert isinstance(failure.error, RefusedError)
    assert "priority 20 was taken meanwhile" in str(failure.error)
    faults._real = real
    hand.make(ruled())


def test_a_lost_reply_makes_no_second_rule(hand: Hand, faults: Faults) -> None:
    hand.make(demo())
    faults.lose_reply("create_rule")
    hand.world.apply(ruled())
    hand.make(ruled())
    rules = hand.elb.describe_rules(ListenerArn=hand["listener.public/http"])["Rules"]
    assert sorted(item["Priority"] for item in rules) == ["10", "20", "default"]


def test_a_reply_lost_and_repeated_finds_its_own_rule(hand: Hand, faults: Faults) -> None:
    hand.make(demo())
    real = faults._real

    def twice(service: str, operation: str, params: Any) -> Any:
        if operation == "create_rule":
            real(service, operation, params)
        return real(service, operation, params)

    faults._real = twice
    hand.make(ruled(a=rule(10, "/a/*")))
    assert short(hand.world.plan(ruled(a=rule(10, "/a/*")))) == []


@pytest.mark.parametrize("code", ["ListenerNotFound", "TargetGroupNotFound"])
def test_what_aws_does_not_know_yet_is_asked_for_again(hand: Hand, faults: Faults, code: str) -> None:
    faults.refuse("create_rule", code, times=2)
    hand.make(ruled())
    assert faults.made["create_rule"] == 4
