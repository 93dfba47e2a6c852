"""IPAM: ranges and addresses that pools give, whom they refuse, and when they have them again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.pools import held, make_pool
from tests.sandbox.strict_world import Network, refuses

if TYPE_CHECKING:
    from alb_reconcile.sandbox.strict import VirtualClock


def vpc_of(ec2: Any, **params: Any) -> dict[str, Any]:
    return dict(ec2.create_vpc(**params)["Vpc"])


def test_a_vpc_gets_the_lowest_free_range(ec2: Any) -> None:
    pool = make_pool("10.20.0.0/16", AllocationDefaultNetmaskLength=24)
    first = vpc_of(ec2, Ipv4IpamPoolId=pool, Ipv4NetmaskLength=20)
    second = vpc_of(ec2, Ipv4IpamPoolId=pool)
    third = vpc_of(ec2, Ipv4IpamPoolId=pool, CidrBlock="10.20.99.0/24")
    assert [item["CidrBlock"] for item in (first, second, third)] == ["10.20.0.0/20", "10.20.16.0/24", "10.20.99.0/24"]
    assert held(pool) == {item["CidrBlock"]: item["VpcId"] for item in (first, second, third)}


@pytest.mark.parametrize(
    ("code", "settings", "params"),
    [
        ("InvalidIpamPoolId.NotFound", {}, {"Ipv4IpamPoolId": "ipam-pool-0a1b2c3d4e5f60718", "Ipv4NetmaskLength": 24}),
        ("MissingParameter", {}, {}),
        ("InvalidParameterValue", {"Locale": "eu-west-1"}, {"Ipv4NetmaskLength": 24}),
        ("InvalidParameterValue", {"AllocationMinNetmaskLength": 22}, {"Ipv4NetmaskLength": 20}),
        ("InvalidParameterValue", {"AllocationMaxNetmaskLength": 22}, {"Ipv4NetmaskLength": 24}),
        ("InvalidParameterValue", {"AllocationResourceTags": [{"Key": "a", "Value": "b"}]}, {"Ipv4NetmaskLength": 24}),
        ("InvalidParameterValue", {}, {"Ipv4NetmaskLength": 16}),
        ("InvalidParameterValue", {}, {"CidrBlock": "10.21.0.0/24"}),
        ("InvalidParameterCombination", {}, {"CidrBlock": "10.20.0.0/24", "Ipv4NetmaskLength": 24}),
        ("InvalidParameterValue", {}, {"CidrBlock": "10.1.0.0/16", "Ipv6NetmaskLength": 56}),
    ],
)
def test_what_a_pool_refuses(ec2: Any, code: str, settings: dict[str, Any], params: dict[str, Any]) -> None:
    pool = make_pool("10.20.0.0/18", **settings)
    key = "Ipv6IpamPoolId" if "Ipv6NetmaskLength" in params else "Ipv4IpamPoolId"
    refuses(code, ec2.create_vpc, **{key: pool} | params)
    assert held(pool) == {}
    refuses("InvalidParameterCombination", ec2.create_vpc, Ipv4NetmaskLength=24)


def test_a_range_comes_back_some_minutes_after_its_vpc(ec2: Any, clock: VirtualClock) -> None:
    pool = make_pool("10.20.0.0/24")
    vpc = vpc_of(ec2, Ipv4IpamPoolId=pool, Ipv4NetmaskLength=24)["VpcId"]
    ec2.delete_vpc(VpcId=vpc)
    refuses("InvalidParameterValue: too big for the pool", vpc_of, ec2, Ipv4IpamPoolId=pool, Ipv4NetmaskLength=24)
    clock.advance(300)
    vpc_of(ec2, Ipv4IpamPoolId=pool, Ipv4NetmaskLength=24)


def test_further_ranges_and_those_of_ipv6(network: Network, ec2: Any, clock: VirtualClock) -> None:
    four, six = make_pool("10.64.0.0/10"), make_pool("2001:db8::/40")
    overlapping = make_pool("10.0.0.0/10")
    more = {"VpcId": network.vpc, "Ipv4NetmaskLength": 20}
    refuses("InvalidVpc.Range", ec2.associate_vpc_cidr_block, Ipv4IpamPoolId=overlapping, **more)
    assert held(overlapping) == {}
    ec2.associate_vpc_cidr_block(Ipv4IpamPoolId=four, **more)
    ec2.associate_vpc_cidr_block(VpcId=network.vpc, Ipv6IpamPoolId=six, Ipv6NetmaskLength=52)
    clock.advance(5)
    (found,) = ec2.describe_vpcs(VpcIds=[network.vpc])["Vpcs"]
    (own,) = found["Ipv6CidrBlockAssociationSet"]
    assert (own["Ipv6CidrBlock"], own["Ipv6Pool"]) == ("2001:db8::/52", "IPAM Managed")
    assert held(six) == {"2001:db8::/52": network.vpc}
    (further,) = [item for item in found["CidrBlockAssociationSet"] if item["CidrBlock"] != "10.0.0.0/16"]
    assert held(four) == {further["CidrBlock"]: network.vpc}
    ec2.disassociate_vpc_cidr_block(AssociationId=own["AssociationId"])
    clock.advance(301)
    assert held(six) == {}


def test_a_subnet_takes_from_a_pool_of_its_vpc_only(network: Network, ec2: Any) -> None:
    strange, own = make_pool("10.0.128.0/18"), make_pool("10.0.192.0/18", vpc=network.vpc)
    wanted, told = {"VpcId": network.vpc, "Ipv4NetmaskLength": 24}, "InvalidParameterValue: resource planning pool"
    refuses(told, ec2.create_subnet, Ipv4IpamPoolId=strange, **wanted)
    made = ec2.create_subnet(Ipv4IpamPoolId=own, **wanted)["Subnet"]
    assert (made["CidrBlock"], held(own)) == ("10.0.192.0/24", {"10.0.192.0/24": made["SubnetId"]})


def test_addresses_are_sequential(ec2: Any) -> None:
    pool = make_pool("203.0.113.0/30")
    made = [ec2.allocate_address(Domain="vpc", IpamPoolId=pool) for _ in range(2)]
    assert [(item["PublicIp"], item["PublicIpv4Pool"]) for item in made] == [
        ("203.0.113.0", pool),
        ("203.0.113.1", pool),
    ]
    assert ec2.allocate_address(IpamPoolId=pool, Address="203.0.113.3")["PublicIp"] == "203.0.113.3"
    refuses("InvalidParameterValue", ec2.allocate_address, IpamPoolId=pool, Address="203.0.113.3")
