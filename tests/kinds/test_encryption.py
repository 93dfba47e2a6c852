"""VPC encryption controls: made with the VPC or later, changed in place, removed, and what keeps them from enforcing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.kinds.test_network_interrupted import census, killed_at_each_call

from alb_reconcile.model.errors import RefusedError, SpecError
from tests.adoption.adopting import by_address, keeper
from tests.harness import load
from tests.kinds.hand import Faults, Hand, calls, edited, order, update
from tests.properties.watched import watched

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
    spec = edited(PLAIN, CONTROL, {"mode": "monitor"})
    hand.make(spec)
    found = shown(hand)
    assert found is not None
    hand.ec2.delete_vpc_encryption_control(VpcEncryptionControlId=found["VpcEncryptionControlId"])
    hand.wait(31)
    hand.repairs(update(MAIN, MODE), by="create_vpc_encryption_control")


def test_what_keeps_it_from_enforcing_is_told_before(hand: Hand) -> None:
    hand.make(PLAIN)
    gateway = hand.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    hand.ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=hand[MAIN])
    before = hand.world.strict.inventory()
    told = rf"^spec\.yaml:\d+:\d+: vpcs\.main\.vpc_encryption_control\.mode: {hand[MAIN]} can't enforce encryption with {gateway}"
    with pytest.raises(RefusedError, match=told):
        hand.world.apply(edited(ENFORCED, f"{CONTROL}/internet_gateway_exclusion", None))
    assert hand.world.strict.inventory() == before
    hand.make(ENFORCED)


@pytest.mark.parametrize("lag", [0.0, 20.0])
@pytest.mark.parametrize("lost", ["create_vpc_encryption_control", "modify_vpc_encryption_control"])
def test_a_lost_reply_is_no_failure_in_the_end(hand: Hand, faults: Faults, lost: str, lag: float) -> None:
    hand.make(PLAIN)
    hand.world.strict.lag = lag
    faults.lose_reply(lost)
    hand.world.apply(ENFORCED)
    hand.make(ENFORCED)
    assert faults.made["create_vpc_encryption_control"] == 1


def test_a_failed_one_is_told(hand: Hand) -> None:
    hand.make(PLAIN)
    real = hand.world._call

    def call(service: str, operation: str, params: Any) -> Any:
        answer = real(service, operation, params)
        for row in answer.get("VpcEncryptionControls", ()):
            row |= {"State": "monitor-failed", "StateMessage": "no capacity"}
        return answer

    hand.world._call = call  # type: ignore[method-assign]
    result = hand.world.apply(ENFORCED)
    assert any("AWS couldn't set up encryption: no capacity" in text for text in result.failures)
    hand.world._call = real  # type: ignore[method-assign]
    hand.make(ENFORCED)


def test_a_killed_run_is_finished() -> None:
    with watched() as world:
        killed_at_each_call(world, WITH_GATEWAY, 0.0, 1, least=4)
    with watched() as world:
        world.converge(PLAIN)
        killed_at_each_call(world, ENFORCED, 0.0, 1, least=4)
        empty = census(world)
        world.destroy(ENFORCED)
        assert len(census(world)) < len(empty)


def test_it_is_adopted_with_its_vpc() -> None:
    with keeper() as (world, commands):
        world.converge(WITH_GATEWAY)
        commands.release(WITH_GATEWAY)
        assert by_address(commands.adopt(WITH_GATEWAY)).keys() == {MAIN, "internet_gateway.main"}
        assert world.plan(WITH_GATEWAY).is_empty


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
