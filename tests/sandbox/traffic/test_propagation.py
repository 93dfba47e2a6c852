"""When the load balancers' nodes learn of a change."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alb_reconcile.sandbox.traffic.propagation import Propagation
from alb_reconcile.sandbox.traffic.snapshot import Listener, LoadBalancer, Rule, Snapshot, TargetGroup, TargetState
from tests.sandbox.traffic.front_lab import CHECK


def group(**targets: str) -> TargetGroup:
    return TargetGroup("tg", "HTTP", "HTTP1", CHECK, {}, tuple(TargetState(k, 80, v) for k, v in targets.items()))


def balancer(arn: str, target_group: str = "tg") -> LoadBalancer:
    rule = Rule(f"{arn}/default", None, (), ({"Type": "forward", "TargetGroupArn": target_group},))
    return LoadBalancer(arn, f"{arn}.example", {}, (Listener(f"{arn}/http", "HTTP", 80, (), (rule,)),))


def state(snapshot: Snapshot) -> dict[str, str]:
    return {item.instance_id: item.state for item in snapshot.target_groups["tg"].targets}


BEFORE = Snapshot((balancer("lb"),), {"tg": group(a="healthy", b="healthy")})


@pytest.fixture
def nodes() -> Propagation:
    made = Propagation(10)
    made.pass_on(BEFORE, 100)
    return made


def test_a_registration_that_ends_or_is_gone_is_known_at_the_end_of_the_window(nodes: Propagation) -> None:
    known = {"a": "healthy", "b": "healthy"}
    after = replace(BEFORE, target_groups={"tg": group(a="draining", b="healthy", c="initial")})
    assert state(nodes.pass_on(after, 101)) == state(nodes.pass_on(after, 109.9)) == known
    assert state(nodes.pass_on(after, 110)) == {"a": "draining", "b": "healthy", "c": "initial"}
    gone = replace(BEFORE, target_groups={"tg": group(b="healthy")})
    assert state(nodes.pass_on(gone, 111)) == {"a": "draining", "b": "healthy", "c": "initial"}
    assert state(nodes.pass_on(gone, 122)) == {"b": "healthy"}


def test_security_groups_hold_at_once_and_their_own_checks_they_know(nodes: Propagation) -> None:
    ill = replace(BEFORE, target_groups={"tg": group(a="unhealthy", b="healthy")}, ingress={"lb": (range(443, 444),)})
    assert nodes.pass_on(ill, 101).ingress == ill.ingress
    assert state(nodes.pass_on(ill, 101)) == {"a": "unhealthy", "b": "healthy"}


def test_rules_reach_them_late_but_for_a_new_load_balancer(nodes: Propagation) -> None:
    both = replace(BEFORE, load_balancers=(balancer("lb", "other"), balancer("new")))
    assert nodes.pass_on(both, 101).load_balancers == (balancer("lb"), balancer("new"))
    assert nodes.pass_on(both, 111).load_balancers == both.load_balancers
    first = Propagation(10)
    first.pass_on(Snapshot(), 100)
    assert first.pass_on(BEFORE, 101) == BEFORE


def test_a_change_is_due_when_its_window_has_ended(nodes: Propagation) -> None:
    assert not nodes.is_due(115), "nothing has changed"
    nodes.pass_on(replace(BEFORE, load_balancers=(balancer("lb", "other"),)), 116)
    assert not nodes.is_due(130), "it was passed on"
    nodes.pass_on(BEFORE, 117)
    assert not nodes.is_due(119.9)
    assert nodes.is_due(120)
    nodes.pass_on(BEFORE, 120)
    assert not nodes.is_due(130)


def test_without_lag_everything_is_known_at_once_and_nothing_is_due() -> None:
    nodes = Propagation(0)
    nodes.pass_on(BEFORE, 100)
    assert not nodes.is_due(200)
    assert nodes.pass_on(Snapshot(), 100) == Snapshot()
