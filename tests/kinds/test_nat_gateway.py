"""NAT gateways: minutes, failures, replacements without a gap, and what is left in the end."""

from __future__ import annotations

import copy
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from moto.core.models import DEFAULT_ACCOUNT_ID

from alb_reconcile.model.errors import RefusedError
from alb_reconcile.sandbox.strict.world import World as Place
from tests.adoption.adopting import by_address, keeper
from tests.harness import REGION, SPECS, by_hand
from tests.kinds.example import Example
from tests.kinds.hand import calls, create, delete, edited, order, replaced, short, update

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.harness import Spec, World
    from tests.kinds.hand import Faults, Hand

NAT = "nat_gateway.main"
REGIONAL: Spec = {
    "stack": "demo",
    "region": "us-east-1",
    "vpcs": {"main": {"cidr_block": "10.0.0.0/16"}},
    "internet_gateways": {"main": {}},
    "elastic_ips": {"a": {}, "b": {}},
    "nat_gateways": {
        "main": {
            "availability_mode": "regional",
            "availability_zone_addresses": [{"availability_zone": "a", "elastic_ips": ["a"]}],
        }
    },
}
DEFAULT = {"destination_cidr_block": "0.0.0.0/0"}
EXAMPLE = Example(
    spec={
        **REGIONAL,
        "subnets": {"public": {"cidr_block": "10.0.1.0/24", "availability_zone": "a"}},
        "route_tables": {"public": {"subnets": ["public"], "routes": [{**DEFAULT, "internet_gateway": "main"}]}},
        "elastic_ips": {name: {} for name in ("a", "b", "c", "d", "e")},
        "nat_gateways": {
            **REGIONAL["nat_gateways"],
            "zonal": {"subnet": "public", "elastic_ip": "c", "secondary_elastic_ips": ["d"]},
            "inner": {
                "subnet": "public",
                "connectivity_type": "private",
                "secondary_private_ip_addresses": ["10.0.1.70"],
            },
        },
    },
    address=NAT,
    changes={"availability_zone_addresses": [{"availability_zone": "b", "elastic_ips": ["b"]}]},
    others={
        "nat_gateway.zonal": {"secondary_elastic_ips": ["e"]},
        "nat_gateway.inner": {"secondary_private_ip_addresses": ["10.0.1.71", "10.0.1.70"]},
    },
)
ZONAL: Spec = {
    "stack": "demo",
    "region": "us-east-1",
    "vpcs": {"main": {"cidr_block": "10.0.0.0/16"}},
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


class Ways:
    """Looks, before each call that changes something, whether a private table's default route leads to a NAT gateway that is
    available."""

    def __init__(self, world: World, table: str) -> None:
        self.world, self.table = world, table
        self.dead: list[str] = []
        self.looks = 0
        self._real = world._call
        world._call = self._call  # type: ignore[method-assign]

    def _call(self, service: str, operation: str, params: Mapping[str, Any]) -> Any:
        answer = self._real(service, operation, params)
        place = Place(DEFAULT_ACCOUNT_ID, REGION)
        routes = place.ec2.route_tables[self.table]._routes.values()
        (route,) = [item for item in routes if item.destination_cidr_block == "0.0.0.0/0"]
        self.looks += 1
        if route.nat_gateway is None or route.nat_gateway.state != "available":
            self.dead.append(operation)
        return answer


def test_routes_wait_until_it_is_available_and_instances_for_their_routes(hand: Hand) -> None:
    hand.make(private_stack())
    assert set(gateways(hand).values()) == {"available"}
    made = order(hand.world, "create_route_table", "create_nat_gateway", "create_route", "run_instances")
    # the tables themselves are made while AWS makes the gateways; user data runs once, when there is a way out
    assert sorted(made[:-4]) == ["create_nat_gateway"] * 2 + ["create_route"] + ["create_route_table"] * 3
    assert made[-4:] == ["create_route", "create_route", "run_instances", "run_instances"]


def test_the_private_stack_leaves_nothing(hand: Hand) -> None:
    before = hand.world.strict.inventory()
    hand.make(private_stack())
    assert hand.world.plan(private_stack()).is_empty
    hand.world.destroy(private_stack())
    assert hand.world.strict.inventory() == before
    went = order(hand.world, "delete_route_table", "delete_nat_gateway", "release_address", "detach_internet_gateway")
    assert went.index("delete_nat_gateway") > went.index("delete_route_table")
    assert went.index("release_address") > went.index("delete_nat_gateway")
    assert went[-1] == "detach_internet_gateway", "addresses are mapped there until then"
    assert went.count("release_address") == 2, "it isn't tried before the NAT gateway is gone"


def test_it_is_replaced_without_a_gap(hand: Hand) -> None:
    """In another subnet, and so with another address: the route moves before the old one goes."""
    hand.make(ZONAL)
    ways = Ways(hand.world, hand[PRIVATE])
    spec = edited(ZONAL, "nat_gateways/main", {"subnet": "public-b", "elastic_ip": "two"})
    assert short(hand.world.plan(spec)) == sorted([*replaced(NAT, "elastic_ip", "subnet"), update(PRIVATE, "routes")])
    hand.make(spec)
    assert ways.dead == []
    assert ways.looks > 20
    moved = order(hand.world, "create_nat_gateway", "replace_route", "delete_nat_gateway")
    assert moved == ["create_nat_gateway", "replace_route", "delete_nat_gateway"]


def test_a_change_that_needs_the_same_address_is_refused(hand: Hand) -> None:
    """The new one can't have it before the old one has gone, and that would be a gap."""
    hand.make(ZONAL)
    told = (
        r"^spec\.yaml:\d+:\d+: nat_gateways\.main\.elastic_ip: the new nat_gateway\.main can't have elastic_ip\.one as long as "
        r"nat_gateway\.main \(nat-\w+\) has it, .*; give it another Elastic IP address$"
    )
    with pytest.raises(RefusedError, match=told):
        hand.world.plan(edited(ZONAL, "nat_gateways/main/subnet", "public-b"))


def test_an_address_doesnt_move_to_another_gateway_while_it_is_needed(hand: Hand) -> None:
    hand.make(ZONAL)
    spec = edited(ZONAL, "nat_gateways", {"other": {"subnet": "public-b", "elastic_ip": "one"}})
    told = r"nat_gateways\.other\.elastic_ip: the new nat_gateway\.other can't have elastic_ip\.one as long as nat_gateway\.main \("
    with pytest.raises(RefusedError, match=told):
        hand.world.plan(edited(spec, "route_tables/private/routes", [{**DEFAULT, "nat_gateway": "other"}]))


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
    """Another one would fail minutes later."""
    hand.make(ZONAL)
    hand.ec2.delete_nat_gateway(NatGatewayId=hand[NAT])
    lines = (create(NAT), update(PRIVATE, "routes"))
    hand.repairs(*lines, calls={"create_nat_gateway": 1, "replace_route": 1})


def test_one_that_is_being_deleted_is_waited_for_by_a_destroy(hand: Hand) -> None:
    before = hand.world.strict.inventory()
    hand.make(ZONAL)
    hand.ec2.delete_nat_gateway(NatGatewayId=hand[NAT])
    hand.world.destroy(ZONAL)
    assert hand.world.strict.inventory() == before
    assert calls(hand.world, "delete_nat_gateway") == []


@pytest.mark.parametrize("lag", [0.0, 20.0])
def test_a_lost_reply_makes_no_second_one(hand: Hand, faults: Faults, lag: float) -> None:
    hand.world.strict.lag = lag
    faults.lose_reply("create_nat_gateway")
    hand.world.apply(ZONAL)
    hand.wait(lag)
    hand.make(ZONAL)
    assert list(gateways(hand)) == [hand[NAT]]


def test_why_aws_could_not_make_it_is_told_and_the_next_run_makes_another(hand: Hand) -> None:
    """Somebody detaches the internet gateway meanwhile."""
    spec = edited(ZONAL, "nat_gateways", {})
    spec["route_tables"]["private"]["routes"] = []
    hand.make(spec)
    world, vpc, gateway = hand.world, hand["vpc.main"], hand["internet_gateway.main"]
    real = world._call

    def call(service: str, operation: str, params: Mapping[str, Any]) -> Any:
        if operation == "create_nat_gateway" and "DryRun" not in params:
            hand.ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
        return real(service, operation, params)

    world._call = call  # type: ignore[method-assign]
    result = world.apply(ZONAL)
    world._call = real  # type: ignore[method-assign]
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
    with pytest.raises(RefusedError, match=told):
        hand.world.apply(ZONAL if is_own else edited(ZONAL, "nat_gateways/main/elastic_ip", address))


def test_a_full_subnet_is_told_beforehand(hand: Hand) -> None:
    spec = edited(ZONAL, "subnets/public-a/cidr_block", "10.0.1.0/28")
    spec["instances"] = {
        "web": {"image_id": "ami-03cf127a", "instance_type": "t3.micro", "count": 11, "subnets": ["public-a"]}
    }
    with pytest.raises(RefusedError, match=r"subnet\.public-a has 11 free addresses, and this plan needs 12 there"):
        hand.world.apply(spec)


def test_one_that_a_run_left_behind_is_deleted(hand: Hand, faults: Faults) -> None:
    """Its entry has gone from the spec, and the run that was to delete it was cut short."""
    hand.make(ZONAL)
    less = edited(ZONAL, "nat_gateways", {})
    less["route_tables"]["private"]["routes"] = []
    faults.refuse("delete_nat_gateway", "InternalFailure", times=9)
    assert hand.world.apply(less).failures
    faults.refusals.clear()
    hand.repairs(delete(NAT), spec=less, by="delete_nat_gateway")
    assert list(gateways(hand).values()) == ["deleted"]


def test_a_private_one_needs_no_address(hand: Hand) -> None:
    settings = {"subnet": "private", "connectivity_type": "private", "private_ip_address": "10.0.3.77"}
    spec = edited(ZONAL, "nat_gateways/inner", settings)
    hand.make(spec)
    (row,) = hand.ec2.describe_nat_gateways(NatGatewayIds=[hand["nat_gateway.inner"]])["NatGateways"]
    assert row["NatGatewayAddresses"][0]["PrivateIp"] == "10.0.3.77"
    assert "AllocationId" not in row["NatGatewayAddresses"][0]


def test_in_somebody_elses_subnet(hand: Hand) -> None:
    vpc = hand.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    gateway = hand.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    hand.ec2.attach_internet_gateway(VpcId=vpc, InternetGatewayId=gateway)
    subnet = hand.ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.1.0/24")["Subnet"]["SubnetId"]
    address = hand.ec2.allocate_address(Domain="vpc")["AllocationId"]
    spec = {"stack": "demo", "region": REGION, "nat_gateways": {"main": {"subnet": subnet, "elastic_ip": address}}}
    hand.make(spec)
    hand.world.destroy(spec)
    assert [item["AllocationId"] for item in hand.ec2.describe_addresses()["Addresses"]] == [address]


def test_a_regional_one_whose_zones_aws_chooses(hand: Hand) -> None:
    spec = edited(REGIONAL, "nat_gateways/main", {"availability_mode": "regional"})
    spec["subnets"] = {"private": {"cidr_block": "10.0.3.0/24", "availability_zone": "a"}}
    spec["route_tables"] = {"private": {"subnets": ["private"], "routes": [{**DEFAULT, "nat_gateway": "main"}]}}
    before = hand.world.strict.inventory()
    hand.make(spec)
    fixed = REGIONAL["nat_gateways"]["main"]["availability_zone_addresses"]
    chosen = edited(spec, "nat_gateways/main/availability_zone_addresses", fixed)
    assert set(replaced(NAT, "availability_zone_addresses")) <= set(short(hand.world.plan(chosen)))
    hand.world.destroy(spec)
    assert hand.world.strict.inventory() == before


def test_addresses_of_a_regional_one_come_before_others_go(hand: Hand) -> None:
    hand.make(REGIONAL)
    zones = [{"availability_zone": zone, "elastic_ips": [name]} for zone, name in (("us-east-1a", "b"), ("c", "a"))]
    hand.make(edited(REGIONAL, "nat_gateways/main/availability_zone_addresses", zones))
    joining, leaving = "associate_nat_gateway_address", "disassociate_nat_gateway_address"
    # the one that changes its zone has to leave first
    assert order(hand.world, joining, leaving) == [joining, leaving, joining]
    (row,) = hand.ec2.describe_nat_gateways()["NatGateways"]
    found = {(item["AvailabilityZone"], item["AllocationId"]) for item in row["NatGatewayAddresses"]}
    assert found == {("us-east-1a", hand["elastic_ip.b"]), ("us-east-1c", hand["elastic_ip.a"])}


def test_secondary_addresses_come_with_it(hand: Hand) -> None:
    hand.make(EXAMPLE.spec)
    assert sum(bool(item.get("AssociationId")) for item in hand.ec2.describe_addresses()["Addresses"]) == 3
    settings = {"subnet": "public", "connectivity_type": "private", "secondary_private_ip_address_count": 2}
    counted = edited(EXAMPLE.spec, "nat_gateways/inner", settings)
    hand.make(counted)
    (row,) = hand.ec2.describe_nat_gateways(NatGatewayIds=[hand["nat_gateway.inner"]])["NatGateways"]
    assert [item["IsPrimary"] for item in row["NatGatewayAddresses"]] == [True, False, False]


@pytest.mark.parametrize("field", ["elastic_ip", "secondary_elastic_ips"])
def test_an_address_that_another_one_keeps_since_the_spec_doesnt_manage_its_addresses(hand: Hand, field: str) -> None:
    """AWS refused it half-way. Where the other one's addresses are declared, it leaves there before."""
    hand.make(edited(ZONAL, "nat_gateways/main/secondary_elastic_ips", ["two"]))
    given = {"elastic_ip": "two"} if field == "elastic_ip" else {"elastic_ip": "three", field: ["two"]}
    spec = edited(edited(ZONAL, "elastic_ips/three", {}), "nat_gateways/other", {"subnet": "public-b", **given})
    told = (
        rf"nat_gateways\.other\.{field}: elastic_ip\.two stays with nat_gateway\.main, whose secondary_elastic_ips the spec "
        "doesn't manage; declare them there without it, or with another one in its place$"
    )
    with pytest.raises(RefusedError, match=told):
        hand.world.plan(spec)
    hand.make(edited(spec, "nat_gateways/main/secondary_elastic_ips", []))


def with_instance(gateways: Spec, *elastic_ip: str) -> Spec:
    """ZONAL with other gateways, addresses for all, and an instance that may have one."""
    entry = {"image_id": "ami-03cf127a", "instance_type": "t3.micro", "subnets": ["public-a"]}
    spec = edited(
        edited(ZONAL, "nat_gateways", gateways), "elastic_ips", {name: {} for name in ("one", "two", "three")}
    )
    return edited(spec, "instances/web", entry | dict(zip(("elastic_ip",), elastic_ip, strict=False)))


def test_an_instance_gets_no_address_that_a_gateway_keeps(hand: Hand) -> None:
    """AWS refused it half-way."""
    hand.make(with_instance({"main": {"subnet": "public-a", "elastic_ip": "one", "secondary_elastic_ips": ["two"]}}))
    spec = with_instance({"main": {"subnet": "public-a", "elastic_ip": "one"}}, "two")
    told = r"instances\.web\.elastic_ip: elastic_ip\.two stays with nat_gateway\.main, whose secondary_elastic_ips the spec doesn't"
    with pytest.raises(RefusedError, match=told):
        hand.world.plan(spec)
    hand.make(edited(spec, "nat_gateways/main/secondary_elastic_ips", []))


@pytest.mark.parametrize("gateway", ["main", "other"])
@pytest.mark.parametrize("field", ["elastic_ip", "secondary_elastic_ips"])
def test_a_gateway_gets_no_address_that_an_instance_keeps(hand: Hand, gateway: str, field: str) -> None:
    """Since its entry names none any more. AWS refused it half-way. It leaves an instance that is to have another one, or that goes."""
    now = {"main": {"subnet": "public-a", "elastic_ip": "one"}}
    hand.make(with_instance(now, "two"))
    subnet = {"subnet": "public-a" if gateway == "main" else "public-b"}
    given = (
        {"elastic_ip": "two"}
        if field == "elastic_ip"
        else {"elastic_ip": "one" if gateway == "main" else "three", field: ["two"]}
    )
    wanted = {**now, gateway: {**subnet, **given}}
    told = (
        rf"nat_gateways\.{gateway}\.{field}: elastic_ip\.two stays with instance\.web-1, whose elastic_ip the spec doesn't manage; "
        "give it another one there, or disassociate it by hand$"
    )
    with pytest.raises(RefusedError, match=told):
        hand.world.plan(with_instance(wanted))
    if gateway == "main":
        hand.make(edited(with_instance(wanted, "four"), "elastic_ips/four", {}))
    else:
        hand.make(edited(with_instance(wanted), "instances", {}))


def test_a_gateway_gets_no_address_of_an_instance_that_is_replaced_or_terminated(hand: Hand) -> None:
    """The old instance has it until it goes, after its successor has come."""
    now = {"main": {"subnet": "public-a", "elastic_ip": "one"}}
    wanted = {**now, "other": {"subnet": "public-b", "elastic_ip": "two"}}
    hand.make(with_instance(now, "two"))
    for elsewhere in (with_instance(wanted), with_instance(wanted, "three")):
        elsewhere["instances"]["web"]["instance_type"] = "t3.small"
        with pytest.raises(
            RefusedError,
            match=r"elastic_ip: elastic_ip\.two stays with instance\.web-1 until that is replaced; do the one and the other in two applies",
        ):
            hand.world.plan(elsewhere)
    with pytest.raises(
        RefusedError,
        match=r"elastic_ip: elastic_ip\.two stays with instance\.web-1, which is to have it as well; choose another",
    ):
        hand.world.plan(edited(with_instance(wanted, "two"), "nat_gateways/other/elastic_ip", hand["elastic_ip.two"]))
    hand.ec2.terminate_instances(InstanceIds=[hand["instance.web-1"]])
    gone = edited(with_instance(wanted), "instances", {})
    with pytest.raises(
        RefusedError, match=r"is still associated with i-\w+, which is being terminated; apply again when it has gone"
    ):
        hand.world.plan(gone)
    hand.world.clock.advance(300)
    hand.make(gone)


def test_a_subnet_waits_for_its_nat_gateway_to_go(hand: Hand) -> None:
    hand.make(edited(ZONAL, "nat_gateways/spare", {"subnet": "public-b", "elastic_ip": "two"}))
    less = edited(ZONAL, "subnets/public-b", None)
    less["route_tables"]["public"]["subnets"] = ["public-a"]
    hand.make(less)
    assert order(hand.world, "delete_nat_gateway", "delete_subnet") == ["delete_nat_gateway", "delete_subnet"]


def test_new_ids_may_be_unknown_for_a_while(hand: Hand) -> None:
    hand.world.strict.reference_lag = 20.0
    hand.make(ZONAL)


def test_adopt_knows_one_by_where_it_is_and_an_address_by_its_name_only() -> None:
    with keeper() as (world, commands):
        ec2 = by_hand("ec2")
        world.converge(edited(edited(ZONAL, "nat_gateways", {}), "route_tables/private/routes", []))
        subnet = world.discover(ZONAL)
        place = next(item.id for item in subnet.resources if str(item.address) == "subnet.public-b")
        address = ec2.allocate_address(Domain="vpc")["AllocationId"]
        made = ec2.create_nat_gateway(SubnetId=place, AllocationId=address)["NatGateway"]["NatGatewayId"]
        world.clock.advance(120)
        spec = edited(ZONAL, "nat_gateways/main", {"subnet": "public-b", "elastic_ip": address})
        spec["elastic_ips"]["three"] = {}
        assert by_address(commands.adopt(spec)) == {NAT: made}, "any address could be elastic_ip.three"
        assert world.converge(spec).writes.keys() == {"allocate_address", "create_route", "create_tags"}
