"""Internet gateways: attachment, lost replies, moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.harness import demo
from tests.kinds.example import Example
from tests.kinds.hand import create, edited, order, update

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.kinds.hand import Faults, Hand

MAIN = "internet_gateway.main"
ALONE: Spec = {
    "stack": "demo",
    "region": "us-east-1",
    "vpcs": {"main": {"cidr_block": "10.0.0.0/16"}},
    "internet_gateways": {"main": {}},
}
EXAMPLE = Example(spec=ALONE, address=MAIN)


def ours(hand: Hand) -> list[str]:
    filters = [{"Name": "tag:alb-reconcile:stack", "Values": ["demo"]}]
    found = hand.ec2.describe_internet_gateways(Filters=filters)["InternetGateways"]
    return [item["InternetGatewayId"] for item in found]


def test_a_gateway_whose_vpc_was_deleted_by_hand_is_attached_to_the_new_one(hand: Hand) -> None:
    hand.make(ALONE)
    hand.ec2.detach_internet_gateway(InternetGatewayId=hand[MAIN], VpcId=hand["vpc.main"])
    hand.ec2.delete_vpc(VpcId=hand["vpc.main"])
    hand.repairs(create("vpc.main"), update(MAIN, "vpc"), by=("create_vpc", "attach_internet_gateway"))


def without_a_gateway() -> Spec:
    """The demo's network inside only: its load balancer is internal, its instances keep what they have."""
    spec = edited(edited(demo(), "load_balancers/public/scheme", "internal"), "route_tables/public/routes", [])
    return edited(spec, "internet_gateways", None)


@pytest.mark.parametrize("change", [None, "user_data"])
def test_a_gateway_whose_vpc_keeps_public_addresses_is_refused(hand: Hand, change: str | None) -> None:
    """Found: AWS refused to detach it, after all else was done. Also where new instances get such addresses from their subnets."""
    hand.make(edited(without_a_gateway(), "internet_gateways", {"main": {}}))
    spec = without_a_gateway()
    spec["instances"]["web"] |= {change: "#!/bin/sh\nexec web-api --new\n"} if change else {}
    told = (
        rf"^internet_gateway\.main: AWS doesn't detach {hand[MAIN]} as long as instances in its VPC have public IPv4 addresses; say "
        r"associate_public_ip_address: false in instances\.web, or keep the gateway$"
    )
    hand.refuses(spec, told)
    hand.make(edited(spec, "instances/web/associate_public_ip_address", False), allow={"delete": 1, "replace": 2})
    went = order(hand.world, "modify_network_interface_attribute", "terminate_instances", "detach_internet_gateway")
    assert went.index("detach_internet_gateway") == len(went) - 1, "it isn't tried before"


def test_a_vpc_that_has_a_strangers_gateway_is_refused(hand: Hand) -> None:
    hand.make(edited(ALONE, "internet_gateways", None))
    theirs = hand.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    hand.ec2.attach_internet_gateway(InternetGatewayId=theirs, VpcId=hand["vpc.main"])
    result = hand.world.apply(ALONE)
    (failure,) = [item for item in result.failures if ": failed: " in item]
    assert "has an internet gateway outside this stack" in failure
    hand.ec2.detach_internet_gateway(InternetGatewayId=theirs, VpcId=hand["vpc.main"])
    hand.make(ALONE)
    assert len(ours(hand)) == 1


def test_lingering_public_addresses_are_waited_out_and_one_that_somebody_detaches_is_no_failure(
    hand: Hand, faults: Faults
) -> None:
    hand.make(ALONE)
    faults.refuse("detach_internet_gateway", "DependencyViolation", times=3)
    somebody = {"InternetGatewayId": hand[MAIN], "VpcId": hand["vpc.main"]}
    faults.before("detach_internet_gateway", lambda _: hand.ec2.detach_internet_gateway(**somebody))
    hand.world.destroy(ALONE)
    assert ours(hand) == []


def test_our_own_gateway_that_reads_dont_show_yet_is_no_stranger(hand: Hand) -> None:
    """Somebody, or a run that was killed, has attached it a moment ago."""
    hand.make(ALONE)
    hand.ec2.detach_internet_gateway(InternetGatewayId=hand[MAIN], VpcId=hand["vpc.main"])
    hand.wait(100)
    hand.world.strict.lag = 30.0
    hand.ec2.attach_internet_gateway(InternetGatewayId=hand[MAIN], VpcId=hand["vpc.main"])
    assert not hand.world.apply(ALONE).failures
