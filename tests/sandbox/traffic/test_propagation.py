"""When the load balancers' nodes learn of a change."""

from __future__ import annotations

from dataclasses import replace

from alb_reconcile.sandbox.traffic.propagation import Propagation
from alb_reconcile.sandbox.traffic.snapshot import (
    HealthCheck,
    Listener,
    LoadBalancer,
    Rule,
    Snapshot,
    TargetGroup,
    TargetState,
)

CHECK = HealthCheck("HTTP", None, "/", 30, 5, 5, 2, "200")


def group(**targets: str) -> TargetGroup:
    return TargetGroup("tg", "HTTP", "HTTP1", CHECK, {}, tuple(TargetState(k, 80, v) for k, v in targets.items()))


def balancer(arn: str, target_group: str = "tg") -> LoadBalancer:
    rule = Rule(f"{arn}/default", None, (), ({"Type": "forward", "TargetGroupArn": target_group},))
    return LoadBalancer(arn, f"{arn}.example", {}, (Listener(f"{arn}/http", "HTTP", 80, (), (rule,)),))


def state(snapshot: Snapshot) -> dict[str, str]:
    return {item.instance_id: item.state for item in snapshot.target_groups["tg"].targets}


BEFORE = Snapshot((balancer("lb"),), {"tg": group(a="healthy", b="healthy")})


def test_a_registration_that_ends_is_known_at_the_end_of_the_window() -> None:
    nodes = Propagation(10)
    nodes.pass_on(BEFORE, 100)
    after = replace(BEFORE, target_groups={"tg": group(a="draining", b="healthy", c="initial")})
    assert state(nodes.pass_on(after, 101)) == {"a": "healthy", "b": "healthy"}
    assert state(nodes.pass_on(after, 109.9)) == {"a": "healthy", "b": "healthy"}
    assert state(nodes.pass_on(after, 110)) == {"a": "draining", "b": "healthy", "c": "initial"}


def test_one_that_is_gone_altogether_gets_requests_until_then() -> None:
    nodes = Propagation(10)
    nodes.pass_on(BEFORE, 100)
    gone = replace(BEFORE, target_groups={"tg": group(b="healthy")})
    assert state(nodes.pass_on(gone, 105)) == {"a": "healthy", "b": "healthy"}
    assert state(nodes.pass_on(gone, 112)) == {"b": "healthy"}


def test_security_groups_hold_at_once() -> None:
    nodes = Propagation(10)
    nodes.pass_on(BEFORE, 100)
    shut = replace(BEFORE, ingress={"lb": (range(443, 444),)})
    assert nodes.pass_on(shut, 101).ingress == shut.ingress


def test_their_own_checks_they_know_at_once() -> None:
    nodes = Propagation(10)
    nodes.pass_on(BEFORE, 100)
    ill = replace(BEFORE, target_groups={"tg": group(a="unhealthy", b="healthy")})
    assert state(nodes.pass_on(ill, 101)) == {"a": "unhealthy", "b": "healthy"}


def test_rules_reach_them_late() -> None:
    nodes = Propagation(10)
    nodes.pass_on(BEFORE, 100)
    moved = replace(BEFORE, load_balancers=(balancer("lb", "other"),))
    assert nodes.pass_on(moved, 101).load_balancers == BEFORE.load_balancers
    assert nodes.pass_on(moved, 111).load_balancers == moved.load_balancers


def test_a_new_load_balancer_has_what_it_was_made_with() -> None:
    nodes = Propagation(10)
    nodes.pass_on(Snapshot(), 100)
    assert nodes.pass_on(BEFORE, 101).load_balancers == BEFORE.load_balancers
    assert state(nodes.pass_on(BEFORE, 101)) == {"a": "healthy", "b": "healthy"}


def test_without_lag_everything_is_known_at_once() -> None:
    nodes = Propagation(0)
    nodes.pass_on(BEFORE, 100)
    assert nodes.pass_on(Snapshot(), 100) == Snapshot()


def test_a_change_is_due_when_its_window_has_ended() -> None:
    nodes = Propagation(10)
    nodes.pass_on(BEFORE, 100)
    assert not nodes.is_due(115), "nothing has changed"
    nodes.pass_on(replace(BEFORE, load_balancers=(balancer("lb", "other"),)), 116)
    assert not nodes.is_due(130), "it was passed on"
    nodes.pass_on(BEFORE, 117)
    assert not nodes.is_due(119.9)
    assert nodes.is_due(120)
    nodes.pass_on(BEFORE, 120)
    assert not nodes.is_due(130)


def test_without_lag_nothing_is_due() -> None:
    nodes = Propagation(0)
    nodes.pass_on(BEFORE, 100)
    assert not nodes.is_due(200)
