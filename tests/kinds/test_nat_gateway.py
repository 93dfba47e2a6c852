"""NAT gateways: minutes, failures, replacements without a gap, and what is left in the end."""

from __future__ import annotations

import copy
import re
from functools import cache
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.harness import REGION, SPECS
from tests.kinds.example import Example, network
from tests.kinds.hand import create, edited, order, replaced, short, update

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.kinds.hand import Faults, Hand

NAT = "nat_gateway.main"
REGIONAL: Spec = {
    **network(),
    "internet_gateways": {"main": {}},
    "nat_gateways": {"main": {"availability_mode": "regional"}},
}
DEFAULT = {"destination_cidr_block": "0.0.0.0/0"}
EXAMPLE = Example(
    spec={
        **REGIONAL,
        "subnets": {"public": {"cidr_block": "10.0.1.0/24", "availability_zone": "a"}},
        "route_tables": {"public": {"subnets": ["public"], "routes": [{**DEFAULT, "internet_gateway": "main"}]}},
        "elastic_ips": {name: {} for name in ("a", "b", "c")},
        "nat_gateways": {
            **REGIONAL["nat_gateways"],
            "zonal": {"subnet": "public", "elastic_ip": "a", "secondary_elastic_ips": ["b"]},
            "inner": {"subnet": "public", "connectivity_type": "private", "private_ip_address": "10.0.1.70"},
        },
    },
    address=NAT,
    others={"nat_gateway.zonal": {"secondary_elastic_ips": ["c"]}},
)
ZONAL: Spec = {
    **network(),
    "subnets": {
        "public-a": {"cidr_block": "10.0.1.0/24", "availability_zone": "a"},
        "public-b": {"cidr_block": "10.0.2.0/24", "availability_zone": "b"},
        "private": {"cidr_block": "10.0.3.0/24", "availability_zone": "a"},
    },
    "internet_gateways": {"main": {}},
    "elastic_ips": {"one": {}, "two": {}},
    "nat_gateways": {"main": {"subnet": "public-a", "elastic_ip": "one"}},
    "route_tables": {
        "public": {"subnets": ["public-a", "public-b"], "routes": [{**DEFAULT, "internet_gateway": "main"}]},
        "private": {"subnets": ["private"], "routes": [{**DEFAULT, "nat_gateway": "main"}]},
    },
}
PRIVATE = "route_table.private"


@cache
def _private_stack() -> Spec:
    text = (SPECS / "private.yaml").read_text()
    for variable, value in (("${REGION:-us-east-1}", REGION), ("${ZONE_1:-a}", "a"), ("${ZONE_2:-b}", "b")):
        text = text.replace(variable, value)
    spec: Spec = yaml.safe_load(text)
    del spec["instances"]["web"]["user_data_file"]
    spec["instances"]["web"]["user_data"] = "#!/bin/sh\nexec web-api\n"
    return spec


def private_stack() -> Spec:
    """specs/private.yaml as plain data."""
    return copy.deepcopy(_private_stack())


def gateways(hand: Hand) -> dict[str, str]:
    """The states of all NAT gateways, by id."""
    return {item["NatGatewayId"]: item["State"] for item in hand.ec2.describe_nat_gateways()["NatGateways"]}


def test_instances_wait_for_it_and_the_private_stack_leaves_nothing(hand: Hand) -> None:
    before = hand.world.strict.inventory()
    hand.make(private_stack())
    made = order(hand.world, "create_route_table", "create_nat_gateway", "create_route", "run_instances")
    # the tables themselves are made while AWS makes the gateways; user data runs once, when there is a way out
    assert sorted(made[:-4]) == ["create_nat_gateway"] * 2 + ["create_route"] + ["create_route_table"] * 3
    assert made[-4:] == ["create_route", "create_route", "run_instances", "run_instances"]
    hand.world.destroy(private_stack())
    assert hand.world.strict.inventory() == before
    went = order(hand.world, "delete_route_table", "delete_nat_gateway", "release_address", "detach_internet_gateway")
    assert went.index("delete_nat_gateway") > went.index("delete_route_table")
    assert went.index("release_address") > went.index("delete_nat_gateway")
    assert went[-1] == "detach_internet_gateway", "addresses are mapped there until then"
    assert went.count("release_address") == 2, "it isn't tried before the NAT gateway is gone"


def test_it_is_replaced_without_a_gap_and_so_with_another_address(hand: Hand) -> None:
    """In another subnet: the route moves before the old one goes."""
    hand.make(ZONAL)
    told = (
        r"^spec\.yaml:\d+:\d+: nat_gateways\.main\.elastic_ip: the new nat_gateway\.main can't have elastic_ip\.one as long as "
        r"nat_gateway\.main \(nat-\w+\) has it, .*; give it another Elastic IP address$"
    )
    hand.refuses(edited(ZONAL, "nat_gateways/main/subnet", "public-b"), told)
    spec = edited(ZONAL, "nat_gateways", {"other": {"subnet": "public-b", "elastic_ip": "one"}})
    told = r"nat_gateways\.other\.elastic_ip: the new nat_gateway\.other can't have elastic_ip\.one as long as nat_gateway\.main \("
    hand.refuses(edited(spec, "route_tables/private/routes", [{**DEFAULT, "nat_gateway": "other"}]), told)
    spec = edited(ZONAL, "nat_gateways/main", {"subnet": "public-b", "elastic_ip": "two"})
    assert short(hand.world.plan(spec)) == sorted([*replaced(NAT, "elastic_ip", "subnet"), update(PRIVATE, "routes")])
    hand.make(spec)
    moved = ["create_nat_gateway", "replace_route", "delete_nat_gateway"]
    assert order(hand.world, *moved) == moved


def test_one_that_somebody_deleted_is_made_again_and_routed_to(hand: Hand) -> None:
    hand.make(ZONAL)
    hand.ec2.delete_nat_gateway(NatGatewayId=hand[NAT])
    hand.wait(90)
    gone = hand[NAT]
    assert gateways(hand) == {gone: "deleted"}, "AWS shows it for an hour"
    hand.repairs(create(NAT), update(PRIVATE, "routes"), by=("create_nat_gateway", "replace_route"))
    assert gateways(hand) == {gone: "deleted", hand[NAT]: "available"}
    hand.wait(3600)
    assert hand.world.plan(ZONAL).is_empty


def test_one_that_somebody_is_deleting_still_holds_its_address(hand: Hand) -> None:
    """Another one would fail minutes later. A destroy waits for it, too."""
    before = hand.world.strict.inventory()
    hand.make(ZONAL)
    hand.ec2.delete_nat_gateway(NatGatewayId=hand[NAT])
    lines = (create(NAT), update(PRIVATE, "routes"))
    hand.repairs(*lines, calls={"create_nat_gateway": 1, "replace_route": 1})
    hand.ec2.delete_nat_gateway(NatGatewayId=hand[NAT])
    assert "delete_nat_gateway" not in hand.world.destroy(ZONAL).writes
    assert hand.world.strict.inventory() == before


def test_why_aws_could_not_make_it_is_told_and_the_next_run_makes_another(hand: Hand, faults: Faults) -> None:
    """Somebody detaches the internet gateway meanwhile."""
    spec = edited(ZONAL, "nat_gateways", {})
    spec["route_tables"]["private"]["routes"] = []
    hand.make(spec)
    vpc, gateway = hand["vpc.main"], hand["internet_gateway.main"]
    detach = hand.ec2.detach_internet_gateway
    faults.before("create_nat_gateway", lambda _: detach(InternetGatewayId=gateway, VpcId=vpc))
    result = hand.world.apply(ZONAL)
    text = f"Network {vpc} has no Internet gateway attached (Gateway.NotAttached)"
    assert any("AWS couldn't make the NAT gateway nat-" in line and text in line for line in result.failures)
    assert any(line.startswith("update:route_table.private") and "skipped" in line for line in result.failures)
    hand.make(ZONAL)
    assert sorted(gateways(hand).values()) == ["available", "failed"]


@pytest.mark.parametrize("is_own", [True, False], ids=["the stack's", "another one"])
def test_an_address_at_an_instance_is_told_beforehand(hand: Hand, *, is_own: bool) -> None:
    spec = edited(ZONAL, "nat_gateways", {})
    spec["route_tables"]["private"]["routes"] = []
    hand.make(spec)
    instance = hand.stranger_in(hand["subnet.public-a"])
    address = hand["elastic_ip.one"] if is_own else hand.ec2.allocate_address(Domain="vpc")["AllocationId"]
    hand.ec2.associate_address(InstanceId=instance, AllocationId=address)
    told = rf"main\.elastic_ip: {address} is associated with {instance}, which isn't this stack's; disassociate it there first"
    hand.refuses_run(ZONAL if is_own else edited(ZONAL, "nat_gateways/main/elastic_ip", address), told)


def test_a_regional_one_whose_zones_aws_chooses(hand: Hand) -> None:
    spec = edited(REGIONAL, "subnets", {"private": {"cidr_block": "10.0.3.0/24", "availability_zone": "a"}})
    spec["route_tables"] = {"private": {"subnets": ["private"], "routes": [{**DEFAULT, "nat_gateway": "main"}]}}
    before = hand.world.strict.inventory()
    hand.make(spec)
    hand.world.destroy(spec)
    assert hand.world.strict.inventory() == before


def with_instance(gateways: Spec, *elastic_ip: str) -> Spec:
    """ZONAL with other gateways, addresses for all, and an instance that may have one."""
    entry = {"image_id": "ami-03cf127a", "instance_type": "t3.micro", "subnets": ["public-a"]}
    spec = {**ZONAL, "nat_gateways": gateways, "elastic_ips": {name: {} for name in ("one", "two", "three", "four")}}
    return edited(spec, "instances/web", entry | dict(zip(("elastic_ip",), elastic_ip, strict=False)))


MAIN, MORE = {"main": {"subnet": "public-a", "elastic_ip": "one"}}, {"secondary_elastic_ips": ["two"]}
SECOND = {"main": {**MAIN["main"], **MORE}}
OTHER = {"subnet": "public-b", "elastic_ip": "three"}
INSTANCES = "stays with instance.web-1, whose elastic_ip the spec doesn't manage; give it another one there, or disassociate it by hand"
GATEWAYS = (
    "stays with nat_gateway.main, whose secondary_elastic_ips the spec doesn't manage; declare them there without it, or with "
    "another one in its place"
)
KEPT: list[tuple[Spec, Spec, str, Spec]] = [
    (with_instance(SECOND), with_instance(MAIN, "two"), f"instances.web.elastic_ip: elastic_ip.two {GATEWAYS}", {}),
    *(
        (with_instance(MAIN, "two"), with_instance({**MAIN, name: entry}), f"nat_gateways.{name}.{field}: elastic_ip.two {INSTANCES}", then)
        for name, field, entry, then in (
            ("main", "elastic_ip", {**MAIN["main"], "elastic_ip": "two"}, {"instances/web/elastic_ip": "four"}),
            ("other", "secondary_elastic_ips", {**OTHER, **MORE}, {"instances": {}}),
        )
    ),
]  # fmt: skip
"""What there is, what is to be, what is told, and what makes it possible: by default, that the gateway is to have no others."""


@pytest.mark.parametrize(("before", "spec", "told", "then"), KEPT)
def test_an_address_that_another_one_keeps_since_the_spec_doesnt_manage_its_addresses(
    hand: Hand, before: Spec, spec: Spec, told: str, then: Spec
) -> None:
    """AWS refused it half-way."""
    hand.make(before)
    hand.refuses(spec, re.escape(told))
    for path, value in (then or {"nat_gateways/main/secondary_elastic_ips": []}).items():
        spec = edited(spec, path, value)
    hand.make(spec)


def test_a_gateway_gets_no_address_of_an_instance_that_is_replaced_or_terminated(hand: Hand) -> None:
    """The old instance has it until it goes, after its successor has come."""
    now = {"main": {"subnet": "public-a", "elastic_ip": "one"}}
    wanted = {**now, "other": {"subnet": "public-b", "elastic_ip": "two"}}
    hand.make(with_instance(now, "two"))
    for elsewhere in (with_instance(wanted), with_instance(wanted, "three")):
        elsewhere["instances"]["web"]["instance_type"] = "t3.small"
        told = r"elastic_ip: elastic_ip\.two stays with instance\.web-1 until that is replaced; do the one and the other in two applies"
        hand.refuses(elsewhere, told)
    both = edited(with_instance(wanted, "two"), "nat_gateways/other/elastic_ip", hand["elastic_ip.two"])
    hand.refuses(
        both, r"elastic_ip: elastic_ip\.two stays with instance\.web-1, which is to have it as well; choose another"
    )
    hand.ec2.terminate_instances(InstanceIds=[hand["instance.web-1"]])
    gone = edited(with_instance(wanted), "instances", {})
    hand.refuses(gone, r"is still associated with i-\w+, which is being terminated; apply again when it has gone")
    hand.world.clock.advance(300)
    hand.make(gone)
