"""VPCs, subnets, route tables and gateways: what may be made, and what in use stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.sandbox.strict_world import Network, client, refused, refuses

if TYPE_CHECKING:
    from collections.abc import Callable

    from alb_reconcile.sandbox.strict import StrictAws, VirtualClock

KINDS: dict[str, tuple[str, Callable[[Network], dict[str, Any]], str | None, str]] = {
    "vpc": ("create_vpc", lambda n: {"CidrBlock": "10.9.0.0/16"}, "Vpc", "VpcId"),
    "subnet": ("create_subnet", lambda n: {"CidrBlock": "10.0.7.0/24", "VpcId": n.vpc}, "Subnet", "SubnetId"),
    "route-table": ("create_route_table", lambda n: {"VpcId": n.vpc}, "RouteTable", "RouteTableId"),
    "internet-gateway": ("create_internet_gateway", lambda n: {}, "InternetGateway", "InternetGatewayId"),
    "security-group": (
        "create_security_group",
        lambda n: {"GroupName": "g", "Description": "d", "VpcId": n.vpc},
        None,
        "GroupId",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_tags_at_creation(network: Network, ec2: Any, kind: str) -> None:
    operation, params, part, key = KINDS[kind]
    tags = [{"Key": "owner", "Value": "me"}]
    create = getattr(ec2, operation)
    with refused("InvalidParameterValue"):
        create(**params(network), TagSpecifications=[{"ResourceType": "volume", "Tags": tags}])
    with refused("InvalidParameterValue", "reserved"):
        create(
            **params(network),
            TagSpecifications=[{"ResourceType": kind, "Tags": [{"Key": "aws:x", "Value": "y"}]}],
        )
    made = create(**params(network), TagSpecifications=[{"ResourceType": kind, "Tags": tags}])
    physical_id = (made[part] if part else made)[key]
    (tag,) = ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [physical_id]}])["Tags"]
    assert (tag["Key"], tag["Value"], tag["ResourceType"]) == ("owner", "me", kind)
    getattr(ec2, operation.replace("create", "delete"))(**{key: physical_id})
    assert ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [physical_id]}])["Tags"] == []


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


def test_a_cidr_is_made_canonical(ec2: Any) -> None:
    vpc = ec2.create_vpc(CidrBlock="10.4.5.6/16")["Vpc"]
    assert vpc["CidrBlock"] == "10.4.0.0/16"
    subnet = ec2.create_subnet(VpcId=vpc["VpcId"], CidrBlock="10.4.1.9/24")["Subnet"]
    assert subnet["CidrBlock"] == "10.4.1.0/24"
    assert subnet["AvailabilityZone"] == "us-east-1a"
    assert subnet["MapPublicIpOnLaunch"] is False


def test_a_custom_subnet_is_no_default_even_as_first_of_its_zone(network: Network, ec2: Any) -> None:
    for subnet in ec2.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"]:
        ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    made = ec2.create_subnet(VpcId=network.vpc, CidrBlock="10.0.7.0/24", AvailabilityZone="us-east-1f")
    assert made["Subnet"]["DefaultForAz"] is False
    assert made["Subnet"]["MapPublicIpOnLaunch"] is False


def test_a_subnet_with_an_instance_stays(network: Network, ec2: Any, clock: VirtualClock) -> None:
    instance = network.running()
    refuses("DependencyViolation", ec2.delete_subnet, SubnetId=network.subnets[0])
    ec2.terminate_instances(InstanceIds=[instance])
    refuses("DependencyViolation", ec2.delete_subnet, SubnetId=network.subnets[0])
    clock.advance(15)
    ec2.delete_subnet(SubnetId=network.subnets[0])


def test_a_subnet_with_a_lingering_interface_stays(network: Network, ec2: Any, clock: VirtualClock) -> None:
    arn = network.balancer()
    refuses("DependencyViolation", ec2.delete_subnet, SubnetId=network.subnets[0])
    network.elb.delete_load_balancer(LoadBalancerArn=arn)
    clock.advance(59)
    refuses("DependencyViolation", ec2.delete_subnet, SubnetId=network.subnets[0])
    clock.advance(1)
    ec2.delete_subnet(SubnetId=network.subnets[0])


def test_a_deleted_subnet_leaves_its_route_table(network: Network, ec2: Any) -> None:
    table = ec2.create_route_table(VpcId=network.vpc)["RouteTable"]["RouteTableId"]
    ec2.associate_route_table(RouteTableId=table, SubnetId=network.subnets[0])
    refuses("DependencyViolation", ec2.delete_route_table, RouteTableId=table)
    ec2.delete_subnet(SubnetId=network.subnets[0])
    ec2.delete_route_table(RouteTableId=table)


def test_a_vpc_in_use_stays_until_all_is_gone(network: Network, ec2: Any) -> None:
    table = ec2.create_route_table(VpcId=network.vpc)["RouteTable"]["RouteTableId"]
    detach = {"InternetGatewayId": network.gateway, "VpcId": network.vpc}
    steps: list[Callable[[], object]] = [
        lambda: [ec2.delete_subnet(SubnetId=subnet) for subnet in network.subnets],
        lambda: ec2.delete_route_table(RouteTableId=table),
        lambda: ec2.detach_internet_gateway(**detach),
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
    (table,) = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [network.vpc]}])["RouteTables"]
    refuses("DependencyViolation", ec2.delete_route_table, RouteTableId=table["RouteTableId"])
    with refused("InvalidParameterValue"):
        ec2.disassociate_route_table(AssociationId=table["Associations"][0]["RouteTableAssociationId"])
    with refused("InvalidParameterValue", "local route"):
        ec2.delete_route(RouteTableId=table["RouteTableId"], DestinationCidrBlock="10.0.0.0/16")


def test_a_gateway_under_a_public_instance_stays(network: Network, ec2: Any, clock: VirtualClock) -> None:
    ec2.modify_subnet_attribute(SubnetId=network.subnets[0], MapPublicIpOnLaunch={"Value": True})
    instance = network.running()
    detach = {"InternetGatewayId": network.gateway, "VpcId": network.vpc}
    refuses("DependencyViolation: mapped public address", ec2.detach_internet_gateway, **detach)
    ec2.stop_instances(InstanceIds=[instance])
    clock.advance(15)
    ec2.detach_internet_gateway(**detach)
    refuses("Gateway.NotAttached", ec2.detach_internet_gateway, **detach)


@pytest.mark.parametrize(("scheme", "stays"), [("internet-facing", True), ("internal", False)])
def test_a_gateway_under_a_balancer_stays(network: Network, clock: VirtualClock, scheme: str, stays: bool) -> None:
    arn = network.balancer(Scheme=scheme)
    detach = {"InternetGatewayId": network.gateway, "VpcId": network.vpc}
    if stays:
        refuses("DependencyViolation", network.ec2.detach_internet_gateway, **detach)
        network.elb.delete_load_balancer(LoadBalancerArn=arn)
        refuses("DependencyViolation", network.ec2.detach_internet_gateway, **detach)
        clock.advance(60)
    network.ec2.detach_internet_gateway(**detach)


def test_gateways_and_vpcs_pair_off(network: Network, ec2: Any) -> None:
    other = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    spare = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    refuses("Resource.AlreadyAssociated", ec2.attach_internet_gateway, InternetGatewayId=network.gateway, VpcId=other)
    with refused("InvalidParameterValue", "already has an internet gateway"):
        ec2.attach_internet_gateway(InternetGatewayId=spare, VpcId=network.vpc)
    refuses("DependencyViolation", ec2.delete_internet_gateway, InternetGatewayId=network.gateway)
    ec2.delete_internet_gateway(InternetGatewayId=spare)


def test_a_subnet_has_one_route_table(network: Network, ec2: Any) -> None:
    one, two = (ec2.create_route_table(VpcId=network.vpc)["RouteTable"]["RouteTableId"] for _ in range(2))
    held = ec2.associate_route_table(RouteTableId=one, SubnetId=network.subnets[0])["AssociationId"]
    refuses("Resource.AlreadyAssociated", ec2.associate_route_table, RouteTableId=two, SubnetId=network.subnets[0])
    new = ec2.replace_route_table_association(AssociationId=held, RouteTableId=two)["NewAssociationId"]
    assert new != held
    (table,) = ec2.describe_route_tables(Filters=[{"Name": "association.subnet-id", "Values": [network.subnets[0]]}])[
        "RouteTables"
    ]
    assert table["RouteTableId"] == two
    ec2.disassociate_route_table(AssociationId=new)
    ec2.delete_route_table(RouteTableId=two)


def test_routes_are_of_the_vpc(network: Network, ec2: Any, elb: Any, clock: VirtualClock) -> None:
    other = Network.make(ec2, elb, clock, "10.1.0.0/16")
    table = ec2.create_route_table(VpcId=network.vpc)["RouteTable"]["RouteTableId"]
    refuses("InvalidParameterValue", ec2.associate_route_table, RouteTableId=table, SubnetId=other.subnets[0])
    default = {"RouteTableId": table, "DestinationCidrBlock": "0.0.0.0/0"}
    refuses("InvalidParameterValue", ec2.create_route, **default, GatewayId=other.gateway)
    with refused("RouteAlreadyExists"):
        ec2.create_route(RouteTableId=table, DestinationCidrBlock="10.0.0.0/16", GatewayId=network.gateway)
    ec2.create_route(**default, GatewayId=network.gateway)
    refuses("RouteAlreadyExists", ec2.create_route, **default, GatewayId=network.gateway)
    ec2.replace_route(**default, GatewayId=network.gateway)
    ec2.delete_route(**default)
    refuses("InvalidRoute.NotFound", ec2.delete_route, **default)


def test_a_route_to_a_detached_gateway_is_a_black_hole(network: Network, ec2: Any) -> None:
    table = ec2.create_route_table(VpcId=network.vpc)["RouteTable"]["RouteTableId"]
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=network.gateway)

    def state() -> str:
        routes = ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"][0]["Routes"]
        return str(next(route["State"] for route in routes if route["DestinationCidrBlock"] == "0.0.0.0/0"))

    assert state() == "active"
    ec2.detach_internet_gateway(InternetGatewayId=network.gateway, VpcId=network.vpc)
    assert state() == "blackhole"
    ec2.delete_internet_gateway(InternetGatewayId=network.gateway)
    assert state() == "blackhole"


def test_one_attribute_a_call(network: Network, ec2: Any) -> None:
    yes, no = {"Value": True}, {"Value": False}
    with refused("InvalidParameterCombination"):
        ec2.modify_vpc_attribute(VpcId=network.vpc, EnableDnsSupport=yes, EnableDnsHostnames=yes)
    with refused("InvalidParameterCombination"):
        ec2.modify_subnet_attribute(
            SubnetId=network.subnets[0], MapPublicIpOnLaunch=yes, AssignIpv6AddressOnCreation=no
        )
    with refused("InvalidSubnetID.NotFound"):
        ec2.modify_subnet_attribute(SubnetId="subnet-00000000000000000", MapPublicIpOnLaunch=yes)
    ec2.modify_vpc_attribute(VpcId=network.vpc, EnableDnsHostnames=yes)
    answer = ec2.describe_vpc_attribute(VpcId=network.vpc, Attribute="enableDnsHostnames")
    assert answer["EnableDnsHostnames"] == yes
    ec2.modify_vpc_attribute(VpcId=network.vpc, EnableDnsHostnames=no)
    answer = ec2.describe_vpc_attribute(VpcId=network.vpc, Attribute="enableDnsHostnames")
    assert answer["EnableDnsHostnames"] == no


def test_a_group_needs_a_vpc_that_exists(ec2: Any) -> None:
    with refused("InvalidVpcID.NotFound"):
        ec2.create_security_group(GroupName="g", Description="d", VpcId="vpc-00000000000000000")


def test_only_what_is_there_can_be_tagged(network: Network, ec2: Any) -> None:
    tags = [{"Key": "a", "Value": "b"}]
    refuses("InvalidInstanceID.NotFound", ec2.create_tags, Resources=["i-00000000000000000"], Tags=tags)
    refuses("InvalidParameterValue", ec2.create_tags, Resources=[network.vpc], Tags=[{"Key": "aws:a", "Value": "b"}])
    ec2.create_tags(Resources=[network.vpc], Tags=tags)
    assert ec2.describe_vpcs(VpcIds=[network.vpc])["Vpcs"][0]["Tags"] == tags


def test_a_token_makes_one_route_table(network: Network, ec2: Any) -> None:
    one, two, other = (
        ec2.create_route_table(VpcId=network.vpc, ClientToken=token)["RouteTable"]["RouteTableId"]
        for token in ("t", "t", "u")
    )
    assert one == two != other
    with refused("IdempotentParameterMismatch"):
        ec2.create_route_table(
            VpcId=network.vpc,
            ClientToken="t",
            TagSpecifications=[{"ResourceType": "route-table", "Tags": [{"Key": "a", "Value": "b"}]}],
        )
    ec2.delete_route_table(RouteTableId=one)
    assert ec2.create_route_table(VpcId=network.vpc, ClientToken="t")["RouteTable"]["RouteTableId"] != one


@pytest.mark.parametrize("wanted", ["web[0].b*", "web[?].blue", "WEB", "web\\*"])
def test_filters_know_two_wildcards_and_no_brackets(network: Network, ec2: Any, wanted: str) -> None:
    ec2.create_tags(
        Resources=[network.vpc, network.group, network.gateway], Tags=[{"Key": "is", "Value": "web[0].blue"}]
    )
    filters = [{"Name": "tag:is", "Values": ["nothing", wanted]}]
    hits = 1 if "[" in wanted else 0
    assert len(ec2.describe_vpcs(Filters=filters)["Vpcs"]) == hits
    assert len(ec2.describe_security_groups(Filters=filters)["SecurityGroups"]) == hits
    assert len(ec2.describe_internet_gateways(Filters=filters)["InternetGateways"]) == hits
    assert len(ec2.describe_tags(Filters=filters)["Tags"]) == 3 * hits
    by_key = [{"Name": "tag-key", "Values": ["is", "nothing"]}]
    assert len(ec2.describe_vpcs(Filters=by_key)["Vpcs"]) == 1


def test_several_values_of_a_filter_are_alternatives(network: Network, ec2: Any) -> None:
    table = ec2.create_route_table(VpcId=network.vpc)["RouteTable"]["RouteTableId"]
    for subnet in network.subnets:
        ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
    wanted = [network.subnets[0], "subnet-00000000000000000"]
    found = ec2.describe_route_tables(Filters=[{"Name": "association.subnet-id", "Values": wanted}])
    assert [entry["RouteTableId"] for entry in found["RouteTables"]] == [table]


def test_regions_are_apart(aws: StrictAws, network: Network) -> None:
    west = client("ec2", "us-west-2")
    assert network.vpc not in {vpc["VpcId"] for vpc in west.describe_vpcs()["Vpcs"]}
    with refused("InvalidParameterValue"):
        vpc = west.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        west.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24", AvailabilityZone="us-east-1a")
    assert vpc in aws.inventory(region="us-west-2")


def test_interfaces_that_a_service_hides_are_shown_on_request(network: Network, ec2: Any, aws: StrictAws) -> None:
    made = ec2.create_network_interface(SubnetId=network.subnets[0])["NetworkInterface"]["NetworkInterfaceId"]
    aws.hide_interface(made)
    assert not ec2.describe_network_interfaces()["NetworkInterfaces"]
    (shown,) = ec2.describe_network_interfaces(IncludeManagedResources=True)["NetworkInterfaces"]
    assert shown["NetworkInterfaceId"] == made


def test_a_route_leads_somewhere(network: Network, ec2: Any) -> None:
    table = ec2.create_route_table(VpcId=network.vpc)["RouteTable"]["RouteTableId"]
    refuses("MissingParameter", ec2.create_route, RouteTableId=table, GatewayId=network.gateway)
    refuses("MissingParameter", ec2.delete_route, RouteTableId=table, DestinationCidrBlock="")
    with refused("InvalidParameterCombination"):
        ec2.delete_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", DestinationIpv6CidrBlock="::/0")
