"""VPC encryption controls: made with the VPC or later, changed in place, removed, and what keeps them from enforcing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.model.errors import SpecError
from tests.harness import load
from tests.kinds.hand import Faults, Hand, calls, edited, order, update

if TYPE_CHECKING:
    from tests.harness import Spec

MAIN = "vpc.main"
MODE = "vpc_encryption_control.mode"
CONTROL = "vpcs/main/vpc_encryption_control"
PLAIN: Spec = {"stack": "demo", "region": "us-east-1", "vpcs": {"main": {"cidr_block": "10.0.0.0/16"}}}
ENFORCED = edited(PLAIN, CONTROL, {"mode": "enforce", "internet_gateway_exclusion": "enable"})
WITH_GATEWAY = {**ENFORCED, "internet_gateways": {"main": {}}}


def shown(hand: Hand) -> dict[str, Any] | None:
    found = hand.ec2.describe_vpc_encryption_controls(VpcIds=[hand[MAIN]])["VpcEncryptionControls"]
    return dict(found[0]) if found else None


def test_a_new_vpc_enforces_from_the_beginning_and_lets_in_what_is_excluded(hand: Hand) -> None:
    hand.make(WITH_GATEWAY)
    found = shown(hand)
    assert found is not None
    assert (found["Mode"], found["ResourceExclusions"]["InternetGateway"]["State"]) == ("enforce", "enabled")
    assert "create_vpc_encryption_control" not in {name for name, _ in hand.world.log}


def test_a_vpc_that_is_there_monitors_first(hand: Hand) -> None:
    hand.make({**PLAIN, "internet_gateways": {"main": {}}})
    hand.repairs(
        update(MAIN, MODE, "vpc_encryption_control.internet_gateway_exclusion"),
        spec=WITH_GATEWAY,
        by=("create_vpc_encryption_control", "modify_vpc_encryption_control", "create_tags"),
    )
    assert order(hand.world, "create_vpc_encryption_control", "modify_vpc_encryption_control") == [
        "create_vpc_encryption_control", "modify_vpc_encryption_control",
    ]  # fmt: skip


def test_left_out_it_stays_and_nobody_asks(hand: Hand) -> None:
    hand.make(ENFORCED)
    assert hand.world.plan(PLAIN).is_empty
    assert not calls(hand.world, "describe_vpc_encryption_controls")
    hand.world.plan(ENFORCED)
    assert len(calls(hand.world, "describe_vpc_encryption_controls")) == 1


def test_an_empty_one_removes_it(hand: Hand) -> None:
    hand.make(ENFORCED)
    none = edited(PLAIN, CONTROL, {})
    assert not hand.world.plan(none).kept
    hand.repairs(update(MAIN, MODE), spec=none, by=("delete_vpc_encryption_control", "create_tags"))
    assert shown(hand) is None
    hand.make(edited(PLAIN, CONTROL, {"mode": "monitor"}))


def test_what_somebody_deleted_is_made_again(hand: Hand) -> None:
    hand.make(edited(PLAIN, CONTROL, {"mode": "monitor"}))
    found = shown(hand)
    assert found is not None
    hand.ec2.delete_vpc_encryption_control(VpcEncryptionControlId=found["VpcEncryptionControlId"])
    hand.wait(31)
    hand.repairs(update(MAIN, MODE), by="create_vpc_encryption_control")


def test_what_keeps_it_from_enforcing_is_told_before(hand: Hand) -> None:
    hand.make(PLAIN)
    gateway = hand.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    hand.ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=hand[MAIN])
    told = rf"^spec\.yaml:\d+:\d+: vpcs\.main\.vpc_encryption_control\.mode: {hand[MAIN]} can't enforce encryption with {gateway}"
    hand.refuses_run(edited(ENFORCED, f"{CONTROL}/internet_gateway_exclusion", None), told)
    hand.make(ENFORCED)


@pytest.mark.parametrize("lag", [0.0, 20.0])
def test_lost_replies_are_no_failure_in_the_end(hand: Hand, faults: Faults, lag: float) -> None:
    hand.make(PLAIN)
    hand.world.strict.lag = lag
    for lost in ("create_vpc_encryption_control", "modify_vpc_encryption_control"):
        faults.lose_reply(lost)
    hand.world.apply(ENFORCED)
    hand.make(ENFORCED)
    assert faults.made["create_vpc_encryption_control"] == 1


def test_a_failed_one_is_told(hand: Hand) -> None:
    hand.make(PLAIN)
    failed = {"State": "monitor-failed", "StateMessage": "no capacity"}

    def fail(answer: Any) -> None:
        for row in answer["VpcEncryptionControls"]:
            row |= failed

    hand.answers("describe_vpc_encryption_controls", fail)
    result = hand.world.apply(ENFORCED)
    assert any("AWS couldn't set up encryption: no capacity" in text for text in result.failures)
    failed.clear()
    hand.make(ENFORCED)


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (edited(ENFORCED, f"{CONTROL}/mode", "monitor"), "internet_gateway_exclusion: is for a VPC that enforces encryption"),
        (
            edited(WITH_GATEWAY, f"{CONTROL}/internet_gateway_exclusion", None),
            r"mode: keeps internet_gateway\.main out; write internet_gateway_exclusion: enable as well",
        ),
        (edited(ENFORCED, f"{CONTROL}/mode", None), r"vpc_encryption_control\.mode: is missing"),
        (edited(ENFORCED, f"{CONTROL}/mode", "strict"), r'mode: is "strict"; choose monitor or enforce'),
    ],
)  # fmt: skip
def test_what_doesnt_go_together_is_refused(spec: Spec, told: str) -> None:
    with pytest.raises(SpecError, match=told):
        load(spec)
