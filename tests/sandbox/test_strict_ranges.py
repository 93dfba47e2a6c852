"""Ranges of VPCs and subnets beside the first, and those of IPv6: what AWS refuses, and what takes time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.sandbox.strict_world import Network, refuses

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


def test_a_range_is_of_use_when_it_is_associated_and_stays_with_a_subnet(
    network: Network, ec2: Any, clock: VirtualClock
) -> None:
    answer = ec2.associate_vpc_cidr_block(VpcId=network.vpc, CidrBlock="100.64.0.0/16")
    association = {"AssociationId": answer["CidrBlockAssociation"]["AssociationId"]}
    assert states(ec2, network.vpc)["100.64.0.0/16"] == "associating"
    refuses("InvalidSubnet.Range", network.subnet, "100.64.0.0/24", "us-east-1a")
    clock.advance(5)
    assert states(ec2, network.vpc)["100.64.0.0/16"] == "associated"
    subnet = network.subnet("100.64.0.0/24", "us-east-1a")
    told = "InvalidCidrBlock.InUse: currently has a subnet within CIDR block 100.64.0.0/16"
    refuses(told, ec2.disassociate_vpc_cidr_block, **association)
    ec2.delete_subnet(SubnetId=subnet)
    ec2.disassociate_vpc_cidr_block(**association)
    assert states(ec2, network.vpc)["100.64.0.0/16"] == "disassociating"
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
    made = ec2.create_subnet(VpcId=vpc, CidrBlock="10.8.1.0/24", Ipv6CidrBlock=inside)
    subnet = made["Subnet"]["SubnetId"]
    (shown,) = ec2.describe_subnets(SubnetIds=[subnet])["Subnets"]
    (ipv6,) = shown["Ipv6CidrBlockAssociationSet"]
    assert (ipv6["Ipv6CidrBlock"], ipv6["Ipv6CidrBlockState"]["State"]) == (inside, "associated")
    assert shown["AvailabilityZone"].startswith("us-east-1")
    other = {"VpcId": vpc, "CidrBlock": "10.8.2.0/24"}
    refuses("InvalidSubnet.Conflict", ec2.create_subnet, **other, Ipv6CidrBlock=inside)
    refuses("InvalidSubnet.Range", ec2.create_subnet, **other, Ipv6CidrBlock="2001:db8::/64")
    second = {"SubnetId": subnet, "Ipv6CidrBlock": inside.replace("07::", "08::")}
    refuses("InvalidParameterValue: already has", ec2.associate_subnet_cidr_block, **second)


def test_a_load_balancer_with_ipv6_needs_ranges_of_it(network: Network) -> None:
    six, told = {"IpAddressType": "dualstack-without-public-ipv4"}, "InvalidSubnet: IPv6 CIDR block"
    refuses(told, network.balancer, IpAddressType="dualstack")
    refuses(told, network.elb.set_ip_address_type, LoadBalancerArn=network.balancer(), **six)
    refuses("InvalidConfigurationRequest", network.balancer, "inner", Scheme="internal", **six)
