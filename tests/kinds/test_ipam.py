"""Ranges and addresses from IPAM pools, and subnets of which the spec says the length only: chosen once, and kept."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from tests.kinds.hand import Faults, Hand, edited
from tests.pools import make_pool

if TYPE_CHECKING:
    from tests.harness import Spec

A, B, ADDRESS = "subnet.a", "subnet.b", "elastic_ip.nat"
POOL = "ipam-pool-0a1b2c3d4e5f60718"


def network(four: str, public: str = "") -> Spec:
    """A VPC of /22 with two subnets, none of which the spec gives a range, and an address."""
    spec: Spec = {
        "stack": "demo",
        "region": "us-east-1",
        "vpcs": {"main": {"ipv4_ipam_pool_id": four, "ipv4_netmask_length": 22}},
        "subnets": {
            "a": {"ipv4_netmask_length": 24, "availability_zone": "a"},
            "b": {"ipv4_netmask_length": 25, "availability_zone": "b"},
        },
    }
    return edited(spec, "elastic_ips", {"nat": {"ipam_pool_id": public}}) if public else spec


def block_of(hand: Hand, address: str) -> str:
    (found,) = hand.ec2.describe_subnets(SubnetIds=[hand[address]])["Subnets"]
    return str(found["CidrBlock"])


def test_what_pools_give_is_kept(hand: Hand) -> None:
    pool = make_pool("203.0.113.0/28")
    spec = network(make_pool("10.20.0.0/16"), pool)
    hand.make(spec)
    around = ipaddress.IPv4Network("10.20.0.0/22")
    for subnet, length in ((A, 24), (B, 25)):
        own = ipaddress.IPv4Network(block_of(hand, subnet))
        assert (own.prefixlen, own.subnet_of(around)) == (length, True)
    (address,) = hand.ec2.describe_addresses(AllocationIds=[hand[ADDRESS]])["Addresses"]
    assert (address["PublicIp"], address["PublicIpv4Pool"]) == ("203.0.113.0", pool)
    literal = {"cidr_block": block_of(hand, A), "availability_zone": "a"}
    for path, value in (("vpcs/main/ipv4_ipam_pool_id", make_pool("10.21.0.0/16")), ("subnets/a", literal)):
        assert hand.world.plan(edited(spec, path, value)).is_empty


def test_they_leave_them_however_the_vpc_is_named(hand: Hand, faults: Faults) -> None:
    """Found: a range was chosen that another entry was given, which said its VPC where this one left it out."""
    spec: Spec = {
        "stack": "demo",
        "region": "us-east-1",
        "vpcs": {"main": {"cidr_block": "10.0.0.0/24"}},
        "subnets": {
            "chosen": {"ipv4_netmask_length": 25, "availability_zone": "a"},
            "given": {"vpc": "main", "cidr_block": "10.0.0.0/25", "availability_zone": "b"},
        },
    }
    faults.refuse("create_subnet", "InvalidVpcID.NotFound")  # so that it comes second
    hand.make(spec)
    assert block_of(hand, "subnet.chosen") == "10.0.0.128/25"


def test_a_vpc_without_room_is_told_with_the_place(hand: Hand) -> None:
    vpc = hand.ec2.create_vpc(CidrBlock="10.0.0.0/26")["Vpc"]["VpcId"]
    hand.ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.16/28")
    spec: Spec = {
        "stack": "demo",
        "region": "us-east-1",
        "subnets": {name: {"vpc": vpc, "ipv4_netmask_length": 27, "availability_zone": "a"} for name in ("one", "two")},
    }
    told = rf"^spec\.yaml:\d+:\d+: subnets\.two\.ipv4_netmask_length: {vpc} has no free range of /27; give it a further range"
    hand.refuses_run(spec, told)
    hand.make(edited(spec, "subnets/two", None))
    (row,) = hand.ec2.describe_subnets(SubnetIds=[hand["subnet.one"]])["Subnets"]
    assert row["CidrBlock"] == "10.0.0.32/27"
