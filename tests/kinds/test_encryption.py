"""VPC encryption controls: made with the VPC, and what keeps them from enforcing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.kinds.hand import Hand, edited

if TYPE_CHECKING:
    from tests.harness import Spec

MAIN = "vpc.main"
CONTROL = "vpcs/main/vpc_encryption_control"
PLAIN: Spec = {"stack": "demo", "region": "us-east-1", "vpcs": {"main": {"cidr_block": "10.0.0.0/16"}}}
ENFORCED = edited(PLAIN, CONTROL, {"mode": "enforce", "internet_gateway_exclusion": "enable"})
WITH_GATEWAY = {**ENFORCED, "internet_gateways": {"main": {}}}


def shown(hand: Hand) -> dict[str, Any] | None:
    found = hand.ec2.describe_vpc_encryption_controls(VpcIds=[hand[MAIN]])["VpcEncryptionControls"]
    return dict(found[0]) if found else None


def test_a_new_vpc_enforces_from_the_beginning_and_lets_in_what_is_excluded(hand: Hand) -> None:
    hand.make(WITH_GATEWAY)
    found = shown(hand)
    assert found is not None
    assert (found["Mode"], found["ResourceExclusions"]["InternetGateway"]["State"]) == ("enforce", "enabled")
    assert "create_vpc_encryption_control" not in {name for name, _ in hand.world.log}


def test_what_keeps_it_from_enforcing_is_told_before(hand: Hand) -> None:
    hand.make(PLAIN)
    gateway = hand.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    hand.ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=hand[MAIN])
    told = rf"^spec\.yaml:\d+:\d+: vpcs\.main\.vpc_encryption_control\.mode: {hand[MAIN]} can't enforce encryption with {gateway}"
    hand.refuses_run(edited(ENFORCED, f"{CONTROL}/internet_gateway_exclusion", None), told)
    hand.make(ENFORCED)
