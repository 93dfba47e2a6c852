"""Egress-only internet gateways: moves, and routes that lead to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.harness import demo
from tests.kinds.example import Example

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.kinds.hand import Hand

MAIN = "egress_only_internet_gateway.main"
ALONE: Spec = {
    "stack": "demo",
    "region": "us-east-1",
    "vpcs": {"main": {"cidr_block": "10.0.0.0/16"}},
    "egress_only_internet_gateways": {"main": {}},
}
EXAMPLE = Example(spec=ALONE, address=MAIN)


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
