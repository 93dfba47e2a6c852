"""Listener rules: drift, priorities, strangers."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.cli.render.status import StatusView, status_json, status_text
from alb_reconcile.cli.render.style import Style
from alb_reconcile.model.discovery import Discovery
from tests.harness import Spec, demo
from tests.kinds.example import Example, network
from tests.kinds.hand import calls, create, delete, edited, order, short, update
from tests.kinds.test_listener import LOGIN

if TYPE_CHECKING:
    from tests.kinds.hand import Hand

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
        **network("ab"),
        "load_balancers": {
            "public": {
                "scheme": "internal",
                "subnets": ["a", "b"],
                "listeners": {
                    "http": {
                        "protocol": "HTTP",
                        "port": 80,
                        "default_action": rule(1, "no")["action"],
                        "rules": {
                            "a": rule(10, "/a/*", transforms=[{"url_rewrite": {"regex": "^/a", "replace": "/"}}])
                        },
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
        "transforms": [{"url_rewrite": {"regex": "^/b", "replace": "/c"}}],
    },
    uncalled={**LOGIN, "elasticloadbalancing:DeleteRule": "one that goes before its listener"},
)


def ruled(**rules: Spec) -> Spec:
    return edited(demo(), RULES, rules or {"a": rule(10, "/a/*"), "b": rule(20, "/b/*")})


def stray(hand: Hand, priority: int, path: str = "/stray", **params: Any) -> str:
    answer = hand.elb.create_rule(
        ListenerArn=hand["listener.public/http"], Priority=priority, Actions=[ANSWER],
        Conditions=[{"Field": "path-pattern", "PathPatternConfig": {"Values": [path]}}], **params,
    )  # fmt: skip
    return str(answer["Rules"][0]["RuleArn"])


@pytest.mark.parametrize(
    "condition",
    [
        {"host_header": ["shop.example.com", "*.example.com"]},
        {"host_header": {"values": ["shop.example.com"]}},
        {"host_header": {"regex_values": ["^shop[0-9]+"]}},
        {"path_pattern": {"regex_values": ["^/v[0-9]/", "^/w"]}},
        {"http_header": {"http_header_name": "User-Agent", "values": ["*Chrome*", "*Safari*"]}},
        {"http_header": {"http_header_name": "User-Agent", "regex_values": ["^curl"]}},
        {"http_request_method": ["GET", "HEAD"]},
        {"query_string": [{"key": "version", "value": "v1"}, {"value": "*x*"}]},
        {"source_ip": ["203.0.113.0/24", "2001:DB8::/32"]},
    ],
    ids=str,
)
@pytest.mark.slow
def test_every_sort_of_condition_is_made_stable_and_repaired(hand: Hand, condition: Spec) -> None:
    spec = ruled(a=rule(10, "/a/*") | {"conditions": [condition]})
    hand.make(spec)
    hand.elb.modify_rule(RuleArn=hand[A], Conditions=[PATH])
    hand.repairs(update(A, "conditions"), by="modify_rule")


@pytest.mark.slow
def test_transforms_that_somebody_took_away_come_back_and_go(hand: Hand) -> None:
    transforms = [
        {"url_rewrite": {"regex": "^/a/(.*)$", "replace": "/$1"}},
        {"host_header_rewrite": {"regex": "^shop", "replace": "api"}},
    ]
    hand.make(ruled(a=rule(10, "/a/*", transforms=transforms)))
    hand.elb.modify_rule(RuleArn=hand[A], ResetTransforms=True)
    hand.repairs(update(A, "transforms"), by="modify_rule")
    hand.make(ruled(a=rule(10, "/a/*", transforms=[])))
    (found,) = hand.elb.describe_rules(RuleArns=[hand[A]])["Rules"]
    assert not found["Transforms"]
    (params,) = calls(hand.world, "modify_rule")
    assert params.keys() == {"RuleArn", "ResetTransforms"}


def test_transforms_that_the_spec_leaves_out_are_left_alone(hand: Hand) -> None:
    hand.make(ruled())
    rewrite = {"Type": "url-rewrite", "UrlRewriteConfig": {"Rewrites": [{"Regex": "^", "Replace": "/"}]}}
    hand.elb.modify_rule(RuleArn=hand[A], Transforms=[rewrite])
    assert hand.world.plan(hand.spec).is_empty
    hand.make(ruled(a=rule(10, "/other")))
    (found,) = hand.elb.describe_rules(RuleArns=[hand[A]])["Rules"]
    assert found["Transforms"] == [rewrite]


NEWER: dict[str, Spec] = {
    "conditions": {"Conditions": [PATH, {"Field": "moon-phase", "MoonConfig": {"Values": ["full"]}}]},
    "transforms": {"Transforms": [{"Type": "moon-rewrite", "MoonConfig": {"Phase": "full"}}]},
    "action": {"Actions": [{"Type": "moon-check", "Order": 1}, {**ANSWER, "Order": 2}]},
}
"""What some newer AWS may say of a rule, by the property that it is a part of."""


def let_aws_say(hand: Hand, said: Spec) -> None:
    """From now on AWS describes the rule so, until somebody says otherwise of it."""

    def say(answer: Any) -> None:
        for item in answer["Rules"]:
            if item["RuleArn"] == hand[A] and not calls(hand.world, "modify_rule"):
                item.update(said)

    hand.answers("describe_rules", say)


@pytest.mark.parametrize("name", NEWER)
def test_what_no_spec_can_say_is_shown_and_goes_by_a_persons_word_only(hand: Hand, name: str) -> None:
    answer = {"fixed_response": {"status_code": 404}}
    spec = ruled(a=rule(10, "/a/*", transforms=[], action=answer), b=rule(20, "/b/*"))
    hand.make(spec)
    let_aws_say(hand, NEWER[name])
    found = hand.world.plan(spec)
    assert found.is_empty
    (note,) = found.kept
    assert re.fullmatch(
        rf"{A} has what no spec can say, and it stays: moon-.*; --allow remove-unsupported=1 removes it", note
    )
    (shown,) = [item for item in found.live if str(item.address) == A]
    view = StatusView("demo", "us-east-1", Discovery("1", (shown,)), {})
    assert "  does what no spec can say: moon-" in status_text(view, Style(colored=False))
    assert "no spec can say: moon-" in json.loads(status_json(view))["resources"][0]["reason"]
    assert not hand.world.sync(spec).outcomes
    # what else changes there changes without it
    other = edited(spec, f"{RULES}/a/priority", 15)
    assert [str(step.address) for step in hand.world.plan(other).steps] == [ORDER]
    assert short(hand.world.plan(spec, allow=WORD)) == [update(A, name)]
    hand.make(spec, allow=WORD)
    assert order(hand.world, *WRITES) == ["modify_rule"]


@pytest.mark.slow
def test_a_rule_of_others_goes_unless_it_may_stay_or_is_another_stacks(hand: Hand) -> None:
    hand.make(ruled())
    stray(hand, 5)
    assert hand.world.plan(edited(ruled(), "load_balancers/public/listeners/http/others", "keep")).is_empty
    hand.repairs(delete("rule.public/http/#5"), by="delete_rule")
    hand.make(demo(), allow={"close": 2})
    stray(hand, 5)  # under a listener that has no rules
    hand.repairs(delete("rule.public/http/#5"), by="delete_rule")
    stray(hand, 5, Tags=[{"Key": "alb-reconcile:stack", "Value": "other"}])
    plan = hand.world.plan(demo())
    assert plan.is_empty
    assert any("belongs to the stack other" in note for note in plan.kept)


@pytest.mark.parametrize("owner", ["", "other"])
def test_a_rule_whose_requests_others_take_is_told(hand: Hand, owner: str) -> None:
    """Of rules that stay: those behind it, and those that take only a part, are no matter."""
    spec = edited(ruled(), "load_balancers/public/listeners/http/others", "keep")
    hand.make(spec)
    more: dict[str, Any] = {"Tags": [{"Key": "alb-reconcile:stack", "Value": owner}]} if owner else {}
    for priority, pattern in ((5, "/a/*"), (6, "/b/c"), (30, "/*")):
        stray(hand, priority, pattern, **more)
    plan = hand.world.plan(spec)
    assert plan.is_empty
    [found] = plan.warnings
    assert found.endswith(
        "load_balancers.public.listeners.http.rules.a.priority: no request reaches it: the rule of others with priority 5 before it "
        "takes all of its requests"
    )


def test_a_stray_rule_on_a_priority_that_the_spec_wants_is_parked_and_removed(hand: Hand) -> None:
    hand.make(ruled(a=rule(10, "/a/*")))
    stray(hand, 20)
    hand.repairs(
        update(ORDER, "rule.public/http/#20.priority"), create(B), delete("rule.public/http/#20"), spec=ruled(),
        calls={"set_rule_priorities": 1, "create_rule": 1, "delete_rule": 1},
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("owner", [None, "other"])
def test_a_priority_that_a_stranger_keeps_is_refused(hand: Hand, owner: str | None) -> None:
    keep = edited(ruled(a=rule(10, "/a/*")), "load_balancers/public/listeners/http/others", "keep")
    hand.make(keep)
    more: dict[str, Any] = {"Tags": [{"Key": "alb-reconcile:stack", "Value": owner}]} if owner else {}
    stray(hand, 20, **more)
    wanted = edited(ruled(), "load_balancers/public/listeners/http/others", "keep")
    hand.refuses(wanted, r"rule\.public/http/b: priority 20 is in use by")
