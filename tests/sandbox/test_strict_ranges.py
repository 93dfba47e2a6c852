"""Ranges of VPCs and subnets beside the first, and those of IPv6: what AWS refuses, and what takes time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.sandbox.strict_world import Network, client, refused, refuses

if TYPE_CHECKING:
    from alb_reconcile.sandbox.strict import VirtualClock


def states(ec2: Any, vpc: str) -> dict[str, str]:
    """The states of a VPC's ranges."""
    (found,) = ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"]
    ipv4 = {item["CidrBlock"]: item["CidrBlockState"]["State"] for item in found["CidrBlockAssociationSet"]}
    ipv6 = found.get("Ipv6CidrBlockAssociationSet", ())
    return ipv4 | {item["Ipv6CidrBlock"]: item["Ipv6CidrBlockState"]["State"] for item in ipv6}


@pytest.mark.parametrize(
    ("primary", "cidr"),
    [
        ("10.8.0.0/16", "172.16.0.0/16"),
        ("10.8.0.0/16", "198.19.0.0/16"),
        ("10.8.0.0/16", "169.254.0.0/24"),
        ("10.1.0.0/16", "10.0.0.0/24"),
        ("172.16.0.0/16", "172.31.0.0/16"),
        ("192.168.0.0/24", "10.0.0.0/16"),
        ("100.64.0.0/16", "10.0.0.0/16"),
        ("10.8.0.0/16", "10.8.1.0/24"),
        ("10.8.0.0/16", "10.9.0.0/15"),
        ("10.8.0.0/16", "10.9.0.0/29"),
    ],
)
def test_a_range_that_aws_adds_to_no_such_vpc_is_refused(ec2: Any, primary: str, cidr: str) -> None:
    vpc = ec2.create_vpc(CidrBlock=primary)["Vpc"]["VpcId"]
    refuses("InvalidVpc.Range", ec2.associate_vpc_cidr_block, VpcId=vpc, CidrBlock=cidr)


def test_a_range_is_of_use_when_it_is_associated(network: Network, ec2: Any, clock: VirtualClock) -> None:
    ec2.associate_vpc_cidr_block(VpcId=network.vpc, CidrBlock="100.64.0.0/16")
    assert states(ec2, network.vpc)["100.64.0.0/16"] == "associating"
    refuses("InvalidSubnet.Range", network.subnet, "100.64.0.0/24", "us-east-1a")
    clock.advance(5)
    assert states(ec2, network.vpc)["100.64.0.0/16"] == "associated"
    network.subnet("100.64.0.0/24", "us-east-1a")


def test_a_range_with_a_subnet_in_it_stays(network: Network, ec2: Any, clock: VirtualClock) -> None:
    answer = ec2.associate_vpc_cidr_block(VpcId=network.vpc, CidrBlock="10.5.0.0/16")
    association = answer["CidrBlockAssociation"]["AssociationId"]
    clock.advance(5)
    subnet = network.subnet("10.5.0.0/24", "us-east-1a")
    with refused("InvalidCidrBlock.InUse", "currently has a subnet within CIDR block 10.5.0.0/16"):
        ec2.disassociate_vpc_cidr_block(AssociationId=association)
    ec2.delete_subnet(SubnetId=subnet)
    ec2.disassociate_vpc_cidr_block(AssociationId=association)
    assert states(ec2, network.vpc)["10.5.0.0/16"] == "disassociating"
    clock.advance(5)
    assert states(ec2, network.vpc).keys() == {"10.0.0.0/16"}


def test_a_vpc_gets_an_ipv6_range_of_amazons(ec2: Any, clock: VirtualClock) -> None:
    vpc = ec2.create_vpc(CidrBlock="10.8.0.0/16", AmazonProvidedIpv6CidrBlock=True)["Vpc"]["VpcId"]
    (block,) = [name for name in states(ec2, vpc) if ":" in name]
    assert states(ec2, vpc)[block] == "associating"
    clock.advance(5)
    (found,) = ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"][0]["Ipv6CidrBlockAssociationSet"]
    assert (found["Ipv6Pool"], found["NetworkBorderGroup"]) == ("Amazon", "us-east-1")
    inside = block.replace("00::/56", "07::/64")
    made = ec2.create_subnet(VpcId=vpc, CidrBlock="10.8.1.0/24", Ipv6CidrBlock=inside, AvailabilityZoneId="use1-az1")
    subnet = made["Subnet"]["SubnetId"]
    (shown,) = ec2.describe_subnets(SubnetIds=[subnet])["Subnets"]
    (ipv6,) = shown["Ipv6CidrBlockAssociationSet"]
    assert (ipv6["Ipv6CidrBlock"], ipv6["Ipv6CidrBlockState"]["State"]) == (inside, "associated")
    assert shown["AvailabilityZone"].startswith("us-east-1")
    refuses("InvalidSubnet.Conflict", ec2.create_subnet, VpcId=vpc, CidrBlock="10.8.2.0/24", Ipv6CidrBlock=inside)
    refuses("InvalidSubnet.Range", ec2.create_subnet, VpcId=vpc, CidrBlock="10.8.2.0/24", Ipv6CidrBlock="2001:db8::/64")
    with refused("InvalidParameterValue", "already has"):
        ec2.associate_subnet_cidr_block(SubnetId=subnet, Ipv6CidrBlock=inside.replace("07::", "08::"))


def test_a_range_that_is_handed_out_stays(ec2: Any, clock: VirtualClock) -> None:
    vpc = ec2.create_vpc(CidrBlock="10.8.0.0/16", Ipv6Pool="ipv6pool-ec2-1", Ipv6CidrBlock="2001:db8:a::/56")["Vpc"]
    clock.advance(5)
    made = ec2.create_subnet(VpcId=vpc["VpcId"], CidrBlock="10.8.1.0/24", Ipv6CidrBlock="2001:db8:a::/64")["Subnet"]
    association = made["Ipv6CidrBlockAssociationSet"][0]["AssociationId"]
    ec2.modify_subnet_attribute(SubnetId=made["SubnetId"], AssignIpv6AddressOnCreation={"Value": True})
    refuses("InvalidParameterValue", ec2.disassociate_subnet_cidr_block, AssociationId=association)
    ec2.modify_subnet_attribute(SubnetId=made["SubnetId"], AssignIpv6AddressOnCreation={"Value": False})
    ec2.disassociate_subnet_cidr_block(AssociationId=association)
    with refused("InvalidParameterValue"):
        ec2.modify_subnet_attribute(SubnetId=made["SubnetId"], AssignIpv6AddressOnCreation={"Value": True})


def test_a_zone_id_that_the_region_lacks_is_refused(network: Network, ec2: Any) -> None:
    with refused("InvalidParameterValue", "use1-az1"):
        ec2.create_subnet(VpcId=network.vpc, CidrBlock="10.0.9.0/24", AvailabilityZoneId="use1-az9")


def test_every_attribute_of_a_subnet_is_kept(network: Network, ec2: Any) -> None:
    subnet = network.subnets[0]
    ec2.modify_subnet_attribute(SubnetId=subnet, EnableDns64={"Value": True})
    ec2.modify_subnet_attribute(SubnetId=subnet, PrivateDnsHostnameTypeOnLaunch="resource-name")
    ec2.modify_subnet_attribute(SubnetId=subnet, EnableResourceNameDnsAAAARecordOnLaunch={"Value": True})
    (shown,) = ec2.describe_subnets(SubnetIds=[subnet])["Subnets"]
    assert shown["EnableDns64"] is True
    assert shown["PrivateDnsNameOptionsOnLaunch"] == {
        "HostnameType": "resource-name",
        "EnableResourceNameDnsARecord": False,
        "EnableResourceNameDnsAAAARecord": True,
    }


def test_a_load_balancer_with_ipv6_needs_ranges_of_it(network: Network, ec2: Any) -> None:
    refuses("InvalidSubnet: IPv6 CIDR block", network.balancer, IpAddressType="dualstack")
    arn = network.balancer()
    with refused("InvalidSubnet", "IPv6 CIDR block"):
        network.elb.set_ip_address_type(LoadBalancerArn=arn, IpAddressType="dualstack-without-public-ipv4")
    with refused("InvalidConfigurationRequest"):
        network.balancer("inner", Scheme="internal", IpAddressType="dualstack-without-public-ipv4")


def test_a_vpc_has_one_egress_only_gateway(network: Network, ec2: Any) -> None:
    tags = [{"ResourceType": "egress-only-internet-gateway", "Tags": [{"Key": "owner", "Value": "me"}]}]
    token = {"VpcId": network.vpc, "ClientToken": "once", "TagSpecifications": tags}
    first, again = (
        ec2.create_egress_only_internet_gateway(**token)["EgressOnlyInternetGateway"]["EgressOnlyInternetGatewayId"]
        for _ in range(2)
    )
    assert first == again
    with refused("IdempotentParameterMismatch"):
        ec2.create_egress_only_internet_gateway(**{**token, "TagSpecifications": []})
    refuses("InvalidParameterValue: already has", ec2.create_egress_only_internet_gateway, VpcId=network.vpc)

    def found(name: str, value: str) -> int:
        where = [{"Name": name, "Values": [value]}]
        return len(ec2.describe_egress_only_internet_gateways(Filters=where)["EgressOnlyInternetGateways"])

    assert [found("tag:owner", "me"), found("tag:owner", "you"), found("tag-key", "owner")] == [1, 0, 1]
    other = client("ec2").create_vpc(CidrBlock="10.8.0.0/16")["Vpc"]["VpcId"]
    ec2.create_egress_only_internet_gateway(VpcId=other)
