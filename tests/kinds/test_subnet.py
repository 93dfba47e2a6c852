"""Subnets: drift, ranges, replacement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.model import tags
from alb_reconcile.model.errors import RefusedError
from tests.adoption.adopting import Keeper
from tests.harness import Spec, demo
from tests.kinds.example import Example
from tests.kinds.hand import edited, order, replaced, short
from tests.kinds.test_nat_gateway import ZONAL
from tests.pools import known_pools

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.kinds.hand import Faults, Hand

A = "subnet.public-a"
ALONE: Spec = {
    "stack": "demo",
    "region": "us-east-1",
    "vpcs": {"main": {"cidr_block": "10.0.0.0/16"}},
    "subnets": {"public-a": {"cidr_block": "10.0.1.0/24", "availability_zone": "a", "map_public_ip_on_launch": True}},
}
POOLS = [f"ipam-pool-0a1b2c3d4e5f6072{number}" for number in range(4)]
RANGES = ("10.0.128.0/20", "2001:db8:0:40::/58", "2001:db8:0:80::/58", "2001:db8::/40")
# its VPC can't be deleted behind the tool's back while the subnet is in it: AWS refuses
EXAMPLE = Example(
    spec={
        **ALONE,
        "vpcs": {"main": {"cidr_block": "10.0.0.0/16", "ipv6_ipam_pool_id": POOLS[3], "ipv6_netmask_length": 56}},
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
            "pooled": {
                "ipv4_ipam_pool_id": POOLS[0],
                "ipv4_netmask_length": 24,
                "availability_zone": "b",
                "ipv6_ipam_pool_id": POOLS[1],
                "ipv6_netmask_length": 64,
            },
            "chosen": {"ipv4_netmask_length": 24, "availability_zone": "b"},
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
    others={"subnet.pooled": {"ipv6_ipam_pool_id": POOLS[2], "ipv6_netmask_length": 60}},
    bounded=frozenset({"ipv4_netmask_length", "ipv6_netmask_length"}),
    prepare=lambda: known_pools(POOLS, RANGES, vpc_name="-main"),
)


def test_what_the_spec_leaves_out_is_left_alone(hand: Hand) -> None:
    spec = edited(ALONE, "subnets/public-a/map_public_ip_on_launch", None)
    hand.make(spec)
    hand.ec2.modify_subnet_attribute(SubnetId=hand[A], MapPublicIpOnLaunch={"Value": True})
    assert hand.world.plan(spec).is_empty


@pytest.mark.parametrize(
    ("path", "value", "changed", "first"),
    [
        ("subnets/public-a/cidr_block", "10.0.9.0/24", "cidr_block", "create_subnet"),
        ("subnets/public-a/cidr_block", "10.0.0.0/22", "cidr_block", "delete_subnet"),
        ("subnets/public-a/availability_zone", "b", "availability_zone", "delete_subnet"),
    ],
)
def test_a_replacement_comes_first_unless_the_ranges_overlap(
    hand: Hand, path: str, value: Any, changed: str, first: str
) -> None:
    hand.make(ALONE)
    hand.repairs(
        *replaced(A, changed),
        spec=edited(ALONE, path, value),
        by=("create_subnet", "modify_subnet_attribute", "delete_subnet"),
    )
    assert order(hand.world, "create_subnet", "delete_subnet")[0] == first


@pytest.mark.parametrize(("others", "lag"), [("remove", 0.0), ("keep", 0.0), ("keep", 5.0)])
def test_a_subnet_in_use_moves_to_a_free_range_with_everything_in_it(hand: Hand, others: str, lag: float) -> None:
    """Found: where AWS still shows the old one at the end, a table that keeps others' subnets was said to use it."""
    before = edited(demo(), "route_tables/public/others", others)
    hand.make(before)
    hand.world.strict.lag = lag
    spec = edited(before, "subnets/public-a/cidr_block", "10.0.9.0/24")
    hand.make(spec)
    assert short(hand.world.plan(spec)) == []


@pytest.mark.parametrize(("path", "value"), [("cidr_block", "10.0.1.0/25"), ("availability_zone", "c")])
def test_a_subnet_in_use_that_keeps_its_addresses_is_refused_and_moves_by_way_of_another_range(
    hand: Hand, path: str, value: str
) -> None:
    """Found: it was advised to make the change alone first, which was refused again."""
    hand.make(demo())
    spec = edited(demo(), f"subnets/public-a/{path}", value)
    told = (
        rf"^spec\.yaml:\d+:\d+: subnets\.public-a\.cidr_block: the new subnet\.public-a can't have 10\.0\.1\.0/2[45] as long as "
        rf"subnet\.public-a \({hand[A]}\) has it, .*; give it another range$"
    )
    with pytest.raises(RefusedError, match=told):
        hand.world.plan(spec)
    hand.make(edited(spec, "subnets/public-a/cidr_block", "10.0.9.0/24"))
    hand.make(spec)


def test_two_unused_subnets_swap_their_ranges(hand: Hand) -> None:
    spec = edited(ALONE, "subnets/public-b", {"cidr_block": "10.0.2.0/24", "availability_zone": "a"})
    hand.make(spec)
    swapped = edited(
        edited(spec, "subnets/public-a/cidr_block", "10.0.2.0/24"),
        "subnets/public-b/cidr_block",
        "10.0.1.0/24",
    )
    hand.make(swapped, allow={"replace": 2})
    found = hand.ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [hand["vpc.main"]]}])["Subnets"]
    assert {item["SubnetId"]: item["CidrBlock"] for item in found} == {
        hand[A]: "10.0.2.0/24",
        hand["subnet.public-b"]: "10.0.1.0/24",
    }


def test_a_range_that_a_stranger_holds_is_refused(hand: Hand) -> None:
    hand.make(edited(ALONE, "subnets", None))
    found = hand.ec2.create_subnet(VpcId=hand["vpc.main"], CidrBlock="10.0.1.0/25")["Subnet"]["SubnetId"]
    before = hand.world.strict.inventory()
    result = hand.world.apply(ALONE)
    (failure,) = [item for item in result.outcomes if item.how == "failed"]
    assert isinstance(failure.error, RefusedError)
    assert f"10.0.1.0/24 overlaps {found} in {hand['vpc.main']}, outside this stack; choose a free range" in str(
        failure.error
    )
    assert hand.world.strict.inventory() == before


def test_the_same_range_of_a_stranger_is_never_adopted(hand: Hand) -> None:
    hand.make(edited(ALONE, "subnets", None))
    found = hand.ec2.create_subnet(VpcId=hand["vpc.main"], CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
    with pytest.raises(RefusedError, match=f"{found} has 10.0.1.0/24 .*: alb-reconcile adopt spec.yaml takes it over"):
        hand.world.apply(ALONE)
    hand.changed_tags("ec2", found, {tags.STACK: "other"})
    assert [item.how for item in hand.world.apply(ALONE).outcomes] == ["failed"]


def test_a_subnet_that_lost_its_tags_is_to_be_adopted_first(hand: Hand) -> None:
    """Found: a plan asked for another Elastic IP address, for a second NAT gateway in its place."""
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


def test_a_lost_reply_is_no_stranger(hand: Hand, faults: Faults) -> None:
    real = faults._real

    def twice(service: str, operation: str, params: Any) -> Any:
        if operation == "create_subnet":
            real(service, operation, params)
        return real(service, operation, params)

    faults._real = twice
    hand.make(ALONE)
    found = hand.ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [hand["vpc.main"]]}])["Subnets"]
    assert [item["SubnetId"] for item in found] == [hand[A]]


def test_a_zone_that_the_region_lacks_is_refused_with_those_it_has(hand: Hand) -> None:
    with pytest.raises(RefusedError, match=r"no zone us-east-1z here; choose one of us-east-1a"):
        hand.world.plan(edited(ALONE, "subnets/public-a/availability_zone", "z"))


def test_a_subnet_that_is_there_may_be_in_a_zone_that_has_closed(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    hand.make(ALONE)
    ask = hand.world._call

    def close(service: str, operation: str, params: Any) -> Any:
        answer = ask(service, operation, params)
        for zone in answer.get("AvailabilityZones", ()) if operation == "describe_availability_zones" else ():
            zone["State"] = "unavailable" if zone["ZoneName"].endswith("a") else "available"
        return answer

    monkeypatch.setattr(hand.world, "_call", close)
    more = {"cidr_block": "10.0.3.0/24", "availability_zone": "b"}
    assert hand.world.plan(edited(ALONE, "subnets/public-c", more)).count()["create"] == 1
    with pytest.raises(RefusedError, match=r"no zone us-east-1a here; choose one of us-east-1b"):
        hand.world.plan(edited(ALONE, "subnets/public-c", {**more, "availability_zone": "a"}))


def test_new_ids_may_be_unknown_for_a_while(hand: Hand) -> None:
    hand.world.strict.reference_lag = 20.0
    hand.make(ALONE)


def test_a_lingering_interface_is_waited_out(hand: Hand, faults: Faults) -> None:
    hand.make(ALONE)
    faults.refuse("delete_subnet", "DependencyViolation", times=3)
    hand.world.destroy(ALONE)
    assert faults.made["delete_subnet"] == 4


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
    real, shown = faults._real, list[str]()

    def stale(service: str, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        answer = real(service, operation, params)
        named = [value for item in params.get("Filters", ()) for value in item["Values"]]
        if operation == "describe_network_interfaces" and own["SubnetId"] in named and len(shown) < 2:
            shown.append(operation)
            answer["NetworkInterfaces"].append(own)
        return answer

    faults._real = stale
    hand.world.destroy(demo())
    assert shown
