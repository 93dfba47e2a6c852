"""IPAM: ranges and addresses that pools give, whom they refuse, and when they have them again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.pools import held, make_pool
from tests.sandbox.strict_world import refuses

if TYPE_CHECKING:
    pass


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


def test_addresses_are_sequential(ec2: Any) -> None:
    pool = make_pool("203.0.113.0/30")
    made = [ec2.allocate_address(Domain="vpc", IpamPoolId=pool) for _ in range(2)]
    assert [(item["PublicIp"], item["PublicIpv4Pool"]) for item in made] == [
        ("203.0.113.0", pool),
        ("203.0.113.1", pool),
    ]
    assert ec2.allocate_address(IpamPoolId=pool, Address="203.0.113.3")["PublicIp"] == "203.0.113.3"
    refuses("InvalidParameterValue", ec2.allocate_address, IpamPoolId=pool, Address="203.0.113.3")
