"""Route tables: drift, strangers, moves without a gap, and routes to everything that a route can lead to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.harness import Spec, demo
from tests.kinds.example import Example, network
from tests.kinds.hand import edited, order, update

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kinds.hand import Faults, Hand

TABLE = "route_table.public"
ROUTE = {"destination_cidr_block": "0.0.0.0/0", "internet_gateway": "main"}
GOES = ["disassociate_route_table", "associate_route_table", "replace_route_table_association"]
EXAMPLE = Example(
    spec={
        **network(),
        "subnets": {
            "a": {"cidr_block": "10.0.1.0/24", "availability_zone": "a"},
            "b": {"cidr_block": "10.0.2.0/24", "availability_zone": "b"},
        },
        "internet_gateways": {"main": {}},
        "route_tables": {"public": {"subnets": ["a"], "routes": [ROUTE]}},
    },
    address=TABLE,
    changes={"subnets": ["b"], "routes": [{**ROUTE, "destination_cidr_block": "192.0.2.0/24"}]},
    uncalled={
        "ec2:ReplaceRoute": "a route that leads elsewhere",
        "ec2:ReplaceRouteTableAssociation": "a subnet of another table",
    },
)


def split(first: list[str], second: list[str]) -> Spec:
    spec = demo()
    spec["route_tables"] = {
        "public": {"subnets": first, "routes": [ROUTE]},
        "other": {"subnets": second, "routes": [ROUTE]},
    }
    return spec


def associations(hand: Hand) -> dict[str, str]:
    return {
        item["SubnetId"]: table["RouteTableId"]
        for table in hand.ec2.describe_route_tables()["RouteTables"]
        for item in table["Associations"]
        if item.get("SubnetId")
    }


def association(hand: Hand, subnet: str) -> str:
    filters = [{"Name": "association.subnet-id", "Values": [hand[subnet]]}]
    (table,) = hand.ec2.describe_route_tables(Filters=filters)["RouteTables"]
    return next(
        str(item["RouteTableAssociationId"]) for item in table["Associations"] if item.get("SubnetId") == hand[subnet]
    )


@pytest.mark.parametrize("version", ["DestinationCidrBlock", "DestinationIpv6CidrBlock", "DestinationPrefixListId"])
def test_a_stray_route_is_deleted(hand: Hand, version: str) -> None:
    hand.make(demo())
    entries = hand.ec2.create_managed_prefix_list(
        PrefixListName="corp", MaxEntries=1, AddressFamily="IPv4", Entries=[{"Cidr": "192.0.2.0/24"}]
    )
    to = {
        "DestinationCidrBlock": "192.0.2.0/24",
        "DestinationIpv6CidrBlock": "2001:db8::/32",
        "DestinationPrefixListId": entries["PrefixList"]["PrefixListId"],
    }[version]
    hand.ec2.create_route(RouteTableId=hand[TABLE], GatewayId=hand["internet_gateway.main"], **{version: to})
    (step,) = hand.world.plan(hand.spec).steps
    assert to in str(step.changes[0].before)
    assert hand.world.plan(edited(demo(), "route_tables/public/others", "keep")).is_empty
    hand.repairs(update(TABLE, "routes"), by="delete_route")


def test_a_subnet_that_was_moved_to_a_strangers_table_is_moved_back_in_one_call(hand: Hand) -> None:
    hand.make(demo())
    theirs = hand.ec2.create_route_table(VpcId=hand["vpc.main"])["RouteTable"]["RouteTableId"]
    hand.ec2.replace_route_table_association(AssociationId=association(hand, "subnet.public-a"), RouteTableId=theirs)
    hand.make(demo())
    assert [name for name in order(hand.world, *GOES) if name != "associate_route_table"] == GOES[2:]
    assert associations(hand)[hand["subnet.public-a"]] == hand[TABLE]


def test_of_stray_associations_only_that_of_our_subnet_is_taken_away(hand: Hand) -> None:
    spec = edited(demo(), "subnets/private", {"cidr_block": "10.0.3.0/24", "availability_zone": "a"})
    hand.make(spec)
    theirs = hand.ec2.create_subnet(VpcId=hand["vpc.main"], CidrBlock="10.0.9.0/24")["Subnet"]["SubnetId"]
    hand.ec2.associate_route_table(RouteTableId=hand[TABLE], SubnetId=theirs)
    assert hand.world.plan(spec).is_empty
    hand.ec2.associate_route_table(RouteTableId=hand[TABLE], SubnetId=hand["subnet.private"])
    hand.repairs(update(TABLE, "subnets"), calls={"disassociate_route_table": 1})
    assert theirs in associations(hand)


@pytest.mark.parametrize("table", ["fresh", "other"])
def test_subnets_wait_for_a_route_that_aws_is_slow_to_make(hand: Hand, faults: Faults, table: str) -> None:
    spec = split(["public-a", "public-b"], [])
    spec["route_tables"]["other"]["routes"] = []
    hand.make(spec)
    spec = edited(spec, f"route_tables/{table}", {"subnets": ["public-b"], "routes": [ROUTE]})
    faults.refuse("create_route", "InvalidGatewayID.NotFound", times=2)
    hand.make(edited(spec, "route_tables/public/subnets", ["public-a"]))
    both = ["create_route", "replace_route_table_association"]
    assert order(hand.world, *both) == both


OUT = {"destination_cidr_block": "0.0.0.0/0", "internet_gateway": "main"}
BLOCK = "192.0.2.0/24"


def interface(hand: Hand) -> str:
    answer = hand.ec2.create_network_interface(SubnetId=hand["subnet.public-a"])
    return str(answer["NetworkInterface"]["NetworkInterfaceId"])


def transit_gateway(hand: Hand) -> str:
    return str(hand.ec2.create_transit_gateway()["TransitGateway"]["TransitGatewayId"])


def private_gateway(hand: Hand) -> str:
    gateway = hand.ec2.create_vpn_gateway(Type="ipsec.1")["VpnGateway"]["VpnGatewayId"]
    hand.ec2.attach_vpn_gateway(VpcId=hand["vpc.main"], VpnGatewayId=gateway)
    return str(gateway)


def peering(hand: Hand) -> str:
    other = hand.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    answer = hand.ec2.create_vpc_peering_connection(VpcId=hand["vpc.main"], PeerVpcId=other)
    return str(answer["VpcPeeringConnection"]["VpcPeeringConnectionId"])


TARGETS: dict[str, tuple[Callable[[Hand], str], str]] = {
    "transit_gateway": (transit_gateway, "TransitGatewayId"),
    "virtual_private_gateway": (private_gateway, "GatewayId"),
    "vpc_peering_connection": (peering, "VpcPeeringConnectionId"),
    "network_interface": (interface, "NetworkInterfaceId"),
}
"""How somebody makes one, and what DescribeRouteTables calls it."""


def with_routes(*routes: dict[str, Any]) -> Spec:
    return edited(demo(), "route_tables/public/routes", [OUT, *routes])


def routes_of(hand: Hand) -> dict[str, dict[str, Any]]:
    """The routes as AWS shows them, by destination."""
    (table,) = hand.ec2.describe_route_tables(RouteTableIds=[hand[TABLE]])["RouteTables"]
    keys = ("DestinationCidrBlock", "DestinationIpv6CidrBlock", "DestinationPrefixListId")
    return {next(item[key] for key in keys if item.get(key)): item for item in table["Routes"]}


@pytest.mark.parametrize("key", TARGETS)
def test_a_route_to_each_target(hand: Hand, key: str) -> None:
    """Made, read back as the same, turned away by hand, turned back, and replaced by another target."""
    make, said = TARGETS[key]
    hand.make(demo())
    target = make(hand)
    spec = with_routes({"destination_cidr_block": BLOCK, key: target})
    hand.make(spec)
    assert routes_of(hand)[BLOCK][said] == target
    away = {"RouteTableId": hand[TABLE], "DestinationCidrBlock": BLOCK}
    hand.ec2.replace_route(**away, GatewayId=hand["internet_gateway.main"])
    hand.repairs(update(TABLE, "routes"), calls={"replace_route": 1})
    assert routes_of(hand)[BLOCK][said] == target
    hand.make(with_routes({"destination_cidr_block": BLOCK, "internet_gateway": "main"}))
    assert said == "GatewayId" or said not in routes_of(hand)[BLOCK]


def test_a_route_to_what_no_spec_can_say_stays_beside_others_that_are_kept(hand: Hand) -> None:
    spec = edited(demo(), "route_tables/public/others", "keep")
    hand.make(spec)
    outpost = {"DestinationCidrBlock": BLOCK, "LocalGatewayId": "lgw-0a1b2c3d4e5f60718"}
    hand.ec2.create_route(RouteTableId=hand[TABLE], **outpost)
    assert hand.world.plan(spec).is_empty
    hand.make(demo())
    assert BLOCK not in routes_of(hand)


@pytest.mark.parametrize("key", ["destination_ipv6_cidr_block", "destination_prefix_list_id"])
def test_a_route_from_each_destination(hand: Hand, key: str) -> None:
    hand.make(demo())
    listing = {"PrefixListName": "corp", "MaxEntries": 1, "AddressFamily": "IPv4", "Entries": [{"Cidr": BLOCK}]}
    listed = hand.ec2.create_managed_prefix_list(**listing)["PrefixList"]["PrefixListId"]
    written, destination = {
        "destination_ipv6_cidr_block": ("2001:0DB8::/32", "2001:db8::/32"),
        "destination_prefix_list_id": (listed, listed),
    }[key]
    target = interface(hand)
    spec = with_routes({key: written, "network_interface": target})
    hand.make(spec)
    assert routes_of(hand)[destination]["NetworkInterfaceId"] == target
    hand.make(with_routes({key: written, "internet_gateway": "main"}))
    assert routes_of(hand)[destination]["GatewayId"] == hand["internet_gateway.main"]
    hand.make(demo())
    assert destination not in routes_of(hand)


def test_a_route_to_what_is_gone_is_told(hand: Hand) -> None:
    hand.make(demo())
    target = interface(hand)
    spec = with_routes({"destination_cidr_block": BLOCK, "network_interface": target})
    hand.make(spec)
    assert hand.world.plan(spec).warnings == ()
    hand.ec2.delete_network_interface(NetworkInterfaceId=target)
    plan = hand.world.plan(spec)
    assert plan.is_empty
    (warning,) = plan.warnings
    assert warning.startswith(f"{TABLE}: AWS says that its route for {BLOCK} to {target} leads nowhere (blackhole)")
