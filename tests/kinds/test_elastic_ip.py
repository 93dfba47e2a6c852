"""Elastic IP addresses: lost replies, who holds them, what is left of a run that was cut short."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.harness import demo
from tests.kinds.example import Example
from tests.kinds.hand import delete, edited
from tests.kinds.test_lost_routes import interface_of

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.kinds.hand import Faults, Hand

ADDRESS = "elastic_ip.main"
ADVICE = f"to leave it there, run: alb-reconcile forget spec.yaml {ADDRESS}; else disassociate it first"
GIVEN_BACK = {"delete-elastic-ip": 1}
ALONE: Spec = {"stack": "demo", "region": "us-east-1", "elastic_ips": {"main": {}}}
EXAMPLE = Example(
    spec=ALONE,
    address=ADDRESS,
    uncalled={
        "ec2:DescribeNetworkInterfaces": "one that somebody holds when it is deleted",
        "servicequotas:GetServiceQuota": "more than five",
    },
)


def ours(hand: Hand) -> list[str]:
    filters = [{"Name": "tag:alb-reconcile:stack", "Values": ["demo"]}]
    return [item["AllocationId"] for item in hand.ec2.describe_addresses(Filters=filters)["Addresses"]]


def test_one_that_is_still_in_use_is_released_when_aws_lets_it_go(hand: Hand, faults: Faults) -> None:
    two = edited(ALONE, "elastic_ips/other", {})
    hand.make(two)
    refused = "You do not have permission to access the specified resource."
    faults.refuse("release_address", "AuthFailure", refused, times=2)
    faults.refuse("release_address", "InvalidNetworkInterfaceID.NotFound", times=1)
    hand.repairs(
        delete(ADDRESS), spec=edited(two, "elastic_ips/main", None), calls={"release_address": 4}, allow=GIVEN_BACK
    )


def test_an_address_that_somebody_uses_elsewhere_stays(hand: Hand, stranger: str) -> None:
    spec = {**demo(), "elastic_ips": {"main": {}}}
    hand.make(spec)
    hand.ec2.associate_address(InstanceId=stranger, AllocationId=hand[ADDRESS])
    told = f"{ADDRESS} ({hand[ADDRESS]}) is in use by a resource outside this stack: {interface_of(hand, stranger)}; {ADVICE}"
    hand.refuses_run(demo(), re.escape(told), allow=GIVEN_BACK)
    (failure,) = hand.world.apply(demo(), check=False).failures  # somebody has come between
    assert f": failed: {hand[ADDRESS]} is in use by resources outside this stack: eni-" in failure
    assert hand.world.apply(spec, destroy=True, check=True).blockers == (told.replace("spec.yaml", "SPEC"),)


def test_an_address_that_a_run_left_behind_is_found_without_being_declared(hand: Hand, faults: Faults) -> None:
    """Its entry has gone from the spec, and the run that was to release it was cut short."""
    hand.make({**demo(), "elastic_ips": {"main": {}}})
    faults.refuse("release_address", "InternalFailure", times=9)
    assert hand.world.apply(demo(), allow=GIVEN_BACK).failures
    faults.refusals.clear()
    hand.repairs(delete(ADDRESS), spec=demo(), by="release_address", allow=GIVEN_BACK)
    assert ours(hand) == []
