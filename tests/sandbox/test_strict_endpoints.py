"""VPC endpoints: what may be made, what is slow, and what their interfaces hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.sandbox.strict_world import Network, refused

if TYPE_CHECKING:
    from alb_reconcile.sandbox.strict import VirtualClock

S3, SSM = "com.amazonaws.us-east-1.s3", "com.amazonaws.us-east-1.ssm"


def make(network: Network, service: str = SSM, **params: Any) -> str:
    usual: dict[str, Any] = {"VpcId": network.vpc, "ServiceName": service}
    if service == SSM and "VpcEndpointType" not in params:
        usual |= {"VpcEndpointType": "Interface", "SubnetIds": list(network.subnets)}
    return str(network.ec2.create_vpc_endpoint(**usual | params)["VpcEndpoint"]["VpcEndpointId"])


def show(network: Network, endpoint: str) -> dict[str, Any]:
    return dict(network.ec2.describe_vpc_endpoints(VpcEndpointIds=[endpoint])["VpcEndpoints"][0])


def table_of(network: Network) -> str:
    return str(network.ec2.create_route_table(VpcId=network.vpc)["RouteTable"]["RouteTableId"])


def dns(network: Network) -> None:
    network.ec2.modify_vpc_attribute(VpcId=network.vpc, EnableDnsHostnames={"Value": True})


def test_services_are_those_of_the_region(network: Network) -> None:
    known = network.ec2.describe_vpc_endpoint_services()["ServiceNames"]
    assert {S3, SSM} <= set(known)
    assert network.ec2.describe_vpc_endpoint_services(ServiceNames=[S3, SSM])["ServiceNames"] == [S3, SSM]
    for name in ("com.amazonaws.us-east-1.ssm-messages", "com.amazonaws.eu-west-1.s3"):
        with refused("InvalidServiceName", f"'{name}' does not exist"):
            network.ec2.describe_vpc_endpoint_services(ServiceNames=[S3, name])


@pytest.mark.parametrize(
    ("service", "params", "code"),
    [
        ("com.amazonaws.us-east-1.nonsense", {}, "InvalidServiceName"),
        ("com.amazonaws.eu-west-1.s3", {}, "InvalidServiceName"),
        (SSM, {"VpcEndpointType": "Gateway"}, "InvalidParameter"),
        (S3, {"PrivateDnsEnabled": True}, "InvalidParameter"),
        (S3, {"RouteTableIds": ["rtb-0123456789abcdef0"]}, "InvalidRouteTableId.NotFound"),
        (SSM, {"SubnetIds": ["subnet-0123456789abcdef0"]}, "InvalidSubnetId.NotFound"),
        (SSM, {"PrivateDnsEnabled": True}, "InvalidParameter"),
        (S3, {"VpcId": "vpc-0123456789abcdef0"}, "InvalidVpcID.NotFound"),
    ],
)
def test_bad_endpoints_are_refused(network: Network, service: str, params: dict[str, Any], code: str) -> None:
    with refused(code):
        make(network, service, **params)


def test_a_table_has_one_route_to_a_service(network: Network, ec2: Any) -> None:
    table, other = table_of(network), table_of(network)
    endpoint = make(network, S3, RouteTableIds=[table])
    assert show(network, endpoint)["State"] == "available"
    with refused("RouteAlreadyExists"):
        make(network, S3, RouteTableIds=[table])
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
    endpoint = make(network, SecurityGroupIds=[network.group])
    assert show(network, endpoint)["State"] == "pending"
    (first, _) = network.interfaces()
    assert first["Description"] == f"VPC Endpoint Interface {endpoint}"
    assert (first["InterfaceType"], first["RequesterManaged"]) == ("vpc_endpoint", True)
    clock.advance(60)
    assert show(network, endpoint)["State"] == "available"
    assert ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint])["Unsuccessful"] == []
    assert show(network, endpoint)["State"] == "deleting"
    with refused("DependencyViolation"):
        ec2.delete_subnet(SubnetId=network.subnets[0])
    with refused("DependencyViolation"):
        ec2.delete_security_group(GroupId=network.group)
    clock.advance(120)
    with refused("InvalidVpcEndpointId.NotFound"):
        show(network, endpoint)
    ec2.delete_subnet(SubnetId=network.subnets[0])
    ec2.delete_security_group(GroupId=network.group)


def test_what_isnt_there_is_told_in_the_answer(network: Network, ec2: Any) -> None:
    (failed,) = ec2.delete_vpc_endpoints(VpcEndpointIds=["vpce-0123456789abcdef0"])["Unsuccessful"]
    assert failed["Error"]["Code"] == "InvalidVpcEndpoint.NotFound"


def test_a_zone_has_one_subnet_even_when_the_other_leaves(network: Network, ec2: Any, clock: VirtualClock) -> None:
    beside = network.subnet("10.0.7.0/24", "us-east-1a")
    with refused("DuplicateSubnetsInSameZone"):
        make(network, SubnetIds=[network.subnets[0], beside])
    endpoint = make(network)
    clock.advance(60)
    swap = {"AddSubnetIds": [beside], "RemoveSubnetIds": [network.subnets[0]]}
    with refused("DuplicateSubnetsInSameZone"):
        ec2.modify_vpc_endpoint(VpcEndpointId=endpoint, **swap)
    for key, value in reversed(swap.items()):
        ec2.modify_vpc_endpoint(VpcEndpointId=endpoint, **{key: value})
    assert sorted(show(network, endpoint)["SubnetIds"]) == sorted([beside, network.subnets[1]])
    assert {item["SubnetId"] for item in network.interfaces()} == {beside, *network.subnets}
    clock.advance(60)
    assert {item["SubnetId"] for item in network.interfaces()} == {beside, network.subnets[1]}


def test_a_service_has_one_private_name_in_a_vpc(network: Network) -> None:
    dns(network)
    make(network, PrivateDnsEnabled=True)
    with refused("InvalidParameter", "conflicting DNS domain for ssm"):
        make(network, PrivateDnsEnabled=True)
    make(network)


def test_private_names_for_s3_need_a_gateway_endpoint(network: Network) -> None:
    dns(network)
    params = {"VpcEndpointType": "Interface", "SubnetIds": [network.subnets[0]], "PrivateDnsEnabled": True}
    with refused("InvalidParameter", "must have a Gateway endpoint"):
        make(network, S3, **params)
    make(network, S3, **params, DnsOptions={"PrivateDnsOnlyForInboundResolverEndpoint": False})


def test_a_gateway_endpoint_stays_as_long_as_one_for_inbound_resolvers_does(
    network: Network, ec2: Any, clock: VirtualClock
) -> None:
    dns(network)
    gateway = make(network, S3, VpcEndpointType="Gateway")
    inbound = make(network, S3, VpcEndpointType="Interface", SubnetIds=[network.subnets[0]], PrivateDnsEnabled=True)
    clock.advance(60)
    (failed,) = ec2.delete_vpc_endpoints(VpcEndpointIds=[gateway])["Unsuccessful"]
    assert failed["Error"]["Message"].startswith(
        f"Gateway endpoint cannot be deleted while Interface endpoint {inbound} "
    )
    only = "PrivateDnsOnlyForInboundResolverEndpoint"
    ec2.modify_vpc_endpoint(VpcEndpointId=inbound, DnsOptions={only: False})
    assert ec2.delete_vpc_endpoints(VpcEndpointIds=[gateway])["Unsuccessful"] == []
    clock.advance(60)
    with refused("InvalidParameter", "must have a Gateway endpoint"):
        ec2.modify_vpc_endpoint(VpcEndpointId=inbound, DnsOptions={only: True})


def test_groups_are_worn_by_the_interfaces(network: Network, ec2: Any, clock: VirtualClock) -> None:
    endpoint = make(network)
    clock.advance(60)
    assert [group["GroupName"] for group in show(network, endpoint)["Groups"]] == ["default"]
    ec2.modify_vpc_endpoint(VpcEndpointId=endpoint, AddSecurityGroupIds=[network.group])
    assert {len(item["Groups"]) for item in network.interfaces()} == {2}


def test_a_token_makes_one_endpoint(network: Network, ec2: Any) -> None:
    assert make(network, ClientToken="once") == make(network, ClientToken="once")
    with refused("IdempotentParameterMismatch"):
        make(network, ClientToken="once", SubnetIds=[network.subnets[0]])


def test_endpoints_are_found_by_id_vpc_and_service(network: Network, ec2: Any) -> None:
    endpoint = make(network)
    for name, value in (("vpc-endpoint-id", endpoint), ("vpc-id", network.vpc), ("service-name", SSM)):
        found = ec2.describe_vpc_endpoints(Filters=[{"Name": name, "Values": [value]}])["VpcEndpoints"]
        assert [item["VpcEndpointId"] for item in found] == [endpoint]
        assert ec2.describe_vpc_endpoints(Filters=[{"Name": name, "Values": ["other"]}])["VpcEndpoints"] == []
