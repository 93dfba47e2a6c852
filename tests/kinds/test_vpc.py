"""VPCs: drift, lost replies, replacement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.kinds._encryption import EXCLUSIONS
from alb_reconcile.model.errors import RefusedError
from tests.harness import Spec, demo
from tests.kinds.example import Example
from tests.kinds.hand import edited, replaced, short
from tests.pools import known_pools

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.kinds.hand import Faults, Hand

MAIN = "vpc.main"
ALONE: Spec = {"stack": "demo", "region": "us-east-1", "vpcs": {"main": {"cidr_block": "10.0.0.0/16"}}}
POOLS = [f"ipam-pool-0a1b2c3d4e5f6071{number}" for number in range(3)]
EXAMPLE = Example(
    spec={
        **ALONE,
        "vpcs": {
            "main": {
                "cidr_block": "10.0.0.0/16",
                "secondary_cidr_blocks": ["10.4.0.0/16"],
                "amazon_provided_ipv6_cidr_block": False,
                "enable_dns_support": True,
                "enable_dns_hostnames": True,
                "enable_network_address_usage_metrics": True,
            },
            "amazon": {
                "cidr_block": "10.1.0.0/16",
                "amazon_provided_ipv6_cidr_block": True,
                "ipv6_cidr_block_network_border_group": "us-east-1",
            },
            "own": {
                "cidr_block": "10.2.0.0/16",
                "ipv6_pool": "ipv6pool-ec2-0123456789abcdef0",
                "ipv6_cidr_block": "2001:db8:1000::/56",
            },
            "guarded": {
                "cidr_block": "10.3.0.0/16",
                "vpc_encryption_control": {
                    "mode": "enforce",
                    **{f"{name}_exclusion": "disable" for name in EXCLUSIONS},
                },
            },
            "pooled": {
                "ipv4_ipam_pool_id": POOLS[0],
                "ipv4_netmask_length": 20,
                "secondary_cidr_blocks": [{"ipv4_ipam_pool_id": POOLS[0], "ipv4_netmask_length": 24}],
                "ipv6_ipam_pool_id": POOLS[1],
                "ipv6_netmask_length": 56,
            },
        },
    },
    address=MAIN,
    changes={
        "secondary_cidr_blocks": ["10.4.0.0/16", "100.64.0.0/16"],
        "amazon_provided_ipv6_cidr_block": True,
        "enable_dns_support": False,
        "enable_dns_hostnames": False,
        "enable_network_address_usage_metrics": False,
    },
    others={
        "vpc.amazon": {"ipv6_cidr_block_network_border_group": "us-east-1-wl1-bos-wlz-1"},
        "vpc.guarded": {
            "vpc_encryption_control.mode": "monitor",
            **{f"vpc_encryption_control.{name}_exclusion": "enable" for name in EXCLUSIONS},
        },
        "vpc.pooled": {"ipv6_ipam_pool_id": POOLS[2], "ipv6_netmask_length": 52},
        "vpc.own": {"ipv6_pool": "ipv6pool-ec2-0fedcba9876543210", "ipv6_cidr_block": "2001:db8:2000::/56"},
    },
    said=frozenset({"ipv4_netmask_length", "ipv6_netmask_length"}),
    prepare=lambda: known_pools(POOLS, ("10.96.0.0/12", "2001:db8::/40", "2001:db8:ff00::/40")),
    uncalled={
        "ec2:CreateVpcEncryptionControl": "a VPC that has none",
        "ec2:DeleteVpcEncryptionControl": "mode: none",
        "ec2:ModifyVpcTenancy": "instance_tenancy: default",
    },
)


def ours(hand: Hand) -> list[str]:
    found = hand.ec2.describe_vpcs(Filters=[{"Name": "tag:alb-reconcile:stack", "Values": ["demo"]}])["Vpcs"]
    return [item["VpcId"] for item in found]


def test_attributes_that_the_spec_leaves_out_are_left_alone(hand: Hand) -> None:
    hand.make(ALONE)
    hand.ec2.modify_vpc_attribute(VpcId=hand[MAIN], EnableDnsHostnames={"Value": True})
    assert hand.world.plan(ALONE).is_empty


def test_another_range_makes_another_vpc_before_the_old_one_goes(hand: Hand) -> None:
    hand.make(ALONE)
    old = hand[MAIN]
    hand.repairs(
        *replaced(MAIN, "cidr_block"),
        spec=edited(ALONE, "vpcs/main/cidr_block", "10.9.0.0/16"),
        by=("create_vpc", "delete_vpc"),
    )
    assert ours(hand) == [hand[MAIN]] != [old]


def test_a_lost_reply_makes_no_second_vpc(hand: Hand, faults: Faults) -> None:
    faults.lose_reply("create_vpc")
    hand.make(ALONE)
    assert ours(hand) == [hand[MAIN]]
    assert faults.made["create_vpc"] == 1


def test_a_lost_reply_makes_no_second_vpc_while_reads_lag(hand: Hand, faults: Faults) -> None:
    hand.world.strict.lag = 20.0
    faults.lose_reply("create_vpc")
    hand.make(ALONE)
    assert len(ours(hand)) == 1


def test_a_lost_request_is_made_again(hand: Hand, faults: Faults) -> None:
    faults.refuse("create_vpc", "InternalError")
    faults.refusals["create_vpc"][0][0].ambiguous = True
    hand.make(ALONE)
    assert ours(hand) == [hand[MAIN]]


def test_a_quota_stops_everything_in_the_vpc_and_names_the_cause(hand: Hand, faults: Faults) -> None:
    faults.refuse("create_vpc", "VpcLimitExceeded")
    spec = demo()
    spec["target_groups"] = demo()["target_groups"]
    spec["vpcs"]["second"] = {"cidr_block": "10.8.0.0/16"}
    for section in ("subnets", "internet_gateways", "route_tables", "security_groups", "target_groups"):
        for entry in spec[section].values():
            entry["vpc"] = "main"
    result = hand.world.apply(spec)
    by_how = {how: [item for item in result.outcomes if item.how == how] for how in ("done", "failed", "skipped")}
    assert [str(item.step.address) for item in by_how["failed"]] == [MAIN]
    assert {str(item.step.address) for item in by_how["done"]} == {"vpc.second"}
    assert all(item.cause is by_how["failed"][0].step for item in by_how["skipped"])
    hand.make(spec)


def test_new_ids_may_be_unknown_for_a_while(hand: Hand) -> None:
    hand.world.strict.reference_lag = 20.0
    hand.make(edited(ALONE, "vpcs/main/enable_dns_hostnames", True))


def test_a_lingering_dependency_is_waited_out(hand: Hand, faults: Faults) -> None:
    hand.make(ALONE)
    faults.refuse("delete_vpc", "DependencyViolation", times=2)
    hand.world.destroy(ALONE)
    assert ours(hand) == []


@pytest.mark.parametrize("loses_reply", [False, True])
def test_one_that_is_being_deleted_is_no_more(hand: Hand, faults: Faults, *, loses_reply: bool) -> None:
    """EC2 shows it for a while, with the state `deleting`."""
    hand.make(ALONE)
    (shown,) = hand.ec2.describe_vpcs(VpcIds=[hand[MAIN]])["Vpcs"]
    hand.ec2.delete_vpc(VpcId=hand[MAIN])
    real = hand.world._call

    def call(service: str, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        answer = real(service, operation, params)
        if operation == "describe_vpcs":
            answer["Vpcs"].insert(0, {**shown, "State": "deleting"})
        return answer

    hand.world._call = call  # type: ignore[method-assign]
    assert hand.world.plan(ALONE, destroy=True).is_empty
    if loses_reply:
        faults.lose_reply("create_vpc")
    hand.make(ALONE)
    assert hand[MAIN] != shown["VpcId"]
    assert ours(hand) == [hand[MAIN]]


def test_protection_holds_against_destroy(hand: Hand) -> None:
    spec = edited(ALONE, "vpcs/main/prevent_destroy", True)
    hand.make(spec)
    with pytest.raises(RefusedError, match=r"vpc\.main .* is protected"):
        hand.world.plan(spec, destroy=True)
    hand.make(edited(ALONE, "vpcs/main/prevent_destroy", False))
    hand.world.destroy(ALONE)


def test_two_vpcs_at_one_address_become_the_one_that_is_used(hand: Hand) -> None:
    hand.make(demo())
    tags = hand.ec2.describe_vpcs(VpcIds=[hand[MAIN]])["Vpcs"][0]["Tags"]
    specification = [{"ResourceType": "vpc", "Tags": tags}]
    double = hand.ec2.create_vpc(CidrBlock="10.0.0.0/16", TagSpecifications=specification)["Vpc"]["VpcId"]
    hand.ec2.modify_vpc_attribute(VpcId=double, EnableDnsHostnames={"Value": True})
    plan = hand.world.plan(demo())
    assert [(step.action, step.id) for step in plan.steps] == [("delete", double)]
    hand.make(demo())
    assert short(hand.world.plan(demo())) == []


def test_what_its_attributes_take_holds_up_nothing_that_only_names_it(hand: Hand, faults: Faults) -> None:
    faults.refuse("modify_vpc_attribute", "UnauthorizedOperation")
    result = hand.world.apply(demo())
    assert [(str(item.step.address), item.how) for item in result.outcomes if item.how != "done"] == [(MAIN, "failed")]
    assert "create_listener" in result.writes
    spec = demo()
    hand.make(spec)
    assert hand.world.plan(spec).is_empty
