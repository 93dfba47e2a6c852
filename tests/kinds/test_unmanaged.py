"""What AWS has and no spec can say: plans are empty, an export says nothing of it, and it stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alb_reconcile.export.scope import ExportScope
from alb_reconcile.model import tags
from alb_reconcile.sandbox.strict.ec2_ranges import ranges
from tests.export.exporting import adopted, exported
from tests.kinds.hand import edited
from tests.kinds.many import place
from tests.kinds.test_nat_gateway import NAT, REGIONAL, gateways
from tests.kinds.test_ranges import AMAZON, DUAL, MAIN

if TYPE_CHECKING:
    from tests.kinds.hand import Hand

POOLED = "2001:db8:1::/56"
OWN = [{"Key": tags.STACK, "Value": "demo"}, {"Key": tags.ADDRESS, "Value": NAT}]


def ipv6_of_pools(hand: Hand) -> list[str]:
    found = ranges(place().ec2.vpcs[hand[MAIN]])
    return [str(block) for block, item in found if item.get("ipv6_pool", "Amazon") != "Amazon"]


def test_ranges_of_pools(hand: Hand) -> None:
    """That of Amazon's beside them goes alone."""
    dual = edited(edited(DUAL, "subnets/six", None), "subnets/a/ipv6_cidr_block", "2001:db8:1:1::/64")
    hand.make(edited(dual, "subnets/a", None))
    there = place().ec2.vpcs[hand[MAIN]]._cidr_block_association_set
    (amazons,) = [item for item in there.values() if item.get("ipv6_pool")]
    own = {"association_id": "vpc-cidr-assoc-0a1b", "cidr_block": POOLED, "ipv6_pool": "IPAM Managed"}
    there["vpc-cidr-assoc-0a1b"] = {**amazons, "cidr_block_state": {"state": "associated"}, **own}
    for spec in (dual, edited(dual, AMAZON, None), edited(dual, AMAZON, False)):
        hand.make(spec)
        assert ipv6_of_pools(hand) == [POOLED]
    (found,) = hand.ec2.describe_vpcs(VpcIds=[hand[MAIN]])["Vpcs"]
    assert [item["Ipv6CidrBlock"] for item in found["Ipv6CidrBlockAssociationSet"]] == [POOLED]
    text = exported(hand.world, ExportScope(stack="demo")).text
    assert f"its IPv6 range {POOLED} is from a pool, which isn't managed and stays as it is" in " ".join(text.split())
    assert "amazon_provided" not in text


def test_addresses_that_a_regional_nat_gateway_was_given(hand: Hand) -> None:
    spec = edited(REGIONAL, "elastic_ips", {"mine": {}})
    hand.make(edited(spec, "nat_gateways", None))
    there = [{"AvailabilityZone": "us-east-1a", "AllocationIds": [hand["elastic_ip.mine"]]}]
    made = {"VpcId": hand[MAIN], "AvailabilityMode": "regional", "AvailabilityZoneAddresses": there}
    hand.ec2.create_nat_gateway(**made, TagSpecifications=[{"ResourceType": "natgateway", "Tags": OWN}])
    hand.wait(150)
    hand.make(spec)
    assert list(gateways(hand).values()) == ["available"]
    told = r"elastic_ip\.mine: eipalloc-\w+ can't be deleted, since nat_gateway\.main keeps it"
    hand.refuses(edited(spec, "elastic_ips", None), told)
    found = exported(hand.world, ExportScope(stack="demo"))
    assert "it was given its zones' addresses, which aren't managed and stay as they are" in " ".join(
        found.text.split()
    )
    hand.world.destroy(spec)
    assert list(gateways(hand).values()) == ["deleted"]


def test_endpoints_to_elsewhere(hand: Hand) -> None:
    """To VPC Lattice, and to another region."""
    vpc = hand.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = hand.ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
    for short, service in (("sqs", "com.amazonaws.eu-west-1.sqs"), ("sns", "")):
        given = {"VpcId": vpc, "SubnetIds": [subnet], "VpcEndpointType": "Interface"}
        answer = hand.ec2.create_vpc_endpoint(**given, ServiceName=f"com.amazonaws.us-east-1.{short}")
        place().ec2.vpc_end_points[answer["VpcEndpoint"]["VpcEndpointId"]].service_name = service
    hand.wait(300)
    found = exported(hand.world, ExportScope(vpcs=(vpc,)))
    assert (found.entries, found.notes) == (3, ())
    assert "service_name: com.amazonaws.eu-west-1.sqs" in found.text
    assert adopted(hand.world, found).is_empty
