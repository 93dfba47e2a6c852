"""Kinds of which most stacks have none, in somebody else's network: found again when nothing but their tags tells of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.model.errors import AwsError
from alb_reconcile.model.text import camel
from tests.harness import by_hand
from tests.kinds.example import STACK
from tests.kinds.hand import LINUX_1, Faults, Hand, delete, short
from tests.properties.watched import watched

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.harness import Spec

GROUP = {"description": "web", "ingress": [{"protocol": "tcp", "port": 80, "cidr_block": "0.0.0.0/0"}]}


def network() -> dict[str, Any]:
    """Somebody else's VPC with two subnets. Returns the ids."""
    ec2 = by_hand("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    zones = {"a": "10.9.1.0/24", "b": "10.9.2.0/24"}
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=cidr, AvailabilityZone=f"us-east-1{zone}")["Subnet"]["SubnetId"]
        for zone, cidr in zones.items()
    ]
    return {"vpc": vpc, "subnets": subnets}


RARE: dict[str, tuple[str, Callable[[dict[str, Any]], dict[str, Any]], str]] = {
    "vpc_endpoint": (
        "vpc_endpoints",
        lambda there: {"vpc": there["vpc"], "service_name": "s3"},
        "describe_vpc_endpoints",
    ),
    "egress_only_internet_gateway": (
        "egress_only_internet_gateways",
        lambda there: {"vpc": there["vpc"]},
        "describe_egress_only_internet_gateways",
    ),
    "nat_gateway": (
        "nat_gateways",
        lambda there: {"subnet": there["subnets"][0], "connectivity_type": "private"},
        "describe_nat_gateways",
    ),
    "elastic_ip": ("elastic_ips", lambda there: {}, "describe_addresses"),
}
BESIDE: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "a group": lambda there: {"security_groups": {"web": {**GROUP, "vpc": there["vpc"]}}},
    "two groups": lambda there: {"security_groups": {name: {**GROUP, "vpc": there["vpc"]} for name in ("web", "db")}},
    "a load balancer": lambda there: {"load_balancers": {"inner": {"scheme": "internal", "subnets": there["subnets"]}}},
    "an instance": lambda there: {
        "instances": {"web": {"image_id": LINUX_1, "instance_type": "t3.micro", "subnets": there["subnets"][:1]}}
    },
}
ALLOW = {"delete-elastic-ip": 1}
PAIRS = [*zip(RARE, BESIDE, strict=True), *zip(RARE, reversed(BESIDE), strict=True)]


def specs(kind: str, beside: str) -> tuple[Spec, Spec]:
    """A stack without and with a resource of a kind."""
    there = network()
    section, entry, _ = RARE[kind]
    without: Spec = {**STACK, **BESIDE[beside](there)}
    return without, {**without, section: {"main": entry(there)}}


@pytest.mark.parametrize(("kind", "beside"), PAIRS)
def test_one_that_the_spec_no_longer_has_is_found(hand: Hand, kind: str, beside: str) -> None:
    without, having = specs(kind, beside)
    before = hand.world.strict.inventory()
    hand.make(having)
    assert short(hand.world.plan(without, allow=ALLOW)) == [delete(f"{kind}.main")]
    hand.make(without, allow=ALLOW)
    hand.make(having)
    hand.world.destroy(without)
    assert hand.world.strict.inventory() == before


@pytest.mark.parametrize(("kind", "beside"), PAIRS)
def test_one_that_a_killed_run_has_left_is_found_by_the_spec_before(kind: str, beside: str) -> None:
    """Nothing else was made by that run, so everything else says that the spec before it is applied."""
    with watched() as world:
        without, having = specs(kind, beside)
        world.converge(without)
        good = sorted(item.partition("-")[0] for item in world.strict.inventory())
        with world.moments() as moments:
            world.converge(having)
        for moment in moments:
            world.go_back(moment)
            made = {item.partition("-")[0] for item in world.strict.inventory()} - set(good)
            plan = world.plan(without, allow=ALLOW)
            assert ([str(step.address) for step in plan.steps] == [f"{kind}.main"]) is bool(made), moment.words


@pytest.mark.parametrize("destroys", [False, True])
@pytest.mark.parametrize("kind", RARE)
def test_one_that_may_not_be_read_is_told_before_anything_changes(
    hand: Hand, faults: Faults, kind: str, destroys: bool
) -> None:
    without, spec = specs(kind, "a group")
    hand.make(spec)
    before = hand.world.strict.inventory()
    operation = RARE[kind][2]
    faults.refuse(operation, "UnauthorizedOperation", times=9)
    with pytest.raises(AwsError, match=f"allow the IAM action test:{camel(operation)} to this identity"):
        hand.world.apply(without, destroy=destroys, allow={"delete": 9})
    assert hand.world.strict.inventory() == before
