"""Internet gateways: attachment, lost replies, moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from alb_reconcile.model.errors import RefusedError
from tests.harness import demo
from tests.kinds.example import Example
from tests.kinds.hand import create, edited, order, replaced, short, update

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.kinds.hand import Faults, Hand

MAIN = "internet_gateway.main"
ALONE: Spec = {
    "stack": "demo",
    "region": "us-east-1",
    "vpcs": {"main": {"cidr_block": "10.0.0.0/16"}},
    "internet_gateways": {"main": {}},
}
EXAMPLE = Example(spec=ALONE, address=MAIN)


def ours(hand: Hand) -> list[str]:
    filters = [{"Name": "tag:alb-reconcile:stack", "Values": ["demo"]}]
    found = hand.ec2.describe_internet_gateways(Filters=filters)["InternetGateways"]
    return [item["InternetGatewayId"] for item in found]


def attached_to(hand: Hand) -> str:
    found = hand.ec2.describe_internet_gateways(InternetGatewayIds=[hand[MAIN]])["InternetGateways"][0]
    return str(found["Attachments"][0]["VpcId"])


def test_a_gateway_that_was_detached_by_hand_is_attached_again(hand: Hand) -> None:
    hand.make(ALONE)
    hand.ec2.detach_internet_gateway(InternetGatewayId=hand[MAIN], VpcId=hand["vpc.main"])
    hand.repairs(update(MAIN, "vpc"), by="attach_internet_gateway")


def test_a_gateway_whose_vpc_was_deleted_by_hand_is_attached_to_the_new_one(hand: Hand) -> None:
    hand.make(ALONE)
    hand.ec2.detach_internet_gateway(InternetGatewayId=hand[MAIN], VpcId=hand["vpc.main"])
    hand.ec2.delete_vpc(VpcId=hand["vpc.main"])
    hand.repairs(create("vpc.main"), update(MAIN, "vpc"), by=("create_vpc", "attach_internet_gateway"))


def test_a_gateway_moves_to_another_vpc_by_replacement(hand: Hand) -> None:
    spec = edited(edited(ALONE, "vpcs/other", {"cidr_block": "10.9.0.0/16"}), "internet_gateways/main/vpc", "main")
    hand.make(spec)
    hand.repairs(
        *replaced(MAIN, "vpc"), spec=edited(spec, "internet_gateways/main/vpc", "other"),
        by=("create_internet_gateway", "attach_internet_gateway", "detach_internet_gateway", "delete_internet_gateway"),
    )  # fmt: skip
    assert attached_to(hand) == hand["vpc.other"]


def test_the_gateway_of_a_vpc_gives_way_to_another_one(hand: Hand) -> None:
    """Where nobody is told to `move` it instead: tests/plan/test_renames.py."""
    hand.make(ALONE)
    renamed = edited(edited(ALONE, "internet_gateways/main", None), "internet_gateways/fresh", {})
    hand.make(renamed, check=False)
    assert order(hand.world, "attach_internet_gateway", "detach_internet_gateway") == [
        "detach_internet_gateway",
        "attach_internet_gateway",
    ]


def without_a_gateway() -> Spec:
    """The demo's network inside only: its load balancer is internal, its instances keep what they have."""
    spec = edited(edited(demo(), "load_balancers/public/scheme", "internal"), "route_tables/public/routes", [])
    return edited(spec, "internet_gateways", None)


@pytest.mark.parametrize("change", [None, "user_data"])
def test_a_gateway_whose_vpc_keeps_public_addresses_is_refused(hand: Hand, change: str | None) -> None:
    """Found: AWS refused to detach it, after all else was done. Also where new instances get such addresses from their subnets."""
    hand.make(edited(without_a_gateway(), "internet_gateways", {"main": {}}))
    spec = (
        edited(without_a_gateway(), f"instances/web/{change}", "#!/bin/sh\nexec web-api --new\n")
        if change
        else without_a_gateway()
    )
    told = (
        rf"^internet_gateway\.main: AWS doesn't detach {hand[MAIN]} as long as instances in its VPC have public IPv4 addresses; say "
        r"associate_public_ip_address: false in instances\.web, or keep the gateway$"
    )
    with pytest.raises(RefusedError, match=told):
        hand.world.plan(spec)
    hand.make(edited(spec, "instances/web/associate_public_ip_address", False), allow={"delete": 1, "replace": 2})
    went = order(hand.world, "modify_network_interface_attribute", "terminate_instances", "detach_internet_gateway")
    assert went.index("detach_internet_gateway") == len(went) - 1, "it isn't tried before"


@pytest.mark.parametrize("lag", [0.0, 20.0])
def test_a_lost_reply_makes_no_second_gateway(hand: Hand, faults: Faults, lag: float) -> None:
    hand.world.strict.lag = lag
    faults.lose_reply("create_internet_gateway")
    hand.make(ALONE)
    assert ours(hand) == [hand[MAIN]]
    assert faults.made["create_internet_gateway"] == 1


def test_a_lost_reply_to_the_attachment_is_no_stranger(hand: Hand, faults: Faults) -> None:
    faults.lose_reply("attach_internet_gateway")
    hand.world.apply(ALONE)
    hand.make(ALONE)
    assert len(ours(hand)) == 1


def test_a_vpc_that_has_a_strangers_gateway_is_refused(hand: Hand) -> None:
    hand.make(edited(ALONE, "internet_gateways", None))
    theirs = hand.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    hand.ec2.attach_internet_gateway(InternetGatewayId=theirs, VpcId=hand["vpc.main"])
    result = hand.world.apply(ALONE)
    (failure,) = [item for item in result.outcomes if item.how == "failed"]
    assert isinstance(failure.error, RefusedError)
    assert "has an internet gateway outside this stack" in str(failure.error)
    hand.ec2.detach_internet_gateway(InternetGatewayId=theirs, VpcId=hand["vpc.main"])
    hand.make(ALONE)
    assert len(ours(hand)) == 1
    assert short(hand.world.plan(ALONE)) == []


def test_lingering_public_addresses_are_waited_out(hand: Hand, faults: Faults) -> None:
    hand.make(ALONE)
    faults.refuse("detach_internet_gateway", "DependencyViolation", times=3)
    hand.world.destroy(ALONE)
    assert ours(hand) == []


def test_a_gateway_that_somebody_detaches_meanwhile_is_no_failure(hand: Hand, faults: Faults) -> None:
    hand.make(ALONE)
    real = faults._real

    def somebody_comes_first(service: str, operation: str, params: object) -> object:
        if operation == "detach_internet_gateway":
            hand.ec2.detach_internet_gateway(InternetGatewayId=hand[MAIN], VpcId=hand["vpc.main"])
        return real(service, operation, params)  # type: ignore[arg-type]

    faults._real = somebody_comes_first  # type: ignore[assignment]
    hand.world.destroy(ALONE)


def test_new_ids_may_be_unknown_for_a_while(hand: Hand) -> None:
    hand.world.strict.reference_lag = 20.0
    hand.make(ALONE)


def test_our_own_gateway_that_reads_dont_show_yet_is_no_stranger(hand: Hand) -> None:
    """Somebody, or a run that was killed, has attached it a moment ago."""
    hand.make(ALONE)
    hand.ec2.detach_internet_gateway(InternetGatewayId=hand[MAIN], VpcId=hand["vpc.main"])
    hand.wait(100)
    hand.world.strict.lag = 30.0
    hand.ec2.attach_internet_gateway(InternetGatewayId=hand[MAIN], VpcId=hand["vpc.main"])
    assert not hand.world.apply(ALONE).failures
