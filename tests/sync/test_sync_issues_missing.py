"""Who took away what is missing: the issue names them only where an event names exactly that, and has the command for the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import boto3
import pytest

from alb_reconcile.sandbox.strict.world import World as Place
from tests.harness import REGION, by_hand
from tests.kinds.test_targets_by_address import address
from tests.sync.rounds import go_round
from tests.sync.test_sync_stack import deregister

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.harness import Spec
    from tests.kinds.hand import Hand

ASKS = "aws cloudtrail lookup-events --region us-east-1 --lookup-attributes"
EVENT = f"{ASKS} AttributeKey=EventName,AttributeValue="


class Told(NamedTuple):
    """Of an issue: who and what, below each step that says so; the commands that ask CloudTrail; whether it is final."""

    named: dict[str, str]
    commands: list[str]
    is_final: bool


@pytest.fixture
def go(hand: Hand, spec: Spec, tmp_path: Path) -> Callable[[int], Told]:
    """Goes a round in which nothing is corrected, and which asks CloudTrail that often."""

    def round_of(calls: int) -> Told:
        spec["sync"] = {"report": ["create", "update", "replace", "delete"]}
        go_round(hand, spec, tmp_path)
        assert sum(name == "lookup_events" for name, _ in hand.world.log) == calls
        named, key = {}, ""
        (file,) = (tmp_path / "issues").glob("*.md")
        text = file.read_text(encoding="utf-8").partition("## History")[0]
        for line in text.splitlines():
            key = line.strip("# `") if line.startswith("###") else key
            if "Last changed by" in line:
                who, what = line.split("`")[1::2][:2]
                named[key] = f"{who.rpartition('/')[2]}: {what}"
        commands = [part for part in text.split("`") if part.startswith("aws cloudtrail")]
        return Told(named, commands, '"asked":true' in text)

    return round_of


def someone(name: str) -> Any:
    """The load balancers' API in somebody's hands."""
    iam = by_hand("iam")
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return boto3.client(
        "elbv2", REGION, aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"]
    )


def by_address(hand: Hand, spec: Spec, *targets: Any) -> str:
    """Let the targets be those addresses. Returns their group."""
    spec["target_groups"]["web"] |= {"target_type": "ip", "targets": [*targets]}
    hand.make(spec)
    return hand["target_group.web"]


def test_a_target_and_what_else_is_missing(hand: Hand, go: Callable[[int], Told]) -> None:
    """Found: entries with "Drift: the account was changed" and no more. What only its event's name leads to is left to the reader."""
    deregister(hand)
    hand.elb.delete_listener(ListenerArn=hand["listener.public/http"])
    hand.wait(60)
    named, commands, _ = go(1)
    assert named == {
        "create registration.web/web-1:80": "moto: DeregisterTargets",
        "create registration.web/web-2:80": "moto: DeregisterTargets",
    }
    assert commands == [f"{EVENT}DeleteListener"]


def test_two_targets_that_two_people_took_away(hand: Hand, go: Callable[[int], Told]) -> None:
    """Found: what was last done to the group was taken for both."""
    for name, instance in (("ann", "web-1"), ("bob", "web-2")):
        target: Any = {"Id": hand[f"instance.{instance}"], "Port": 80}
        someone(name).deregister_targets(TargetGroupArn=hand["target_group.web"], Targets=[target])
        hand.wait(60)
    assert go(1).named == {
        "create registration.web/web-1:80": "ann: DeregisterTargets",
        "create registration.web/web-2:80": "bob: DeregisterTargets",
    }


def test_an_address_that_another_begins_with(hand: Hand, spec: Spec, go: Callable[[int], Told]) -> None:
    """Found: who took away 10.0.1.50 was named for 10.0.1.5."""
    own = address(hand, "instance.web-1")
    group = by_address(hand, spec, own)
    for name, target in (("bob", own), ("ann", f"{own}0")):
        someone(name).deregister_targets(TargetGroupArn=group, Targets=[{"Id": target}])
        hand.wait(60)
    assert go(1).named == {f"create registration.web/{own}:80": "bob: DeregisterTargets"}


@pytest.mark.parametrize("port", [80, 81])
def test_another_port_is_another_target(hand: Hand, spec: Spec, go: Callable[[int], Told], port: int) -> None:
    """An event without a port is about the group's."""
    spec["target_groups"]["web"] |= {"port": port, "targets": [{"instances": "web", "port": 80}]}
    hand.make(spec)
    target = {"Id": hand["instance.web-1"]}
    own, others = ({}, {"Port": 81}) if port == 80 else ({"Port": 80}, {})
    for name, item in (("bob", {**target, **own}), ("ann", {**target, **others})):
        someone(name).deregister_targets(TargetGroupArn=hand["target_group.web"], Targets=[item])
        hand.wait(60)
    assert go(1).named == {"create registration.web/web-1:80": "bob: DeregisterTargets"}


def test_a_target_that_was_there_again(hand: Hand, spec: Spec, go: Callable[[int], Told]) -> None:
    """Nobody is blamed for what was before: the event that counts is late."""
    deregister(hand)
    hand.wait(60)
    hand.make(spec)
    deregister(hand)
    trail = Place("123456789012", REGION).ledger.trail
    late = trail.pop()
    command = f"{ASKS} AttributeKey=ResourceName,AttributeValue={hand['target_group.web']}"
    assert go(1) == Told({}, [command], is_final=False)
    trail.append(late)
    told = go(1)
    assert len(told.named) == 2, "asked again"
    assert not told.is_final, "another event may still come"


def test_an_instance_known_by_its_address(hand: Hand, spec: Spec, go: Callable[[int], Told]) -> None:
    """The event has the address, of which the plan knows only whose it is."""
    group = by_address(hand, spec, "web")
    (health, *_) = hand.elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
    hand.elb.deregister_targets(TargetGroupArn=group, Targets=[{"Id": health["Target"]["Id"]}])
    hand.wait(60)
    assert go(0) == Told({}, [f"{EVENT}DeregisterTargets"], is_final=True)


def test_rules_that_two_people_deleted(hand: Hand, spec: Spec, go: Callable[[int], Told]) -> None:
    """Found: both got the name of one, and an old event of a sibling counted while today's was late."""
    rules = spec["load_balancers"]["public"]["listeners"]["http"]["rules"]
    rules["later"] = {**rules["soon"], "priority": 20, "conditions": [{"path_pattern": "/v3/*"}]}
    hand.make(spec)
    for name, rule in (("ann", "soon"), ("bob", "later")):
        someone(name).delete_rule(RuleArn=hand[f"rule.public/http/{rule}"])
        hand.wait(60)
    told = Told({}, [f"{EVENT}DeleteRule"], is_final=True)
    assert go(0) == told
    assert go(0) == told


def test_a_load_balancer(hand: Hand, go: Callable[[int], Told]) -> None:
    """With all that AWS deletes with it."""
    hand.elb.delete_load_balancer(LoadBalancerArn=hand["load_balancer.public"])
    hand.wait(300)
    assert go(0) == Told({}, [f"{EVENT}DeleteLoadBalancer"], is_final=True)


def test_an_instance_and_its_target(hand: Hand, go: Callable[[int], Told]) -> None:
    """The event has its id, which nobody knows when EC2 no longer shows its tags."""
    hand.ec2.terminate_instances(InstanceIds=[hand["instance.web-1"]])
    hand.wait(300)
    assert go(0) == Told({}, [f"{EVENT}TerminateInstances"], is_final=True)


def test_the_network_comes_last(hand: Hand, spec: Spec, tmp_path: Path, go: Callable[[int], Told]) -> None:
    """Of a stack that is gone, the five commands are about what serves first; and no round asks."""
    go_round(hand, spec, tmp_path)
    hand.world.destroy(spec)
    hand.wait(4000)
    told = go(0)
    assert [command.rpartition("=")[2] for command in told.commands] == [
        "DeleteTargetGroup", "DeleteLoadBalancer", "DeleteVpc", "DeleteSubnet", "DeleteInternetGateway",
    ]  # fmt: skip
    assert told.is_final
