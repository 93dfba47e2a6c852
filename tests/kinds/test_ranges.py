"""Further ranges of VPCs, IPv6, and what stands on them: made in one run, changed without a deadlock, refused in time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.kinds.vpc.ranges import index_of, range_at
from tests.harness import demo
from tests.kinds.example import STACK
from tests.kinds.hand import calls, edited, short, update

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.kinds.hand import Hand

MAIN, A, SIX = "vpc.main", "subnet.a", "subnet.six"
AMAZON = "vpcs/main/amazon_provided_ipv6_cidr_block"
SECONDARY: Spec = {
    **STACK,
    "vpcs": {"main": {"cidr_block": "10.0.0.0/16", "secondary_cidr_blocks": ["10.4.0.0/16", "100.64.0.0/16"]}},
    "subnets": {"a": {"cidr_block": "100.64.1.0/24", "availability_zone": "a"}},
}
DUAL: Spec = {
    **STACK,
    "vpcs": {"main": {"cidr_block": "10.0.0.0/16", "amazon_provided_ipv6_cidr_block": True}},
    "subnets": {
        "a": {"cidr_block": "10.0.1.0/24", "availability_zone": "a", "ipv6_cidr_block": 1},
        "six": {"ipv6_native": True, "ipv6_cidr_block": 255, "availability_zone": "b"},
    },
}


def shown(hand: Hand, address: str) -> dict[str, Any]:
    (found,) = hand.ec2.describe_subnets(SubnetIds=[hand[address]])["Subnets"]
    return dict(found)


def ipv6_of(hand: Hand, address: str) -> str:
    return str(shown(hand, address)["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"])


def dualstack(**more: Any) -> Spec:
    spec = demo()
    spec["vpcs"]["main"]["amazon_provided_ipv6_cidr_block"] = True
    for number, subnet in enumerate(spec["subnets"].values()):
        subnet["ipv6_cidr_block"] = number
    spec["load_balancers"]["public"] |= {"ip_address_type": "dualstack", **more}
    return spec


@pytest.mark.parametrize("lag", [0.0, 20.0])
def test_a_subnet_in_a_further_range_is_made_in_one_run(hand: Hand, lag: float) -> None:
    hand.world.strict.lag = lag
    hand.make(SECONDARY)
    assert shown(hand, A)["CidrBlock"] == "100.64.1.0/24"


def test_a_range_goes_with_a_duplicate_that_alone_has_a_part_of_it(hand: Hand) -> None:
    hand.make(SECONDARY)
    tags = [tag for tag in shown(hand, A)["Tags"] if not tag["Key"].startswith("aws:")]
    hand.ec2.create_subnet(
        VpcId=hand[MAIN],
        CidrBlock="10.4.1.0/24",
        AvailabilityZone="us-east-1a",
        TagSpecifications=[{"ResourceType": "subnet", "Tags": tags}],
    )
    hand.wait(60)
    hand.make(edited(SECONDARY, "vpcs/main/secondary_cidr_blocks", ["100.64.0.0/16"]), allow={"delete": 1})


def test_the_order_of_further_ranges_is_none(hand: Hand) -> None:
    hand.make(SECONDARY)
    swapped = ["100.64.0.0/16", "10.4.0.0/16"]
    assert short(hand.world.plan(edited(SECONDARY, "vpcs/main/secondary_cidr_blocks", swapped))) == []


def test_a_range_goes_when_its_subnets_have_moved_to_the_new_one(hand: Hand) -> None:
    """The old subnet leaves after the new one is there, and the old range after the old subnet: all in one run."""
    hand.make(SECONDARY)
    moved = edited(SECONDARY, "vpcs/main/secondary_cidr_blocks", ["10.4.0.0/16", "100.65.0.0/16"])
    hand.make(edited(moved, "subnets/a/cidr_block", "100.65.1.0/24"))
    assert [params["CidrBlock"] for params in calls(hand.world, "associate_vpc_cidr_block")] == ["100.65.0.0/16"]


def test_tenancy_can_be_given_up_in_place_only(hand: Hand) -> None:
    spec = edited(SECONDARY, "vpcs/main/instance_tenancy", "dedicated")
    hand.make(spec)
    default = edited(SECONDARY, "vpcs/main/instance_tenancy", "default")
    hand.repairs(update(MAIN, "instance_tenancy"), spec=default, by=("modify_vpc_tenancy", "create_tags"))
    assert ("replace", MAIN, ("instance_tenancy",)) in short(hand.world.plan(spec))


@pytest.mark.parametrize("lag", [0.0, 20.0])
def test_subnets_count_their_vpcs_ipv6_ranges(hand: Hand, lag: float) -> None:
    hand.world.strict.lag = lag
    hand.make(DUAL)
    (vpc,) = hand.ec2.describe_vpcs(VpcIds=[hand[MAIN]])["Vpcs"]
    around = vpc["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"]
    assert ipv6_of(hand, A) == range_at(around, 1)
    assert index_of(ipv6_of(hand, SIX)) == 255
    assert (shown(hand, SIX)["Ipv6Native"], shown(hand, SIX).get("CidrBlock")) == (True, None)


def test_a_literal_range_is_the_same_as_its_number(hand: Hand) -> None:
    hand.make(DUAL)
    literal = ipv6_of(hand, A)
    assert hand.world.plan(edited(DUAL, "subnets/a/ipv6_cidr_block", literal)).is_empty
    long = literal.replace("::/64", ":0:0:0:0/64")
    assert hand.world.plan(edited(DUAL, "subnets/a/ipv6_cidr_block", long)).is_empty


def test_an_ipv6_range_comes_to_what_was_there_before(hand: Hand) -> None:
    without = edited(edited(DUAL, "subnets/six", None), "vpcs/main/amazon_provided_ipv6_cidr_block", None)
    hand.make(edited(without, "subnets/a/ipv6_cidr_block", None))
    spec = edited(DUAL, "subnets/a/assign_ipv6_address_on_creation", True)
    hand.make(spec)
    assert index_of(ipv6_of(hand, A)) == 1
    hand.make(edited(spec, "subnets/a/ipv6_cidr_block", 9))
    assert index_of(ipv6_of(hand, A)) == 9
    assert shown(hand, A)["AssignIpv6AddressOnCreation"] is True


def test_a_load_balancer_gets_ipv6_with_its_subnets(hand: Hand) -> None:
    hand.make(demo())
    hand.make(dualstack())
    assert len(calls(hand.world, "set_ip_address_type")) == 1
    assert len(calls(hand.world, "associate_subnet_cidr_block")) == 2
    without = dualstack(ip_address_type="dualstack-without-public-ipv4")
    hand.repairs(
        update("load_balancer.public", "ip_address_type"), spec=without, by=("set_ip_address_type", "add_tags")
    )


def test_a_load_balancer_over_subnets_without_ipv6_is_refused_with_its_place(hand: Hand) -> None:
    spec = dualstack()
    for subnet in spec["subnets"].values():
        del subnet["ipv6_cidr_block"]
    told = r"^spec\.yaml:\d+:\d+: load_balancers\.public\.ip_address_type: dualstack needs an IPv6 range"
    hand.refuses(spec, told)
    hand.make(demo())
    hand.refuses(spec, r"give subnet\.public-a, subnet\.public-b an ipv6_cidr_block")


def take_ipv6_out(hand: Hand, address: str) -> None:
    association = shown(hand, address)["Ipv6CidrBlockAssociationSet"][0]["AssociationId"]
    hand.ec2.disassociate_subnet_cidr_block(AssociationId=association)
    hand.wait(10)


@pytest.mark.parametrize("lag", [0.0, 20.0])
def test_a_range_that_subnets_have_a_part_of_stays_until_they_have_none(hand: Hand, lag: float) -> None:
    spec = edited(DUAL, "subnets/six", None)
    hand.make(spec)
    (vpc,) = hand.ec2.describe_vpcs(VpcIds=[hand[MAIN]])["Vpcs"]
    around = vpc["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"]
    after = edited(edited(spec, "subnets/a/ipv6_cidr_block", None), AMAZON, False)
    hand.refuses(after, rf"^spec\.yaml:\S+ vpcs\.main\.\w+: {around} can't leave .* while these .*: subnet\.a \(")
    take_ipv6_out(hand, A)
    hand.world.strict.lag = lag
    hand.make(after)
    assert not hand.ec2.describe_vpcs(VpcIds=[hand[MAIN]])["Vpcs"][0]["Ipv6CidrBlockAssociationSet"]


def test_a_range_goes_with_the_subnet_that_alone_has_a_part_of_it(hand: Hand) -> None:
    hand.make(DUAL)
    spec = edited(edited(DUAL, "subnets/a", None), "subnets/six", None)
    hand.make(edited(spec, AMAZON, False), allow={"delete": 2})
