"""Who took away what is missing: the issue names them only where an event names exactly that, and has the command for the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import boto3
import pytest

from alb_reconcile.sandbox.strict.world import World as Place
from tests.harness import REGION, by_hand
from tests.sync.acts import delete_balancer, deregister, terminate
from tests.sync.rounds import go_round

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


def test_a_target_and_what_else_is_missing(hand: Hand, go: Callable[[int], Told]) -> None:
    deregister(hand)
    hand.elb.delete_listener(ListenerArn=hand["listener.public/http"])
    hand.wait(60)
    named, commands, _ = go(1)
    assert named == {
        "create registration.web/web-1:80": "moto: DeregisterTargets",
        "create registration.web/web-2:80": "moto: DeregisterTargets",
    }
    assert commands == [f"{EVENT}DeleteListener"]


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


@pytest.mark.parametrize(
    ("act", "event"),
    [
        (delete_balancer, "DeleteLoadBalancer"),
        (lambda hand: hand.elb.delete_rule(RuleArn=hand["rule.public/http/soon"]), "DeleteRule"),
        (lambda hand: terminate(hand, "web-1"), "TerminateInstances"),
    ],
)
def test_what_only_an_id_would_tell(
    hand: Hand, go: Callable[[int], Told], act: Callable[[Hand], None], event: str
) -> None:
    """With all that AWS deletes with a load balancer; an instance's id isn't known when EC2 no longer shows its tags."""
    act(hand)
    assert go(0) == Told({}, [f"{EVENT}{event}"], is_final=True)


def test_an_instance_known_by_its_address(hand: Hand, spec: Spec, go: Callable[[int], Told]) -> None:
    """The event has the address, of which the plan knows only whose it is."""
    spec["target_groups"]["web"]["target_type"] = "ip"
    hand.make(spec)
    group = hand["target_group.web"]
    (health, *_) = hand.elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
    hand.elb.deregister_targets(TargetGroupArn=group, Targets=[{"Id": health["Target"]["Id"]}])
    hand.wait(60)
    assert go(0) == Told({}, [f"{EVENT}DeregisterTargets"], is_final=True)


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
