"""Egress-only internet gateways: lost replies, moves, and that nobody pays for them who has none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.harness import demo
from tests.kinds.example import Example
from tests.kinds.hand import calls, delete, edited, order, replaced

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.kinds.hand import Faults, Hand

MAIN = "egress_only_internet_gateway.main"
ALONE: Spec = {
    "stack": "demo",
    "region": "us-east-1",
    "vpcs": {"main": {"cidr_block": "10.0.0.0/16"}},
    "egress_only_internet_gateways": {"main": {}},
}
EXAMPLE = Example(spec=ALONE, address=MAIN)


def there(hand: Hand) -> list[str]:
    found = hand.ec2.describe_egress_only_internet_gateways()["EgressOnlyInternetGateways"]
    return [item["EgressOnlyInternetGatewayId"] for item in found]


@pytest.mark.parametrize("lag", [0.0, 20.0])
def test_a_lost_reply_makes_no_second_gateway(hand: Hand, faults: Faults, lag: float) -> None:
    hand.world.strict.lag = lag
    faults.lose_reply("create_egress_only_internet_gateway")
    hand.make(ALONE)
    assert there(hand) == [hand[MAIN]]
    assert faults.made["create_egress_only_internet_gateway"] == 2  # with the same token


def test_a_gateway_moves_to_another_vpc_by_replacement(hand: Hand) -> None:
    section = "egress_only_internet_gateways/main/vpc"
    spec = edited(edited(ALONE, "vpcs/other", {"cidr_block": "10.9.0.0/16"}), section, "main")
    hand.make(spec)
    hand.repairs(
        *replaced(MAIN, "vpc"),
        spec=edited(spec, section, "other"),
        by=("create_egress_only_internet_gateway", "delete_egress_only_internet_gateway"),
    )


def test_the_gateway_of_a_vpc_gives_way_to_another_one(hand: Hand) -> None:
    """Where nobody is told to `move` it instead: tests/plan/test_renames.py."""
    hand.make(ALONE)
    renamed = edited({**ALONE, "egress_only_internet_gateways": {}}, "egress_only_internet_gateways/fresh", {})
    hand.make(renamed, check=False)
    names = ("create_egress_only_internet_gateway", "delete_egress_only_internet_gateway")
    assert order(hand.world, *names) == list(reversed(names))


def test_one_that_the_spec_no_longer_declares_is_found_and_deleted(hand: Hand) -> None:
    hand.make(ALONE)
    gone = edited(ALONE, "egress_only_internet_gateways", None)
    hand.repairs(delete(MAIN), spec=gone, by="delete_egress_only_internet_gateway")


def test_nothing_is_read_for_who_has_none(hand: Hand) -> None:
    hand.make(demo())
    assert hand.world.plan(demo()).is_empty
    assert calls(hand.world, "describe_egress_only_internet_gateways") == []
    assert calls(hand.world, "describe_vpc_endpoints") == []


def test_a_strangers_gateway_is_left_alone(hand: Hand) -> None:
    vpc = hand.ec2.create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
    theirs = hand.ec2.create_egress_only_internet_gateway(VpcId=vpc)["EgressOnlyInternetGateway"]
    hand.make(ALONE)
    hand.world.destroy(ALONE)
    assert there(hand) == [theirs["EgressOnlyInternetGatewayId"]]


def test_a_route_leads_to_it_by_its_name(hand: Hand) -> None:
    spec = demo()
    spec["vpcs"]["main"]["amazon_provided_ipv6_cidr_block"] = True
    spec["egress_only_internet_gateways"] = {"main": {}}
    route = {"destination_ipv6_cidr_block": "::/0", "egress_only_internet_gateway": "main"}
    spec["route_tables"]["public"]["routes"].append(route)
    hand.make(spec)
    (table,) = hand.ec2.describe_route_tables(RouteTableIds=[hand["route_table.public"]])["RouteTables"]
    (found,) = [item for item in table["Routes"] if item.get("DestinationIpv6CidrBlock") == "::/0"]
    assert found["EgressOnlyInternetGatewayId"] == hand["egress_only_internet_gateway.main"]
    hand.world.destroy(spec)
