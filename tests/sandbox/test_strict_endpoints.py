"""VPC endpoints: what may be made, what is slow, and what their interfaces hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.sandbox.strict_world import Network, refuses

if TYPE_CHECKING:
    from alb_reconcile.sandbox.strict import VirtualClock

S3, SSM = "com.amazonaws.us-east-1.s3", "com.amazonaws.us-east-1.ssm"
INBOUND_ONLY = "PrivateDnsOnlyForInboundResolverEndpoint"
NEEDS_GATEWAY = "InvalidParameter: must have a Gateway endpoint"


def make(network: Network, service: str = SSM, **params: Any) -> str:
    usual: dict[str, Any] = {"VpcId": network.vpc, "ServiceName": service}
    if service == SSM and "VpcEndpointType" not in params:
        usual |= {"VpcEndpointType": "Interface", "SubnetIds": list(network.subnets)}
    return str(network.ec2.create_vpc_endpoint(**usual | params)["VpcEndpoint"]["VpcEndpointId"])


def show(network: Network, endpoint: str) -> dict[str, Any]:
    return dict(network.ec2.describe_vpc_endpoints(VpcEndpointIds=[endpoint])["VpcEndpoints"][0])


def delete(network: Network, endpoint: str) -> str:
    """What AWS says of it."""
    failed = network.ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint])["Unsuccessful"]
    return "".join(f"{item['Error']['Code']}: {item['Error']['Message']}" for item in failed)


def private_names(network: Network) -> dict[str, Any]:
    """The settings of an endpoint that has them, in a VPC that lets it."""
    network.ec2.modify_vpc_attribute(VpcId=network.vpc, EnableDnsHostnames={"Value": True})
    return {"VpcEndpointType": "Interface", "SubnetIds": [network.subnets[0]], "PrivateDnsEnabled": True}


def test_services_are_those_of_the_region(network: Network) -> None:
    describe = network.ec2.describe_vpc_endpoint_services
    assert {S3, SSM} <= set(describe()["ServiceNames"])
    assert describe(ServiceNames=[S3, SSM])["ServiceNames"] == [S3, SSM]
    for name in ("com.amazonaws.us-east-1.ssm-messages", "com.amazonaws.eu-west-1.s3"):
        refuses(f"InvalidServiceName: '{name}' does not exist", describe, ServiceNames=[S3, name])
        refuses("InvalidServiceName", make, network, name)


@pytest.mark.parametrize(
    ("service", "params", "code"),
    [
        (SSM, {"VpcEndpointType": "Gateway"}, "InvalidParameter"),
        (S3, {"PrivateDnsEnabled": True}, "InvalidParameter"),
        (S3, {"RouteTableIds": ["rtb-0123456789abcdef0"]}, "InvalidRouteTableId.NotFound"),
        (SSM, {"SubnetIds": ["subnet-0123456789abcdef0"]}, "InvalidSubnetId.NotFound"),
        (SSM, {"PrivateDnsEnabled": True}, "InvalidParameter"),
        (S3, {"VpcId": "vpc-0123456789abcdef0"}, "InvalidVpcID.NotFound"),
    ],
)
def test_bad_endpoints_are_refused(network: Network, service: str, params: dict[str, Any], code: str) -> None:
    refuses(code, make, network, service, **params)


def test_a_table_has_one_route_to_a_service(network: Network, ec2: Any) -> None:
    table, other = network.table(), network.table()
    endpoint = make(network, S3, RouteTableIds=[table])
    assert show(network, endpoint)["State"] == "available"
    refuses("RouteAlreadyExists", make, network, S3, RouteTableIds=[table])
    ec2.modify_vpc_endpoint(VpcEndpointId=endpoint, AddRouteTableIds=[other], RemoveRouteTableIds=[table])
    gateways = {
        item["RouteTableId"]: [route.get("GatewayId") for route in item["Routes"]]
        for item in ec2.describe_route_tables(RouteTableIds=[table, other])["RouteTables"]
    }
    assert gateways == {table: ["local"], other: ["local", endpoint]}
    ec2.modify_vpc_endpoint(VpcEndpointId=endpoint, AddRouteTableIds=[other])
    assert show(network, endpoint)["RouteTableIds"] == [other], "a call that is repeated adds nothing twice"
    make(network, S3, RouteTableIds=[table])


def test_interfaces_take_time_to_come_and_to_go(network: Network, ec2: Any, clock: VirtualClock) -> None:
    endpoint, subnet, group = make(network), {"SubnetId": network.subnets[0]}, {"GroupId": network.group}
    assert show(network, endpoint)["State"] == "pending"
    (first, _) = network.interfaces()
    assert first["Description"] == f"VPC Endpoint Interface {endpoint}"
    assert (first["InterfaceType"], first["RequesterManaged"]) == ("vpc_endpoint", True)
    clock.advance(60)
    shown = show(network, endpoint)
    assert (shown["State"], [item["GroupName"] for item in shown["Groups"]]) == ("available", ["default"])
    ec2.modify_vpc_endpoint(VpcEndpointId=endpoint, AddSecurityGroupIds=[network.group])
    assert {len(item["Groups"]) for item in network.interfaces()} == {2}
    assert delete(network, endpoint) == ""
    assert show(network, endpoint)["State"] == "deleting"
    refuses("DependencyViolation", ec2.delete_subnet, **subnet)
    refuses("DependencyViolation", ec2.delete_security_group, **group)
    clock.advance(120)
    refuses("InvalidVpcEndpointId.NotFound", show, network, endpoint)
    assert delete(network, endpoint).startswith("InvalidVpcEndpoint.NotFound: ")
    ec2.delete_subnet(**subnet)
    ec2.delete_security_group(**group)


def test_a_zone_has_one_subnet_even_when_the_other_leaves(network: Network, ec2: Any, clock: VirtualClock) -> None:
    beside, code = network.subnet("10.0.7.0/24", "us-east-1a"), "DuplicateSubnetsInSameZone"
    refuses(code, make, network, SubnetIds=[network.subnets[0], beside])
    endpoint = make(network)
    clock.advance(60)
    swap = {"AddSubnetIds": [beside], "RemoveSubnetIds": [network.subnets[0]]}
    refuses(code, ec2.modify_vpc_endpoint, VpcEndpointId=endpoint, **swap)
    for key, value in reversed(swap.items()):
        ec2.modify_vpc_endpoint(VpcEndpointId=endpoint, **{key: value})
    assert sorted(show(network, endpoint)["SubnetIds"]) == sorted([beside, network.subnets[1]])
    assert {item["SubnetId"] for item in network.interfaces()} == {beside, *network.subnets}
    clock.advance(60)
    assert {item["SubnetId"] for item in network.interfaces()} == {beside, network.subnets[1]}


def test_a_gateway_endpoint_stays_as_long_as_one_for_inbound_resolvers_does(
    network: Network, ec2: Any, clock: VirtualClock
) -> None:
    gateway = make(network, S3, VpcEndpointType="Gateway")
    inbound = make(network, S3, **private_names(network))
    clock.advance(60)
    assert f"Gateway endpoint cannot be deleted while Interface endpoint {inbound} " in delete(network, gateway)
    ec2.modify_vpc_endpoint(VpcEndpointId=inbound, DnsOptions={INBOUND_ONLY: False})
    assert delete(network, gateway) == ""
    clock.advance(60)
    refuses(NEEDS_GATEWAY, ec2.modify_vpc_endpoint, VpcEndpointId=inbound, DnsOptions={INBOUND_ONLY: True})
