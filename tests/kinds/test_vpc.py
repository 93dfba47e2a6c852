"""VPCs: drift, lost replies, replacement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.harness import Spec, demo
from tests.kinds.example import STACK, Example

if TYPE_CHECKING:
    from tests.kinds.hand import Faults, Hand

MAIN = "vpc.main"
ALONE: Spec = {**STACK, "vpcs": {"main": {"cidr_block": "10.0.0.0/16"}}}
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
            "amazon": {"cidr_block": "10.1.0.0/16", "amazon_provided_ipv6_cidr_block": True},
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
    uncalled={"ec2:ModifyVpcTenancy": "instance_tenancy: default"},
)


def ours(hand: Hand) -> list[str]:
    found = hand.ec2.describe_vpcs(Filters=[{"Name": "tag:alb-reconcile:stack", "Values": ["demo"]}])["Vpcs"]
    return [item["VpcId"] for item in found]


@pytest.mark.parametrize("loses_reply", [False, True])
def test_one_that_is_being_deleted_is_no_more(hand: Hand, faults: Faults, *, loses_reply: bool) -> None:
    """EC2 shows it for a while, with the state `deleting`."""
    hand.make(ALONE)
    (shown,) = hand.ec2.describe_vpcs(VpcIds=[hand[MAIN]])["Vpcs"]
    hand.ec2.delete_vpc(VpcId=hand[MAIN])
    hand.answers("describe_vpcs", lambda answer: answer["Vpcs"].insert(0, {**shown, "State": "deleting"}))
    assert hand.world.plan(ALONE, destroy=True).is_empty
    if loses_reply:
        faults.lose_reply("create_vpc")
    hand.make(ALONE)
    assert hand[MAIN] != shown["VpcId"]
    assert ours(hand) == [hand[MAIN]]


def test_what_its_attributes_take_holds_up_nothing_that_only_names_it(hand: Hand, faults: Faults) -> None:
    faults.refuse("modify_vpc_attribute", "UnauthorizedOperation")
    result = hand.world.apply(demo())
    assert [(str(item.step.address), item.how) for item in result.outcomes if item.how != "done"] == [(MAIN, "failed")]
    assert "create_listener" in result.writes
    hand.make(demo())
