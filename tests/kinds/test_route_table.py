"""Route tables: drift, strangers, and moves without a gap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.harness import Spec, demo
from tests.kinds.example import Example
from tests.kinds.hand import calls, delete, edited, order, update

if TYPE_CHECKING:
    from tests.kinds.hand import Faults, Hand

TABLE = "route_table.public"
ROUTE = {"destination_cidr_block": "0.0.0.0/0", "internet_gateway": "main"}
GOES = ("disassociate_route_table", "associate_route_table", "replace_route_table_association")
EXAMPLE = Example(
    spec={
        "stack": "demo",
        "region": "us-east-1",
        "vpcs": {"main": {"cidr_block": "10.0.0.0/16"}},
        "subnets": {
            "a": {"cidr_block": "10.0.1.0/24", "availability_zone": "a"},
            "b": {"cidr_block": "10.0.2.0/24", "availability_zone": "b"},
        },
        "internet_gateways": {"main": {}},
        "route_tables": {"public": {"subnets": ["a"], "routes": [ROUTE]}},
    },
    address=TABLE,
    changes={"subnets": ["b"], "routes": [{**ROUTE, "destination_cidr_block": "192.0.2.0/24"}]},
    uncalled={
        "ec2:ReplaceRoute": "a route that leads elsewhere",
        "ec2:ReplaceRouteTableAssociation": "a subnet of another table",
    },
)


def split(first: list[str], second: list[str]) -> Spec:
    spec = demo()
    spec["route_tables"] = {
        "public": {"subnets": first, "routes": [ROUTE]},
        "other": {"subnets": second, "routes": [ROUTE]},
    }
    return spec


def associations(hand: Hand) -> dict[str, str]:
    return {
        item["SubnetId"]: table["RouteTableId"]
        for table in hand.ec2.describe_route_tables()["RouteTables"]
        for item in table["Associations"]
        if item.get("SubnetId")
    }


def association(hand: Hand, subnet: str) -> str:
    filters = [{"Name": "association.subnet-id", "Values": [hand[subnet]]}]
    (table,) = hand.ec2.describe_route_tables(Filters=filters)["RouteTables"]
    return next(
        str(item["RouteTableAssociationId"]) for item in table["Associations"] if item.get("SubnetId") == hand[subnet]
    )


def gateway_elsewhere(hand: Hand) -> str:
    """Something else in the VPC that a route can lead to."""
    answer = hand.ec2.create_network_interface(SubnetId=hand["subnet.public-a"])
    return str(answer["NetworkInterface"]["NetworkInterfaceId"])


def test_a_route_that_was_deleted_by_hand_comes_back(hand: Hand) -> None:
    hand.make(demo())
    hand.ec2.delete_route(RouteTableId=hand[TABLE], DestinationCidrBlock="0.0.0.0/0")
    hand.repairs(update(TABLE, "routes"), by="create_route")


def test_a_route_that_leads_elsewhere_is_turned_in_one_call(hand: Hand) -> None:
    hand.make(demo())
    elsewhere = gateway_elsewhere(hand)
    hand.ec2.replace_route(RouteTableId=hand[TABLE], DestinationCidrBlock="0.0.0.0/0", NetworkInterfaceId=elsewhere)
    hand.repairs(update(TABLE, "routes"), calls={"replace_route": 1})


@pytest.mark.parametrize("version", ["DestinationCidrBlock", "DestinationIpv6CidrBlock", "DestinationPrefixListId"])
def test_a_stray_route_is_deleted(hand: Hand, version: str) -> None:
    hand.make(demo())
    entries = hand.ec2.create_managed_prefix_list(
        PrefixListName="corp", MaxEntries=1, AddressFamily="IPv4", Entries=[{"Cidr": "192.0.2.0/24"}]
    )
    to = {
        "DestinationCidrBlock": "192.0.2.0/24",
        "DestinationIpv6CidrBlock": "2001:db8::/32",
        "DestinationPrefixListId": entries["PrefixList"]["PrefixListId"],
    }[version]
    hand.ec2.create_route(RouteTableId=hand[TABLE], GatewayId=hand["internet_gateway.main"], **{version: to})
    (step,) = hand.world.plan(hand.spec).steps
    assert to in str(step.changes[0].before)
    hand.repairs(update(TABLE, "routes"), by="delete_route")
    (table,) = hand.ec2.describe_route_tables(RouteTableIds=[hand[TABLE]])["RouteTables"]
    assert to not in {route.get(version) for route in table["Routes"]}


def test_a_stray_route_may_stay_where_the_spec_says_so(hand: Hand) -> None:
    spec = edited(demo(), "route_tables/public/others", "keep")
    hand.make(spec)
    hand.ec2.create_route(
        RouteTableId=hand[TABLE], GatewayId=hand["internet_gateway.main"], DestinationCidrBlock="192.0.2.0/24"
    )
    assert hand.world.plan(spec).is_empty


def test_routes_and_subnets_that_the_spec_leaves_out_are_not_managed(hand: Hand) -> None:
    spec = demo()
    spec["route_tables"]["spare"] = {}
    hand.make(spec)
    hand.ec2.create_route(
        RouteTableId=hand["route_table.spare"],
        GatewayId=hand["internet_gateway.main"],
        DestinationCidrBlock="0.0.0.0/0",
    )
    assert hand.world.plan(spec).is_empty


def test_a_subnet_that_was_disassociated_by_hand_comes_back(hand: Hand) -> None:
    hand.make(demo())
    hand.ec2.disassociate_route_table(AssociationId=association(hand, "subnet.public-a"))
    hand.repairs(update(TABLE, "subnets"), by="associate_route_table")


def test_a_subnet_that_was_moved_to_a_strangers_table_is_moved_back_in_one_call(hand: Hand) -> None:
    hand.make(demo())
    theirs = hand.ec2.create_route_table(VpcId=hand["vpc.main"])["RouteTable"]["RouteTableId"]
    hand.ec2.replace_route_table_association(AssociationId=association(hand, "subnet.public-a"), RouteTableId=theirs)
    result = hand.make(demo())
    assert set(result.writes) <= {"associate_route_table", "replace_route_table_association"}
    assert result.writes["replace_route_table_association"] == 1
    assert "disassociate_route_table" not in result.writes
    assert associations(hand)[hand["subnet.public-a"]] == hand[TABLE]


def test_a_stray_association_of_our_subnet_is_taken_away(hand: Hand) -> None:
    spec = demo()
    spec["subnets"]["private"] = {"cidr_block": "10.0.3.0/24", "availability_zone": "a"}
    hand.make(spec)
    hand.ec2.associate_route_table(RouteTableId=hand[TABLE], SubnetId=hand["subnet.private"])
    hand.repairs(update(TABLE, "subnets"), by="disassociate_route_table")


def test_the_association_of_a_subnet_that_is_not_ours_stays(hand: Hand) -> None:
    hand.make(demo())
    theirs = hand.ec2.create_subnet(VpcId=hand["vpc.main"], CidrBlock="10.0.9.0/24")["Subnet"]["SubnetId"]
    hand.ec2.associate_route_table(RouteTableId=hand[TABLE], SubnetId=theirs)
    assert hand.world.plan(demo()).is_empty


def test_a_subnet_moves_to_another_table_without_a_gap(hand: Hand) -> None:
    hand.make(split(["public-a", "public-b"], []))
    hand.repairs(
        update(TABLE, "subnets"), update("route_table.other", "subnets"), spec=split(["public-a"], ["public-b"]),
        calls={"replace_route_table_association": 1, "create_tags": 2},
    )  # fmt: skip
    assert associations(hand)[hand["subnet.public-b"]] == hand["route_table.other"]


def test_two_tables_swap_their_subnets_without_a_gap(hand: Hand) -> None:
    hand.make(split(["public-a"], ["public-b"]))
    hand.make(split(["public-b"], ["public-a"]))
    assert order(hand.world, *GOES) == ["replace_route_table_association"] * 2
    assert associations(hand) == {
        hand["subnet.public-a"]: hand["route_table.other"],
        hand["subnet.public-b"]: hand[TABLE],
    }


def test_subnets_move_to_a_new_table_before_the_old_one_goes(hand: Hand) -> None:
    hand.make(demo())
    spec = edited(edited(demo(), "route_tables/public", None), "route_tables/fresh", demo()["route_tables"]["public"])
    hand.make(spec)
    assert order(hand.world, *GOES, "delete_route_table") == [
        "replace_route_table_association",
        "replace_route_table_association",
        "delete_route_table",
    ]
    names = [name for name, _ in hand.world.log]
    assert names.index("create_route") < names.index("replace_route_table_association"), (
        "a subnet must not follow a table that leads nowhere yet"
    )


@pytest.mark.parametrize("table", ["fresh", "other"])
def test_subnets_wait_for_a_route_that_aws_is_slow_to_make(hand: Hand, faults: Faults, table: str) -> None:
    spec = split(["public-a", "public-b"], [])
    spec["route_tables"]["other"]["routes"] = []
    hand.make(spec)
    spec = edited(spec, f"route_tables/{table}", {"subnets": ["public-b"], "routes": [ROUTE]})
    faults.refuse("create_route", "InvalidGatewayID.NotFound", times=2)
    hand.make(edited(spec, "route_tables/public/subnets", ["public-a"]))
    assert order(hand.world, "create_route", "replace_route_table_association") == [
        "create_route",
        "replace_route_table_association",
    ]


def test_a_table_that_others_still_use_is_deleted_when_aws_lets_it_go(hand: Hand, faults: Faults) -> None:
    spec = demo()
    spec["route_tables"]["spare"] = {}
    hand.make(spec)
    faults.refuse("delete_route_table", "DependencyViolation", times=2)
    hand.repairs(delete("route_table.spare"), spec=demo(), calls={"delete_route_table": 3})


@pytest.mark.parametrize("code", ["InvalidRouteTableID.NotFound", "InvalidSubnetID.NotFound"])
def test_what_aws_does_not_know_yet_is_asked_for_again(hand: Hand, faults: Faults, code: str) -> None:
    faults.refuse("associate_route_table", code, times=2)
    hand.make(demo())
    assert faults.made["associate_route_table"] == 4


def test_a_lost_reply_leaves_no_second_table_behind(hand: Hand, faults: Faults) -> None:
    faults.lose_reply("create_route_table")
    hand.world.apply(demo())
    hand.make(demo())
    tagged = hand.ec2.describe_route_tables(Filters=[{"Name": "tag:alb-reconcile:stack", "Values": ["demo"]}])
    assert len(tagged["RouteTables"]) == 1
    assert calls(hand.world, "delete_route_table") == []


def test_two_tables_at_one_address_become_one(hand: Hand) -> None:
    hand.make(demo())
    tags = hand.ec2.describe_route_tables(RouteTableIds=[hand[TABLE]])["RouteTables"][0]["Tags"]
    specification = [{"ResourceType": "route-table", "Tags": tags}]
    double = hand.ec2.create_route_table(VpcId=hand["vpc.main"], TagSpecifications=specification)["RouteTable"]
    hand.repairs(delete(TABLE), calls={"delete_route_table": 1})
    assert hand[TABLE] != double["RouteTableId"]
