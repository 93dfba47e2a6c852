"""What isn't imitated is said, and only where something uses it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from alb_reconcile.cli.render.status import traffic_text
from alb_reconcile.sandbox.client import Traffic
from alb_reconcile.sandbox.strict.elb_attributes import balancer_defaults, group_defaults
from alb_reconcile.sandbox.traffic.gaps import find_gaps
from tests.sandbox.traffic.front_lab import fixed, forward, group, listener, rule, snapshot, when


def gaps(*listeners: Any, attributes: Any = None, **of_group: str) -> list[str]:
    web = group("web", "i-a", attributes=group_defaults() | of_group)
    found = find_gaps(snapshot(listeners, [web], balancer_defaults() | (attributes or {})))
    assert {arn for arn, _ in found} <= {"balancer/1"}
    return [text for _, text in found]


def test_aws_defaults_are_no_gaps() -> None:
    assert gaps(listener(80, rule(forward("web")), rule(fixed("x")))) == []


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (
            gaps(listener(80, rule(fixed("x"))), attributes={"routing.http.desync_mitigation_mode": "strictest"}),
            "routing.http.desync_mitigation_mode strictest: requests are all taken as Envoy takes them",
        ),
        (
            gaps(listener(80, rule(forward("web"))), **{"load_balancing.cross_zone.enabled": "false"}),
            "target group web: load_balancing.cross_zone.enabled false: there is one node for all zones",
        ),
        (
            gaps(listener(80, rule(forward("function")))),
            "target group function: functions aren't run, so 503 is answered",
        ),
        (
            gaps(listener(80, rule(fixed("x"), when("source-ip", "10.0.0.0/8"), priority=7))),
            "port 80, rule 7: source-ip: everybody comes from 127.0.0.1",
        ),
    ],
)
def test_what_is_used_is_named(found: list[str], expected: str) -> None:
    assert found == [expected]


def test_a_web_acl_is_one() -> None:
    plain = snapshot([listener(80, rule(fixed("x")))], attributes=balancer_defaults())
    guarded = replace(plain, load_balancers=tuple(replace(item, has_acl=True) for item in plain.load_balancers))
    assert find_gaps(plain) == []
    assert [text for _, text in find_gaps(guarded)] == ["web ACL: it isn't asked, and lets everything through"]


def test_groups_that_nothing_forwards_to_do_not_count() -> None:
    assert gaps(listener(80, rule(fixed("x"))), **{"load_balancing.cross_zone.enabled": "false"}) == []


def test_sandbox_status_says_whose_an_instance_is() -> None:
    known = {"state": "runs", "local_port": 1024, "pid": 7, "restarts": 0, "note": "", "ports": [80]}
    rows = [{"instance_id": "i-1", "owner": "instance.web-1 of shop", **known}, {"instance_id": "i-2", **known}]
    told = {"doors": [], "processes": rows, "problem": "", "gaps": []}
    assert traffic_text(Traffic.read(told)).splitlines()[-2:] == [
        "  i-1  instance.web-1 of shop  runs     port 1024 for 80  process 7",
        "  i-2  runs     port 1024 for 80  process 7",
    ]


def test_sandbox_status_lists_them() -> None:
    arn = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/shop/1"
    told: dict[str, Any] = {"doors": [], "processes": [], "problem": "", "gaps": [[arn, "something"]]}
    shown = traffic_text(Traffic.read(told))
    assert "Not imitated:\n  shop: something" in shown
    assert "Not imitated" not in traffic_text(Traffic.read({**told, "gaps": []}))
