"""A plan takes nothing from under what isn't the stack's: it is refused before its first change, with place and what to do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.engine.blockers import needs_routes
from tests.kinds.hand import edited
from tests.kinds.test_nat_gateway import ZONAL
from tests.sync.words import left, writes

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.kinds.hand import Hand

DEFAULT = "0.0.0.0/0"
ALONE: Spec = edited(ZONAL, "vpc_endpoints", {"s3": {"service_name": "s3", "route_tables": ["private"]}})


def without(spec: Spec, *paths: str) -> Spec:
    for path in paths:
        spec = edited(spec, path, None)
    return spec


ZONE_GOES = without(
    {**ALONE, "nat_gateways": {}, "elastic_ips": {"two": {}}, "vpc_endpoints": {}},
    "subnets/private", "route_tables/private",
)  # fmt: skip
TABLE_GOES = without({**ALONE, "vpc_endpoints": {}}, "route_tables/private")
GIVEN = {"delete-elastic-ip": 1}
LEAVES = edited(ALONE, "route_tables/private/subnets", [])
NO_ROUTE = edited(ALONE, "route_tables/private/routes", [])
UNMANAGED = without({**ALONE, "nat_gateways": {}}, "route_tables/private/routes")


def interface_of(hand: Hand, instance: str) -> str:
    (found,) = hand.ec2.describe_instances(InstanceIds=[instance])["Reservations"]
    return f"{found['Instances'][0]['NetworkInterfaces'][0]['NetworkInterfaceId']} ({instance})"


def to_forget(address: str) -> str:
    """How what others use goes on without the stack, if its entry has gone."""
    return f"to leave it there, run: alb-reconcile forget spec.yaml {address}; else "


def test_a_zone_goes_in_which_another_stack_is(hand: Hand) -> None:
    hand.make(ALONE)
    stranger = interface_of(hand, hand.stranger_in(hand["subnet.private"]))
    subnet = hand["subnet.private"]
    told = f"subnet.private ({subnet}) is in use by a resource outside this stack: {stranger}; {to_forget('subnet.private')}remove it first"
    assert hand.refuses_run(ZONE_GOES, allow=GIVEN) == [told]
    hand.refuses(ZONE_GOES, r"^subnet\.private .*is in use by", allow={"cut-off": 9})  # AWS refuses, whoever allows it
    ending = hand.world.sync({**ZONE_GOES, "sync": {"correct": ["update", "delete"]}}, apply_changes=True)
    assert writes(hand) == []
    waiting = ("subnet.private", "route_table.private", "nat_gateway.main", "elastic_ip.one", "vpc_endpoint.s3")
    assert sorted(left(ending)) == sorted(waiting)
    assert sum(stranger in text for text in ending.selection.withheld.values()) >= 2


def test_a_subnet_loses_its_way_out(hand: Hand) -> None:
    hand.make(ALONE)
    subnet, table = hand["subnet.private"], f"its route table {hand['route_table.private']}"
    strangers = {interface_of(hand, hand.stranger_in(subnet)) for _ in range(2)}
    for spec, place, loss, advice in (
        (TABLE_GOES, "route_table.private", table, "keep it there"),
        (LEAVES, r"spec\.yaml:\d+:\d+: route_tables.private.subnets", table, "keep it there"),
        (NO_ROUTE, r"spec\.yaml:\d+:\d+: route_tables.private.routes", f"its route for {DEFAULT}", "keep the route"),
        # where routes aren't managed the table keeps its route, which would lead nowhere
        (UNMANAGED, "nat_gateway.main", f"its route for {DEFAULT}", "keep the route"),
    ):
        (line,) = hand.refuses_run(spec)
        at, _, text = line.partition(f": subnet.private ({subnet}) ")
        assert re.fullmatch(place, at)
        assert text.startswith(f"loses {loss}, and resources outside this stack are in it: ")
        assert strangers <= {*re.findall(r"eni-\w+ \(i-\w+\)", text)}
        assert text.endswith(f"; move them first, or {advice}; or allow it once with --allow cut-off=1")
    hand.make(NO_ROUTE, allow={"cut-off": 1})


def test_others_route_through_a_gateway_that_goes(hand: Hand) -> None:
    hand.make(ALONE)
    vpc, gateway = hand["vpc.main"], hand["nat_gateway.main"]
    table = hand.ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    hand.ec2.create_route(RouteTableId=table, DestinationCidrBlock=DEFAULT, NatGatewayId=gateway)
    told = f"is in use by a resource outside this stack: the routes of {table}; "
    gone = f"nat_gateway.main ({gateway}) {told}{to_forget('nat_gateway.main')}change them first"
    assert hand.refuses_run(ZONE_GOES, allow=GIVEN) == [gone]
    moved = edited(edited(ALONE, "nat_gateways/main/subnet", "public-b"), "nat_gateways/main/elastic_ip", "two")
    (line,) = hand.refuses_run(moved)
    assert line.startswith("spec.yaml:")
    assert line.endswith(f"nat_gateways.main ({gateway}) {told}change them first")


def test_a_security_group_goes_that_another_stack_wears(hand: Hand) -> None:
    spec = {**ALONE, "security_groups": {"shared": {"description": "-"}}}
    hand.make(spec)
    instance = hand.stranger_in(hand["subnet.private"])
    hand.ec2.modify_instance_attribute(InstanceId=instance, Groups=[hand["security_group.shared"]])
    (line,) = hand.refuses_run(ALONE)
    assert line.startswith(f"security_group.shared ({hand['security_group.shared']}) is in use by a resource outside")
    assert instance in line
    again = edited(spec, "security_groups/shared/description", "another")
    (line,) = hand.refuses_run(again)
    assert line.startswith("spec.yaml:")


def test_a_vpc_is_replaced_in_which_others_have_something(hand: Hand) -> None:
    spec = {key: ALONE[key] for key in ("stack", "region", "vpcs")}
    spec["subnets"] = {"private": ALONE["subnets"]["private"]}
    hand.make(spec)
    stranger = interface_of(hand, hand.stranger_in(hand["subnet.private"]))
    group = hand.ec2.create_security_group(GroupName="theirs", Description="-", VpcId=hand["vpc.main"])["GroupId"]
    moved = edited(edited(spec, "vpcs/main/cidr_block", "10.1.0.0/16"), "subnets/private/cidr_block", "10.1.3.0/24")
    first, second = hand.refuses_run(moved)
    assert first.startswith("spec.yaml:")
    assert first.endswith(f"is in use by a resource outside this stack: {stranger}; remove it first")
    assert second.endswith(
        f"vpcs.main ({hand['vpc.main']}) is in use by a resource outside this stack: {group} (theirs); remove it first"
    )


def test_whoever_keeps_a_way_out_is_no_obstacle(hand: Hand) -> None:
    hand.make(ALONE)
    hand.stranger_in(hand["subnet.private"])
    other = ALONE["route_tables"]["private"]
    for spec in (
        edited(edited(ALONE, "nat_gateways/main/subnet", "public-b"), "nat_gateways/main/elastic_ip", "two"),
        edited(LEAVES, "route_tables/other", other),
        edited(TABLE_GOES, "route_tables/other", other),
        without(ALONE, "route_tables/private/routes"),
        without(ALONE, "route_tables/private/subnets"),
    ):
        hand.world.plan(spec)


def test_what_needs_no_route_or_leads_nowhere_already_is_no_loss(hand: Hand) -> None:
    hand.make(ALONE)
    hand.ec2.create_vpc_endpoint(
        VpcId=hand["vpc.main"], ServiceName="com.amazonaws.us-east-1.guardduty-data", VpcEndpointType="Interface",
        SubnetIds=[hand["subnet.private"]],
    )  # fmt: skip
    hand.wait(300)
    hand.make(NO_ROUTE)
    hand.make(ALONE)
    hand.stranger_in(hand["subnet.private"])
    hand.ec2.delete_nat_gateway(NatGatewayId=hand["nat_gateway.main"])
    hand.wait(120)
    hand.make({**NO_ROUTE, "nat_gateways": {}})


@pytest.mark.parametrize(
    ("sort", "needs"),
    [("interface", True), ("vpc_endpoint", False), ("gateway_load_balancer_endpoint", False),
     ("ec2_instance_connect_endpoint", True)],
)  # fmt: skip
def test_who_connects_to_others_needs_routes_and_who_only_answers_does_not(sort: str, *, needs: bool) -> None:
    """An endpoint of EC2 Instance Connect leads to instances, those of peered VPCs too."""
    assert needs_routes({"InterfaceType": sort}) is needs
