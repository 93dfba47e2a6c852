"""What AWS takes in one VPC only, where one of two is named by its id: refused before anything is changed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.model.errors import RefusedError
from tests.harness import Spec, by_hand, demo

if TYPE_CHECKING:
    from tests.kinds.hand import Hand


@pytest.fixture
def other() -> str:
    """Somebody else's VPC."""
    return str(by_hand("ec2").create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"])


def in_other_target_group(vpc: str) -> Spec:
    spec = demo()
    spec["target_groups"]["web"]["vpc"] = vpc
    return spec


def in_other_route_table(vpc: str) -> Spec:
    spec = demo()
    spec["route_tables"]["public"] |= {"vpc": vpc, "routes": []}
    return spec


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (in_other_target_group, r"target_groups\.web\.vpc: is {vpc}, but load_balancer\.public is in {own}; both must be in one VPC"),
        (in_other_target_group, r"target_groups\.web\.vpc: is {vpc}, but instance\.web-1 is in {own}; both must be in one VPC"),
        (in_other_route_table, r"route_tables\.public\.subnets: one of them is in {own}, but this is in {vpc}; choose subnets of the same VPC"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_made", [False, True])
def test_it_is_refused(hand: Hand, other: str, changed: object, told: str, is_made: bool) -> None:
    """A new stack, and one that is there."""
    assert callable(changed)
    spec, own = changed(other), r"vpc\.main"
    if is_made:
        hand.make(demo())
        own = rf"(?:vpc\.main|{hand['vpc.main']})"
    before = hand.world.strict.inventory()
    with pytest.raises(RefusedError) as caught:
        hand.world.apply(spec, allow={"replace": 99, "delete": 99})
    assert re.search(rf"(?m)^spec\.yaml:\d+:\d+: {told.format(vpc=other, own=own)}$", str(caught.value)), caught.value
    assert hand.world.strict.inventory() == before


def test_the_same_vpc_by_its_id_and_by_its_name_is_one(hand: Hand) -> None:
    hand.make(demo())
    for spec in (in_other_target_group(hand["vpc.main"]), in_other_route_table(hand["vpc.main"])):
        spec["route_tables"]["public"]["routes"] = demo()["route_tables"]["public"]["routes"]
        assert hand.world.plan(spec).is_empty
