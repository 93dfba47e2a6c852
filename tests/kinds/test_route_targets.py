"""Routes to everything that a route can lead to, and from every sort of destination."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.model.errors import RefusedError
from tests.harness import demo
from tests.kinds.hand import edited, update
from tests.kinds.test_nat_gateway import ZONAL

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.harness import Spec
    from tests.kinds.hand import Hand

TABLE = "route_table.public"
DEFAULT = {"destination_cidr_block": "0.0.0.0/0", "internet_gateway": "main"}
BLOCK = "192.0.2.0/24"
ID = "0a1b2c3d4e5f60718"


def interface(hand: Hand) -> str:
    answer = hand.ec2.create_network_interface(SubnetId=hand["subnet.public-a"])
    return str(answer["NetworkInterface"]["NetworkInterfaceId"])


def transit_gateway(hand: Hand) -> str:
    return str(hand.ec2.create_transit_gateway()["TransitGateway"]["TransitGatewayId"])


def private_gateway(hand: Hand) -> str:
    gateway = hand.ec2.create_vpn_gateway(Type="ipsec.1")["VpnGateway"]["VpnGatewayId"]
    hand.ec2.attach_vpn_gateway(VpcId=hand["vpc.main"], VpnGatewayId=gateway)
    return str(gateway)


def egress_only(hand: Hand) -> str:
    answer = hand.ec2.create_egress_only_internet_gateway(VpcId=hand["vpc.main"])
    return str(answer["EgressOnlyInternetGateway"]["EgressOnlyInternetGatewayId"])


def peering(hand: Hand) -> str:
    other = hand.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    answer = hand.ec2.create_vpc_peering_connection(VpcId=hand["vpc.main"], PeerVpcId=other)
    return str(answer["VpcPeeringConnection"]["VpcPeeringConnectionId"])


def carrier(hand: Hand) -> str:
    return str(hand.ec2.create_carrier_gateway(VpcId=hand["vpc.main"])["CarrierGateway"]["CarrierGatewayId"])


def firewall(hand: Hand) -> str:
    subnets = [hand["subnet.public-a"], hand["subnet.public-b"]]
    balancer = hand.elb.create_load_balancer(Name="wall", Type="gateway", Subnets=subnets)
    arns = [item["LoadBalancerArn"] for item in balancer["LoadBalancers"]]
    offered = hand.ec2.create_vpc_endpoint_service_configuration(GatewayLoadBalancerArns=arns)["ServiceConfiguration"]
    answer = hand.ec2.create_vpc_endpoint(
        VpcId=hand["vpc.main"], ServiceName=offered["ServiceName"],
        VpcEndpointType="GatewayLoadBalancer", SubnetIds=subnets[:1],
    )  # fmt: skip
    return str(answer["VpcEndpoint"]["VpcEndpointId"])


def literal(text: str) -> Callable[[Hand], str]:
    return lambda _: text


TARGETS: dict[str, tuple[Callable[[Hand], str], str]] = {
    "transit_gateway": (transit_gateway, "TransitGatewayId"),
    "virtual_private_gateway": (private_gateway, "GatewayId"),
    "egress_only_internet_gateway": (egress_only, "EgressOnlyInternetGatewayId"),
    "vpc_peering_connection": (peering, "VpcPeeringConnectionId"),
    "network_interface": (interface, "NetworkInterfaceId"),
    "vpc_endpoint": (firewall, "GatewayId"),
    "local_gateway": (literal(f"lgw-{ID}"), "LocalGatewayId"),
    "carrier_gateway": (carrier, "CarrierGatewayId"),
    "core_network": (
        literal(f"arn:aws:networkmanager::123456789012:core-network/core-network-{ID}"),
        "CoreNetworkArn",
    ),
    "odb_network": (literal("arn:aws:odb:us-east-1:123456789012:odb-network/odbnet_1"), "OdbNetworkArn"),
}
"""How somebody makes one, and what DescribeRouteTables calls it."""


def with_routes(*routes: dict[str, Any]) -> Spec:
    return edited(demo(), "route_tables/public/routes", [DEFAULT, *routes])


def shown(hand: Hand) -> dict[str, dict[str, Any]]:
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
    assert shown(hand)[BLOCK][said] == target
    assert hand.world.plan(spec).is_empty
    away = {"RouteTableId": hand[TABLE], "DestinationCidrBlock": BLOCK}
    hand.ec2.replace_route(**away, GatewayId=hand["internet_gateway.main"])
    hand.repairs(update(TABLE, "routes"), calls={"replace_route": 1})
    assert shown(hand)[BLOCK][said] == target
    hand.make(with_routes({"destination_cidr_block": BLOCK, "internet_gateway": "main"}))
    assert said == "GatewayId" or said not in shown(hand)[BLOCK]


@pytest.mark.parametrize("key", ["destination_ipv6_cidr_block", "destination_prefix_list_id"])
def test_a_route_from_each_destination(hand: Hand, key: str) -> None:
    hand.make(demo())
    made = hand.ec2.create_managed_prefix_list(
        PrefixListName="corp", MaxEntries=1, AddressFamily="IPv4", Entries=[{"Cidr": BLOCK}]
    )
    listed = made["PrefixList"]["PrefixListId"]
    written, destination = {
        "destination_ipv6_cidr_block": ("2001:0DB8::/32", "2001:db8::/32"),
        "destination_prefix_list_id": (listed, listed),
    }[key]
    target = interface(hand)
    spec = with_routes({key: written, "network_interface": target})
    hand.make(spec)
    assert shown(hand)[destination]["NetworkInterfaceId"] == target
    hand.make(with_routes({key: written, "internet_gateway": "main"}))
    assert shown(hand)[destination]["GatewayId"] == hand["internet_gateway.main"]
    hand.make(demo())
    assert destination not in shown(hand)


def test_routes_of_gateway_endpoints_are_not_ours(hand: Hand) -> None:
    hand.make(demo())
    service = {"VpcId": hand["vpc.main"], "ServiceName": "com.amazonaws.us-east-1.s3"}
    hand.ec2.create_vpc_endpoint(**service, VpcEndpointType="Gateway", RouteTableIds=[hand[TABLE]])
    assert hand.world.plan(demo()).is_empty


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


def test_a_route_to_a_gateway_that_somebody_deleted_is_told(hand: Hand) -> None:
    """The plan makes another gateway, and changes the route as if somebody had; it says what the route was until then."""
    hand.make(ZONAL)
    gateway = hand["nat_gateway.main"]
    hand.ec2.delete_nat_gateway(NatGatewayId=gateway)
    hand.wait(120)
    told = f"route_table.private: AWS says that its route for 0.0.0.0/0 to {gateway} leads nowhere (blackhole)"
    assert [text.startswith(told) for text in hand.world.plan(ZONAL).warnings] == [True]
    hand.make(ZONAL)
    assert hand.world.plan(ZONAL).warnings == ()


def test_a_route_to_a_gateway_that_somebody_detached_is_told(hand: Hand) -> None:
    tables = {"public": ZONAL["route_tables"]["public"]}
    spec = {**ZONAL, "elastic_ips": {}, "nat_gateways": {}, "route_tables": tables}
    hand.make(spec)
    gateway = hand["internet_gateway.main"]
    hand.ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=hand["vpc.main"])
    told = f"{TABLE}: AWS says that its route for 0.0.0.0/0 to {gateway} leads nowhere (blackhole)"
    assert [text.startswith(told) for text in hand.world.plan(spec).warnings] == [True]


def test_a_nat_gateway_that_is_not_there_is_told_beforehand(hand: Hand) -> None:
    spec = with_routes({"destination_cidr_block": BLOCK, "nat_gateway": f"nat-{ID}"})
    with pytest.raises(
        RefusedError, match=rf"routes: there is no NAT gateway nat-{ID} in this account and region; correct the id"
    ):
        hand.world.apply(spec)
