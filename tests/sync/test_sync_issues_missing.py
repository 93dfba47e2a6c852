"""Who deleted what is missing: the issue names them, or has the command with which CloudTrail is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from alb_reconcile.sandbox.strict.world import World as Place
from tests.harness import REGION
from tests.sync.rounds import go_round
from tests.sync.test_sync_stack import deregister

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.harness import Spec
    from tests.kinds.hand import Hand

ALL = ["create", "update", "replace", "delete"]


@pytest.fixture
def issue(hand: Hand, spec: Spec, tmp_path: Path) -> Callable[..., dict[str, list[str]]]:
    """Goes a round in which nothing is corrected. Returns the lines below each step, and at "" those that ask CloudTrail."""
    spec["sync"] = {"report": ALL}
    hand.make(spec)

    def go(calls: int) -> dict[str, list[str]]:
        go_round(hand, spec, tmp_path)
        assert sum(name == "lookup_events" for name, _ in hand.world.log) == calls
        found: dict[str, list[str]] = {"": []}
        key = ""
        (file,) = (tmp_path / "issues").glob("*.md")
        for line in file.read_text(encoding="utf-8").partition("## History")[0].splitlines():
            key = line.strip("# `") if line.startswith("###") else key
            if "Last changed by" in line:
                found.setdefault(key, []).append(line.split(": ")[1].partition(",")[0].strip("`"))
            found[""] += [part for part in line.split("`") if part.startswith("aws cloudtrail")]
        return found

    return go


def test_a_listener_its_rule_and_targets(hand: Hand, issue: Callable[..., dict[str, list[str]]]) -> None:
    """Found: three entries with "Drift: the account was changed" and no more, though CloudTrail had both events."""
    deregister(hand)
    hand.elb.delete_listener(ListenerArn=hand["listener.public/http"])
    hand.wait(60)
    assert issue(3) == {
        "": [],
        "create registration.web/web-1:80": ["DeregisterTargets"],
        "create registration.web/web-2:80": ["DeregisterTargets"],
        "create listener.public/http": ["DeleteListener"],
        "create rule.public/http/soon": ["DeleteListener"],
    }


def test_a_rule(hand: Hand, issue: Callable[..., dict[str, list[str]]]) -> None:
    hand.elb.delete_rule(RuleArn=hand["rule.public/http/soon"])
    assert issue(2) == {"": [], "create rule.public/http/soon": ["DeleteRule"]}


def test_an_instance_and_its_target(hand: Hand, issue: Callable[..., dict[str, list[str]]]) -> None:
    """The event has its id, which nobody knows when EC2 no longer shows its tags."""
    hand.ec2.terminate_instances(InstanceIds=[hand["instance.web-1"]])
    hand.wait(300)
    (command,) = issue(0)[""]
    assert command.endswith("AttributeKey=EventName,AttributeValue=TerminateInstances")


def test_a_load_balancer(hand: Hand, issue: Callable[..., dict[str, list[str]]]) -> None:
    """With all that AWS deletes with it."""
    hand.elb.delete_load_balancer(LoadBalancerArn=hand["load_balancer.public"])
    hand.wait(300)
    found = issue(2)
    assert found["create load_balancer.public"] == found["create listener.public/http"] == ["DeleteLoadBalancer"]


def test_anothers_listener_and_one_that_was_made_again(
    hand: Hand, spec: Spec, issue: Callable[..., dict[str, list[str]]]
) -> None:
    """Nobody is blamed for what was before; the command asks for the event."""
    hand.elb.delete_listener(ListenerArn=hand["listener.public/http"])
    hand.wait(60)
    hand.make(spec)
    hand.elb.delete_listener(ListenerArn=hand["listener.public/http"])
    trail = Place("123456789012", REGION).ledger.trail
    late = trail.pop()
    spec["sync"] = {"report": ALL}
    asks = "aws cloudtrail lookup-events --region us-east-1 --lookup-attributes AttributeKey=EventName,AttributeValue="
    assert issue(2) == {"": [f"{asks}DeleteListener"]}
    trail.append(late)
    assert issue(2)["create listener.public/http"] == ["DeleteListener"], "asked again"


def test_what_no_event_names_is_asked_by_the_reader(hand: Hand, issue: Callable[..., dict[str, list[str]]]) -> None:
    """A route table that is gone has only an id in the event, which nobody knows any more."""
    table = hand["route_table.public"]
    (found,) = hand.ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"]
    for item in found["Associations"]:
        hand.ec2.disassociate_route_table(AssociationId=item["RouteTableAssociationId"])
    hand.ec2.delete_route_table(RouteTableId=table)
    (command,) = issue(0)[""]
    assert command.endswith("AttributeKey=EventName,AttributeValue=DeleteRouteTable")
