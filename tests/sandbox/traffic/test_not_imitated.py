"""What isn't imitated is said, and only where something uses it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from alb_reconcile.sandbox.strict.elb_attributes import balancer_defaults, group_defaults
from alb_reconcile.sandbox.traffic.gaps import find_gaps
from tests.sandbox.traffic.front_lab import fixed, forward, group, listener, rule, snapshot, when

FIXED, FORWARD = listener(80, rule(fixed("x"))), listener(80, rule(forward("web")))
FUNCTION = listener(80, rule(forward("function")))
BY_SOURCE = listener(80, rule(fixed("x"), when("source-ip", "10.0.0.0/8"), priority=7))
ONE_ZONE = {"load_balancing.cross_zone.enabled": "false"}


@pytest.mark.parametrize(
    ("shown", "attributes", "of_group", "acl", "expected"),
    [
        (listener(80, rule(forward("web")), rule(fixed("x"))), {}, {}, False, ""),
        (FIXED, {}, ONE_ZONE, False, ""),  # nothing forwards to it
        (
            FIXED, {"routing.http.desync_mitigation_mode": "strictest"}, {}, False,
            "routing.http.desync_mitigation_mode strictest: requests are all taken as Envoy takes them",
        ),
        (
            FORWARD, {}, ONE_ZONE, False,
            "target group web: load_balancing.cross_zone.enabled false: there is one node for all zones",
        ),
        (FUNCTION, {}, {}, False, "target group function: functions aren't run, so 503 is answered"),
        (BY_SOURCE, {}, {}, False, "port 80, rule 7: source-ip: everybody comes from 127.0.0.1"),
        (FIXED, {}, {}, True, "web ACL: it isn't asked, and lets everything through"),
    ],
)  # fmt: skip
def test_what_is_used_is_named(
    shown: Any, attributes: dict[str, str], of_group: dict[str, str], *, acl: bool, expected: str
) -> None:
    web = group("web", "i-a", attributes=group_defaults() | of_group)
    found = snapshot([shown], [web], balancer_defaults() | attributes)
    found = replace(found, load_balancers=tuple(replace(item, has_acl=acl) for item in found.load_balancers))
    assert list(find_gaps(found)) == ([("balancer/1", expected)] if expected else [])
