"""A port that serves begins to redirect when the other one answers, and goes on serving where that never happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from alb_reconcile.engine.plan.rehearsal import find_gaps
from tests.harness import Spec, demo
from tests.kinds.hand import edited
from tests.kinds.test_listener import CERTIFICATES, upload_certificates
from tests.plan.test_order import follows

if TYPE_CHECKING:
    from tests.kinds.hand import Faults, Hand

HTTP, HTTPS = "update:listener.public/http", "create:listener.public/https"


def plain() -> Spec:
    """HTTP with a rule."""
    spec = demo()
    rule = {"priority": 1, "conditions": [{"path_pattern": "/old/*"}], "action": {"forward": "web"}}
    return edited(spec, "load_balancers/public/listeners/http/rules", {"old": rule})


def redirected() -> Spec:
    """The same by HTTPS, with another rule there, and the redirect."""
    spec = demo()
    listeners = spec["load_balancers"]["public"]["listeners"]
    rule = {"priority": 1, "conditions": [{"path_pattern": "/new/*"}], "action": {"forward": "web"}}
    listeners["https"] = {
        "protocol": "HTTPS",
        "port": 443,
        "certificate_arn": CERTIFICATES[0],
        "default_action": listeners["http"]["default_action"],
        "rules": {"new": rule},
    }
    listeners["http"]["default_action"] = {"redirect": {"protocol": "HTTPS", "port": 443, "status_code": "HTTP_301"}}
    opened = {"protocol": "tcp", "port": 443, "cidr_block": "0.0.0.0/0"}
    spec["security_groups"]["load-balancer"]["ingress"].append(opened)
    return spec


@pytest.mark.slow
def test_a_redirect_on_a_port_that_serves_comes_last(hand: Hand) -> None:
    upload_certificates()
    hand.make(plain())
    plan = hand.world.plan(redirected(), allow={"delete": 1})
    for earlier in (HTTPS, "create:rule.public/https/new", "update:security_group_rules.load-balancer"):
        assert follows(plan, HTTP, earlier)
    assert find_gaps(plan) == []  # a rule that goes may go before: its group answers by the default action meanwhile
    (step,) = [step for step in plan.steps if step.key.startswith(HTTP)]
    assert step.pause == (30, "every node of the load balancer answers there")
    hand.make(redirected(), allow={"delete": 1})


@pytest.mark.slow
def test_where_the_other_port_never_answers_this_one_serves_as_before(hand: Hand, faults: Faults) -> None:
    upload_certificates()
    hand.make(plain())
    before = hand.elb.describe_rules(ListenerArn=hand["listener.public/http"])["Rules"]
    faults.refuse("create_listener", "TooManyListeners", times=1)
    result = hand.world.apply(redirected(), allow={"delete": 1})
    assert any(item.startswith(HTTPS) for item in result.failures)
    assert "modify_listener" not in result.writes
    assert hand.elb.describe_rules(ListenerArn=hand["listener.public/http"])["Rules"] == before
    hand.make(redirected(), allow={"delete": 1})


def test_what_an_interrupted_run_has_made_gets_its_time_too(hand: Hand) -> None:
    upload_certificates()
    spec = redirected()
    hand.make(edited(spec, "load_balancers/public/listeners/http/default_action", {"forward": "web"}))
    (step,) = hand.world.plan(spec).steps
    assert step.pause[0] == 30
