"""Subnets: drift, ranges, replacement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.model import tags
from alb_reconcile.model.errors import RefusedError
from tests.adoption.adopting import Keeper
from tests.harness import Spec, demo
from tests.kinds.example import Example, network
from tests.kinds.hand import edited
from tests.kinds.test_nat_gateway import ZONAL

if TYPE_CHECKING:
    from tests.kinds.hand import Faults, Hand

A = "subnet.public-a"
ALONE: Spec = {
    **network(),
    "subnets": {"public-a": {"cidr_block": "10.0.1.0/24", "availability_zone": "a", "map_public_ip_on_launch": True}},
}
# its VPC can't be deleted behind the tool's back while the subnet is in it: AWS refuses
EXAMPLE = Example(
    spec={
        **ALONE,
        "vpcs": {"main": {"cidr_block": "10.0.0.0/16", "amazon_provided_ipv6_cidr_block": True}},
        "subnets": {
            "public-a": {
                "cidr_block": "10.0.1.0/24",
                "availability_zone": "a",
                "ipv6_cidr_block": 1,
                "assign_ipv6_address_on_creation": True,
                "map_public_ip_on_launch": True,
                "enable_dns64": False,
                "private_dns_name_options_on_launch": {
                    "hostname_type": "ip-name",
                    "enable_resource_name_dns_a_record": False,
                    "enable_resource_name_dns_aaaa_record": False,
                },
            },
        },
    },
    address=A,
    changes={
        "ipv6_cidr_block": 2,
        "assign_ipv6_address_on_creation": False,
        "map_public_ip_on_launch": False,
        "enable_dns64": True,
        "private_dns_name_options_on_launch.hostname_type": "resource-name",
        "private_dns_name_options_on_launch.enable_resource_name_dns_a_record": True,
        "private_dns_name_options_on_launch.enable_resource_name_dns_aaaa_record": True,
    },
)


@pytest.mark.parametrize(("others", "lag"), [("remove", 0.0), ("keep", 0.0), ("keep", 5.0)])
def test_a_subnet_in_use_moves_to_a_free_range_with_everything_in_it(hand: Hand, others: str, lag: float) -> None:
    before = edited(demo(), "route_tables/public/others", others)
    hand.make(before)
    hand.world.strict.lag = lag
    spec = edited(before, "subnets/public-a/cidr_block", "10.0.9.0/24")
    hand.make(spec)


@pytest.mark.slow
@pytest.mark.parametrize(("path", "value"), [("cidr_block", "10.0.1.0/25"), ("availability_zone", "c")])
def test_a_subnet_in_use_that_keeps_its_addresses_is_refused_and_moves_by_way_of_another_range(
    hand: Hand, path: str, value: str
) -> None:
    hand.make(demo())
    spec = edited(demo(), f"subnets/public-a/{path}", value)
    told = (
        rf"^spec\.yaml:\d+:\d+: subnets\.public-a\.cidr_block: the new subnet\.public-a can't have 10\.0\.1\.0/2[45] as long as "
        rf"subnet\.public-a \({hand[A]}\) has it, .*; give it another range$"
    )
    hand.refuses(spec, told)
    hand.make(edited(spec, "subnets/public-a/cidr_block", "10.0.9.0/24"))
    hand.make(spec)


def test_a_subnet_that_lost_its_tags_is_to_be_adopted_first(hand: Hand) -> None:
    hand.make(ZONAL)
    hand.ec2.delete_tags(Resources=[hand[A]], Tags=[{"Key": tags.STACK}, {"Key": tags.ADDRESS}])
    for look in (hand.world.plan, hand.world.sync):
        with pytest.raises(RefusedError) as refused:
            look(ZONAL)
        assert "alb-reconcile adopt spec.yaml takes it over" in str(refused.value)
        assert "NAT gateway" not in str(refused.value)
    Keeper(hand.world).adopt(ZONAL)
    assert not [step for step in hand.world.plan(ZONAL).steps if step.action != "update"]


def test_what_lost_its_tags_since_it_was_planned_is_to_be_adopted_too(hand: Hand) -> None:
    """A free range would be a second subnet beside the one that serves."""
    hand.make(ALONE)
    group, vpc = hand[A], hand["vpc.main"]
    hand.ec2.delete_tags(Resources=[group], Tags=[{"Key": tags.STACK}, {"Key": tags.ADDRESS}])
    (failure,) = [item for item in hand.world.sync(ALONE).outcomes if item.how == "failed"]
    told = f"{group} has 10.0.1.0/24 in {vpc}, and no stack owns it: alb-reconcile adopt spec.yaml takes it over"
    assert str(failure.error) == told


def test_a_strangers_interface_is_named_instead_of_waited_for(hand: Hand) -> None:
    spec = edited(ALONE, "subnets/public-b", {"cidr_block": "10.0.2.0/24", "availability_zone": "b"})
    hand.make(spec)
    theirs = hand.ec2.create_network_interface(SubnetId=hand["subnet.public-b"])["NetworkInterface"]
    started = hand.world.clock.now()
    result = hand.world.apply(ALONE, check=False)  # it came after the plan was made
    assert len(result.failures) == 1
    assert theirs["NetworkInterfaceId"] in result.failures[0]
    assert hand.world.clock.now() - started < 60


def test_the_interface_of_our_own_instance_that_a_late_read_still_shows_is_ours(hand: Hand, faults: Faults) -> None:
    hand.make(demo())
    interfaces = hand.ec2.describe_network_interfaces()["NetworkInterfaces"]
    instance = hand["instance.web-1"]
    (own,) = [item for item in interfaces if (item.get("Attachment") or {}).get("InstanceId") == instance]
    faults.refuse("delete_subnet", "DependencyViolation", "has dependencies", times=2)
    shown: list[Any] = []

    def stale(answer: Any) -> None:
        if len(shown) < 2 and faults.made["delete_subnet"]:
            shown.append(own)
            answer["NetworkInterfaces"].append(own)

    hand.answers("describe_network_interfaces", stale)
    hand.world.destroy(demo())
    assert shown
