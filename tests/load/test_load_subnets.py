"""A load balancer leaves subnets while requests come in, also to its nodes there, whose addresses clients still know."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.load.specs import web
from tests.load.stage import ALLOWED

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.harness import Spec
    from tests.load.stage import Stage

FRONT = {"edge-a": "10.0.21.0/24", "edge-b": "10.0.22.0/24", "edge-c": "10.0.23.0/24"}
"""The load balancer's own subnets, of the public route table."""


def fronted(subnets: dict[str, str]) -> Spec:
    """The load balancer in these subnets, the instances in others."""
    spec = web(version="front", stack="subnets")
    spec["subnets"] |= {
        name: {"cidr_block": block, "availability_zone": name[-1], "map_public_ip_on_launch": True}
        for name, block in subnets.items()
    }
    spec["route_tables"]["public"]["subnets"] = ["public-a", "public-b", *subnets]
    spec["load_balancers"]["public"]["subnets"] = list(subnets)
    return spec


def to_other_subnets() -> Spec:
    """In the same zones."""
    return fronted({name: block.replace("10.0.2", "10.0.3") for name, block in FRONT.items()})


def leaves_a_zone() -> Spec:
    """Its subnet there leaves the spec."""
    return fronted({name: block for name, block in FRONT.items() if name != "edge-c"})


@pytest.mark.parametrize("change", [to_other_subnets, leaves_a_zone])
def test_a_load_balancer_leaves_subnets(stage: Stage, change: Callable[[], Spec]) -> None:
    before, after = fronted(FRONT), change()
    with stage.under_load(before, requests=1_000) as proof:
        stage.apply(after, *ALLOWED)
    proof.holds(least=2)
    stage.is_settled(after)
    subnets = stage.account.ec2.describe_subnets()["Subnets"]
    left = {item["CidrBlock"] for item in subnets}.intersection(FRONT.values())
    assert left == {item["cidr_block"] for item in after["subnets"].values()}.intersection(FRONT.values())
