"""Ranges and addresses from IPAM pools, and subnets of which the spec says the length only: chosen once, kept, found again."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.kinds._free_ranges import Room
from alb_reconcile.model.errors import SpecError
from tests.harness import load
from tests.kinds.hand import Faults, Hand, edited, update
from tests.pools import make_pool

if TYPE_CHECKING:
    from tests.harness import Spec

MAIN, A, B, ADDRESS = "vpc.main", "subnet.a", "subnet.b", "elastic_ip.nat"
POOL = "ipam-pool-0a1b2c3d4e5f60718"


def network(four: str, six: str = "", further: str = "", public: str = "") -> Spec:
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
    if six:
        spec["vpcs"]["main"] |= {"ipv6_ipam_pool_id": six, "ipv6_netmask_length": 56}
        spec["subnets"]["a"]["ipv6_cidr_block"] = 7
    if further:
        spec["vpcs"]["main"]["secondary_cidr_blocks"] = [
            "100.64.0.0/24", {"ipv4_ipam_pool_id": further, "ipv4_netmask_length": 26},
        ]  # fmt: skip
    if public:
        spec["elastic_ips"] = {"nat": {"ipam_pool_id": public}}
    return spec


def full() -> Spec:
    """All of it, each from a pool of its own."""
    return network(
        make_pool("10.20.0.0/16"), make_pool("2001:db8::/40"), make_pool("10.30.0.0/24"), make_pool("203.0.113.0/28")
    )


def ranges(hand: Hand) -> list[str]:
    (found,) = hand.ec2.describe_vpcs(VpcIds=[hand[MAIN]])["Vpcs"]
    return sorted(item["CidrBlock"] for item in found["CidrBlockAssociationSet"])


def subnet_of(hand: Hand, address: str) -> dict[str, Any]:
    (found,) = hand.ec2.describe_subnets(SubnetIds=[hand[address]])["Subnets"]
    return dict(found)


def test_what_pools_give_is_kept(hand: Hand, faults: Faults) -> None:
    spec = full()
    hand.make(spec)
    assert ranges(hand) == ["10.20.0.0/22", "10.30.0.0/26", "100.64.0.0/24"]
    around = ipaddress.IPv4Network("10.20.0.0/22")
    for address, length in ((A, 24), (B, 25)):
        own = ipaddress.IPv4Network(subnet_of(hand, address)["CidrBlock"])
        assert (own.prefixlen, own.subnet_of(around)) == (length, True)
    (ipv6,) = subnet_of(hand, A)["Ipv6CidrBlockAssociationSet"]
    assert ipv6["Ipv6CidrBlock"] == "2001:db8:0:7::/64"
    (address,) = hand.ec2.describe_addresses(AllocationIds=[hand[ADDRESS]])["Addresses"]
    pool = spec["elastic_ips"]["nat"]["ipam_pool_id"]
    assert (address["PublicIp"], address["PublicIpv4Pool"]) == ("203.0.113.0", pool)
    own = subnet_of(hand, A)["CidrBlock"]
    literal = {"cidr_block": own, "availability_zone": "a", "ipv6_cidr_block": 7}
    other = make_pool("10.21.0.0/16")
    for path, value in (("vpcs/main/ipv4_ipam_pool_id", other), ("subnets/a", literal)):
        assert hand.world.plan(edited(spec, path, value)).is_empty
    hand.ec2.associate_vpc_cidr_block(VpcId=hand[MAIN], CidrBlock="10.10.0.0/26")
    hand.wait(10)
    hand.repairs(update(MAIN, "secondary_cidr_blocks"), by="disassociate_vpc_cidr_block")
    assert "10.30.0.0/26" in ranges(hand), "a range of that length that somebody adds isn't taken for the pool's"
    faults.refuse("get_ipam_pool_allocations", "UnauthorizedOperation", times=9)
    assert hand.world.plan(spec).is_empty, "where they may not be seen they are told by their lengths"


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
    assert subnet_of(hand, "subnet.chosen")["CidrBlock"] == "10.0.0.128/25"


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


def test_a_range_that_somebody_takes_meanwhile_is_left_to_them(hand: Hand, faults: Faults) -> None:
    spec = network(make_pool("10.20.0.0/16"))
    hand.make(edited(spec, "subnets", {}))
    theirs: list[str] = []

    def taken(params: Any) -> None:
        theirs.append(params["CidrBlock"])
        hand.ec2.create_subnet(VpcId=params["VpcId"], CidrBlock=params["CidrBlock"])

    faults.before("create_subnet", taken)
    hand.make(spec)
    assert theirs[0] not in (subnet_of(hand, A)["CidrBlock"], subnet_of(hand, B)["CidrBlock"])


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"Locale": "eu-west-1"}, "is for eu-west-1; name a pool whose locale is us-east-1"),
        ({"AllocationMinNetmaskLength": 24, "AllocationMaxNetmaskLength": 28}, "gives no /22; choose /24 to /28"),
        ({"AllocationResourceTags": [{"Key": "team", "Value": "web"}]}, "certain tags only; add team: web to tags"),
    ],
)
def test_what_a_pool_would_refuse_is_told_before(hand: Hand, settings: dict[str, Any], told: str) -> None:
    spec = network(make_pool("10.20.0.0/16", **settings))
    hand.refuses_run(spec, rf"^spec\.yaml:\d+:\d+: vpcs\.main\.ipv4_ipam_pool_id: .*{told}")
    if "team" in told:
        hand.make({**spec, "tags": {"team": "web"}})


def test_room_is_taken_from_the_smallest_gap() -> None:
    room = Room([ipaddress.IPv4Network("10.0.0.0/24")], [ipaddress.IPv4Network("10.0.0.0/27")])
    assert [room.take(length) for length in (27, 25, 26, 27)] == ["10.0.0.32/27", "10.0.0.128/25", "10.0.0.64/26", ""]


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("vpcs/main/cidr_block", "10.0.0.0/16", "vpcs.main.ipv4_netmask_length: is given together with cidr_block; keep one"),
        ("vpcs/main/ipv6_netmask_length", 56, "vpcs.main.ipv6_netmask_length: is for a range that an IPAM pool chooses"),
        ("vpcs/main/ipv4_netmask_length", 15, "vpcs.main.ipv4_netmask_length: is 15; give it a whole number from 16 to 28"),
        ("subnets/a/ipv4_netmask_length", 21, "subnets.a.ipv4_netmask_length: /21 is larger than vpc.main (/22)"),
        ("subnets/a/ipv4_netmask_length", 22, "subnets.b.ipv4_netmask_length: vpc.main has no room left for a /25"),
        ("subnets/a/cidr_block", "10.0.0.0/24", "subnets.a.ipv4_netmask_length: is given together with cidr_block; keep one"),
        ("subnets/a/ipv6_cidr_block", 1, "subnets.a.ipv6_cidr_block: vpc.main has no IPv6 range"),
        ("vpcs/main/ipv6_netmask_length", 52, "subnets.a.ipv6_cidr_block: a number counts the ranges of a /56"),
        ("elastic_ips/nat/public_ipv4_pool", "amazon", "elastic_ips.nat.ipam_pool_id: is given together with public_ipv4_pool"),
    ],
)  # fmt: skip
def test_what_doesnt_go_together_is_refused(path: str, value: Any, told: str) -> None:
    six = POOL if "/ipv6_netmask_length" in path and value == 52 else ""
    spec = edited(network(POOL, six, public=POOL), path, value)
    with pytest.raises(SpecError) as caught:
        load(spec)
    (line,) = str(caught.value).splitlines()
    assert told in line
