"""VPCs, subnets, route tables and gateways: what may be made, and what in use stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.sandbox.strict_world import Network, refuses

if TYPE_CHECKING:
    from collections.abc import Callable

    from alb_reconcile.sandbox.strict import StrictAws, VirtualClock

YES, NO = {"Value": True}, {"Value": False}
KINDS: dict[str, tuple[str, Callable[[Network], dict[str, Any]], str]] = {
    "vpc": ("VpcId", lambda n: {"CidrBlock": "10.9.0.0/16"}, "Vpc"),
    "subnet": ("SubnetId", lambda n: {"CidrBlock": "10.0.7.0/24", "VpcId": n.vpc}, "Subnet"),
    "route-table": ("RouteTableId", lambda n: {"VpcId": n.vpc}, "RouteTable"),
    "internet-gateway": ("InternetGatewayId", lambda n: {}, "InternetGateway"),
    "security-group": ("GroupId", lambda n: {"GroupName": "g", "Description": "d", "VpcId": n.vpc}, ""),
}


@pytest.mark.parametrize("kind", KINDS)
def test_tags_at_creation(network: Network, ec2: Any, kind: str) -> None:
    key, params, part = KINDS[kind]
    action = kind.replace("-", "_")
    create, mine = getattr(ec2, f"create_{action}"), [{"Key": "owner", "Value": "me"}]

    def tagged(resource: str, tags: list[dict[str, str]]) -> dict[str, Any]:
        return {**params(network), "TagSpecifications": [{"ResourceType": resource, "Tags": tags}]}

    refuses("InvalidParameterValue", create, **tagged("volume", mine))
    refuses("InvalidParameterValue: reserved", create, **tagged(kind, [{"Key": "aws:x", "Value": "y"}]))
    made = create(**tagged(kind, mine))
    physical_id = (made[part] if part else made)[key]
    of_it = [{"Name": "resource-id", "Values": [physical_id]}]
    (tag,) = ec2.describe_tags(Filters=of_it)["Tags"]
    assert (tag["Key"], tag["Value"], tag["ResourceType"]) == ("owner", "me", kind)
    getattr(ec2, f"delete_{action}")(**{key: physical_id})
    assert ec2.describe_tags(Filters=of_it)["Tags"] == []


@pytest.mark.parametrize(
    ("cidr", "zone", "code"),
    [
        ("10.8.0.0/24", "us-east-1a", "InvalidSubnet.Range"),
        ("10.0.0.128/25", "us-east-1a", "InvalidSubnet.Conflict"),
        ("10.0.8.0/29", "us-east-1a", "InvalidSubnet.Range"),
        ("10.0.8.0/24", "us-east-1z", "InvalidParameterValue"),
        ("10.0.8.0/24", "eu-west-1a", "InvalidParameterValue"),
    ],
)
def test_bad_subnets_are_refused(network: Network, cidr: str, zone: str, code: str) -> None:
    refuses(code, network.subnet, cidr, zone)


def test_a_subnet_in_use_stays(network: Network, ec2: Any, clock: VirtualClock) -> None:
    first, second = ({"SubnetId": subnet} for subnet in network.subnets)
    third = {"SubnetId": network.subnet("10.0.3.0/24", "us-east-1c")}
    instance, balancer = network.running(**third), network.balancer()
    ec2.terminate_instances(InstanceIds=[instance])
    network.elb.delete_load_balancer(LoadBalancerArn=balancer)
    for held, seconds in ((third, 15), (first, 45)):
        refuses("DependencyViolation", ec2.delete_subnet, **held)
        clock.advance(seconds - 1)
        refuses("DependencyViolation", ec2.delete_subnet, **held)
        clock.advance(1)
        ec2.delete_subnet(**held)
    table = network.table()
    ec2.associate_route_table(RouteTableId=table, **second)
    refuses("DependencyViolation", ec2.delete_route_table, RouteTableId=table)
    ec2.delete_subnet(**second)
    ec2.delete_route_table(RouteTableId=table)


def test_a_vpc_in_use_stays_until_all_is_gone(network: Network, ec2: Any) -> None:
    table = network.table()
    steps: list[Callable[[], object]] = [
        lambda: [ec2.delete_subnet(SubnetId=subnet) for subnet in network.subnets],
        lambda: ec2.delete_route_table(RouteTableId=table),
        lambda: ec2.detach_internet_gateway(**network.attachment),
        lambda: ec2.delete_security_group(GroupId=network.group),
    ]
    for step in steps:
        refuses("DependencyViolation", ec2.delete_vpc, VpcId=network.vpc)
        step()
    ec2.delete_vpc(VpcId=network.vpc)
    refuses("InvalidVpcID.NotFound", ec2.delete_vpc, VpcId=network.vpc)
    acls = ec2.describe_network_acls(Filters=[{"Name": "vpc-id", "Values": [network.vpc]}])["NetworkAcls"]
    assert acls == []


def test_the_main_route_table_stays(network: Network, ec2: Any) -> None:
    (row,) = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [network.vpc]}])["RouteTables"]
    table, main = {"RouteTableId": row["RouteTableId"]}, row["Associations"][0]["RouteTableAssociationId"]
    refuses("DependencyViolation", ec2.delete_route_table, **table)
    refuses("InvalidParameterValue", ec2.disassociate_route_table, AssociationId=main)
    refuses("InvalidParameterValue: local route", ec2.delete_route, **table, DestinationCidrBlock="10.0.0.0/16")


def test_a_gateway_in_use_stays(network: Network, ec2: Any, clock: VirtualClock) -> None:
    detach = ec2.detach_internet_gateway
    ec2.modify_subnet_attribute(SubnetId=network.subnets[0], MapPublicIpOnLaunch=YES)
    instance = network.running()
    refuses("DependencyViolation: mapped public address", detach, **network.attachment)
    ec2.stop_instances(InstanceIds=[instance])
    clock.advance(15)
    arn = network.balancer()
    refuses("DependencyViolation", detach, **network.attachment)
    network.elb.delete_load_balancer(LoadBalancerArn=arn)
    refuses("DependencyViolation", detach, **network.attachment)
    clock.advance(60)
    network.balancer("inside", Scheme="internal")
    refuses("DependencyViolation", ec2.delete_internet_gateway, InternetGatewayId=network.gateway)
    detach(**network.attachment)
    refuses("Gateway.NotAttached", detach, **network.attachment)


def test_a_subnet_has_one_route_table(network: Network, ec2: Any) -> None:
    one, two, subnet = network.table(), network.table(), network.subnets[0]
    held = ec2.associate_route_table(RouteTableId=one, SubnetId=subnet)["AssociationId"]
    refuses("Resource.AlreadyAssociated", ec2.associate_route_table, RouteTableId=two, SubnetId=subnet)
    new = ec2.replace_route_table_association(AssociationId=held, RouteTableId=two)["NewAssociationId"]
    assert new != held
    wanted = [subnet, "subnet-00000000000000000"]  # either of them
    found = ec2.describe_route_tables(Filters=[{"Name": "association.subnet-id", "Values": wanted}])["RouteTables"]
    assert [table["RouteTableId"] for table in found] == [two]
    ec2.disassociate_route_table(AssociationId=new)
    ec2.delete_route_table(RouteTableId=two)


def test_routes_are_of_the_vpc_and_lead_somewhere(network: Network, ec2: Any, elb: Any, clock: VirtualClock) -> None:
    other, table = Network.make(ec2, elb, clock, "10.1.0.0/16"), network.table()
    mine, own = {"GatewayId": network.gateway}, {"RouteTableId": table, "DestinationCidrBlock": "10.0.0.0/16"}
    refuses("InvalidParameterValue", ec2.associate_route_table, RouteTableId=table, SubnetId=other.subnets[0])
    default = {"RouteTableId": table, "DestinationCidrBlock": "0.0.0.0/0"}
    refuses("InvalidParameterValue", ec2.create_route, **default, GatewayId=other.gateway)
    refuses("RouteAlreadyExists", ec2.create_route, **own, **mine)
    ec2.create_route(**default, **mine)
    refuses("RouteAlreadyExists", ec2.create_route, **default, **mine)
    ec2.replace_route(**default, **mine)
    refuses("InvalidParameterCombination", ec2.delete_route, **default, DestinationIpv6CidrBlock="::/0")
    ec2.delete_route(**default)
    refuses("InvalidRoute.NotFound", ec2.delete_route, **default)
    refuses("MissingParameter", ec2.create_route, RouteTableId=table, **mine)
    refuses("MissingParameter", ec2.delete_route, RouteTableId=table, DestinationCidrBlock="")


def test_a_route_to_a_detached_gateway_is_a_black_hole(network: Network, ec2: Any) -> None:
    table = network.table()
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=network.gateway)

    def states() -> list[str]:
        return [
            route["State"] for route in ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"][0]["Routes"]
        ]

    assert states() == ["active", "active"]
    ec2.detach_internet_gateway(**network.attachment)
    assert states() == ["active", "blackhole"]
    ec2.delete_internet_gateway(InternetGatewayId=network.gateway)
    assert states() == ["active", "blackhole"]


@pytest.mark.parametrize("wanted", ["web[0].b*", "web[?].blue", "WEB", "web\\*"])
def test_filters_know_two_wildcards_and_no_brackets(network: Network, ec2: Any, wanted: str) -> None:
    tags = [{"Key": "is", "Value": "web[0].blue"}]
    ec2.create_tags(Resources=[network.vpc, network.group, network.gateway], Tags=tags)
    filters = [{"Name": "tag:is", "Values": ["nothing", wanted]}]
    hits = 1 if "[" in wanted else 0
    assert len(ec2.describe_vpcs(Filters=filters)["Vpcs"]) == hits
    assert len(ec2.describe_security_groups(Filters=filters)["SecurityGroups"]) == hits
    assert len(ec2.describe_internet_gateways(Filters=filters)["InternetGateways"]) == hits
    assert len(ec2.describe_tags(Filters=filters)["Tags"]) == 3 * hits
    assert len(ec2.describe_vpcs(Filters=[{"Name": "tag-key", "Values": ["is", "nothing"]}])["Vpcs"]) == 1


def test_interfaces_that_a_service_hides_are_shown_on_request(network: Network, ec2: Any, aws: StrictAws) -> None:
    made = ec2.create_network_interface(SubnetId=network.subnets[0])["NetworkInterface"]["NetworkInterfaceId"]
    aws.hide_interface(made)
    assert not ec2.describe_network_interfaces()["NetworkInterfaces"]
    (shown,) = ec2.describe_network_interfaces(IncludeManagedResources=True)["NetworkInterfaces"]
    assert shown["NetworkInterfaceId"] == made
