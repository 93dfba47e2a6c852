"""A load balancer whose answers have no way to the internet serves nobody, whoever took the way away, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.api.serving import not_ready
from alb_reconcile.api.status import look
from alb_reconcile.model.errors import ExitCode
from alb_reconcile.sync.stack import HINT
from tests.harness import load
from tests.kinds.hand import calls
from tests.sync.rounds import go_round

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness import Spec
    from tests.kinds.hand import Hand

CUT = "no subnet of load_balancer.public has a route to an internet gateway, so it serves nobody"
DEFAULT = "0.0.0.0/0"


def delete_route(hand: Hand) -> None:
    hand.ec2.delete_route(RouteTableId=hand["route_table.public"], DestinationCidrBlock=DEFAULT)


def disassociate(hand: Hand, most: int = 2) -> None:
    (table,) = hand.ec2.describe_route_tables(RouteTableIds=[hand["route_table.public"]])["RouteTables"]
    for item in table["Associations"][:most]:
        hand.ec2.disassociate_route_table(AssociationId=item["RouteTableAssociationId"])


def delete_table(hand: Hand) -> None:
    disassociate(hand)
    hand.ec2.delete_route_table(RouteTableId=hand["route_table.public"])


def lead_elsewhere(hand: Hand) -> None:
    peer = hand.ec2.create_vpc(CidrBlock="10.99.0.0/16")["Vpc"]["VpcId"]
    made = hand.ec2.create_vpc_peering_connection(VpcId=hand["vpc.main"], PeerVpcId=peer)
    hand.ec2.replace_route(
        RouteTableId=hand["route_table.public"],
        DestinationCidrBlock=DEFAULT,
        VpcPeeringConnectionId=made["VpcPeeringConnection"]["VpcPeeringConnectionId"],
    )


def told(hand: Hand, spec: Spec) -> list[str]:
    found: Any = hand.world._run(lambda aws: look(aws, load(spec).target()))
    return not_ready(*found)


every_way = pytest.mark.parametrize("cut", [delete_route, disassociate, delete_table, lead_elsewhere])


@every_way
def test_status_says_so_and_a_round_that_may_not_correct_it_fails(
    hand: Hand, spec: Spec, tmp_path: Path, cut: Any
) -> None:
    """Found: `Differs from the spec: route_table.public`, and exit code 2, to be looked at in working hours."""
    spec["sync"] = {"report": ["create", "update"]}
    cut(hand)
    assert told(hand, spec)[0] == CUT
    report, record = go_round(hand, spec, tmp_path)
    assert (report.code, record.result, record.not_ready[0]) == (ExitCode.FAILED, "failed", CUT)


@every_way
def test_an_outage_that_was_corrected_is_called_one(hand: Hand, spec: Spec, cut: Any) -> None:
    cut(hand)
    ending = hand.world.sync(spec)
    assert f"when this round began: {CUT}{HINT}" in ending.notes
    assert (list(ending.remarks.values()), ending.problems) == ([f"when this round began: {CUT}"], ())
    assert told(hand, spec) == []


def test_who_has_another_way_out_is_served(hand: Hand, spec: Spec) -> None:
    """One subnet of two, a narrower route, and then the VPC's main route table."""
    disassociate(hand, most=1)
    (line,) = told(hand, spec)
    assert line.endswith(
        " of load_balancer.public has no route to an internet gateway, so clients get no answer from it"
    )
    table, gateway = hand["route_table.public"], hand["internet_gateway.main"]
    hand.ec2.create_route(RouteTableId=table, DestinationCidrBlock="203.0.113.0/24", GatewayId=gateway)
    delete_route(hand)
    assert told(hand, spec) == [line]
    disassociate(hand)
    assert told(hand, spec) == [CUT]
    (main,) = hand.ec2.describe_route_tables(
        Filters=[{"Name": "vpc-id", "Values": [hand["vpc.main"]]}, {"Name": "association.main", "Values": ["true"]}]
    )["RouteTables"]
    hand.ec2.create_route(RouteTableId=main["RouteTableId"], DestinationCidrBlock=DEFAULT, GatewayId=gateway)
    assert told(hand, spec) == []


def test_a_healthy_stack_costs_no_further_call(hand: Hand, spec: Spec) -> None:
    assert told(hand, spec) == []
    assert len(calls(hand.world, "describe_route_tables")) == 1
