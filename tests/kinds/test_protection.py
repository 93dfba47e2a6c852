"""Deletion and termination protection: refused before anything is changed, lifted by the step itself if that is allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.harness import Spec, demo
from tests.kinds.hand import Hand, calls, edited, order

if TYPE_CHECKING:
    from tests.kinds.hand import Faults

PUBLIC, WEB_1, WEB_2 = "load_balancer.public", "instance.web-1", "instance.web-2"
ON = "load_balancers/public/attributes/deletion_protection.enabled"


def protect(hand: Hand, *addresses: str) -> None:
    """Switch protection on by hand."""
    for address in addresses:
        if address == PUBLIC:
            pair = {"Key": "deletion_protection.enabled", "Value": "true"}
            hand.elb.modify_load_balancer_attributes(LoadBalancerArn=hand[address], Attributes=[pair])
        else:
            hand.ec2.modify_instance_attribute(InstanceId=hand[address], DisableApiTermination={"Value": True})


def refused(hand: Hand, spec: Spec, **options: Any) -> list[str]:
    return hand.refuses_run(spec, **options)


def has_protection(hand: Hand, address: str, attribute: str = "disableApiStop") -> bool:
    found = hand.ec2.describe_instance_attribute(InstanceId=hand[address], Attribute=attribute)
    return bool(found[attribute[:1].upper() + attribute[1:]]["Value"])


def test_a_load_balancer_that_goes(hand: Hand) -> None:
    hand.make(demo())
    protect(hand, PUBLIC)
    without = edited(demo(), "load_balancers", None)
    (line,) = refused(hand, without, allow={"delete-load-balancer": 1})
    assert line == (f"{PUBLIC} ({hand[PUBLIC]}) has deletion protection; allow it once with --allow lift-protection=1")
    hand.make(without, allow={"lift-protection": 1, "delete-load-balancer": 1})
    both = ["modify_load_balancer_attributes", "delete_load_balancer"]
    assert order(hand.world, *both) == both


def test_a_load_balancer_that_is_replaced_keeps_its_protection_in_the_new_one(hand: Hand) -> None:
    spec = edited(demo(), ON, True)
    hand.make(spec)
    other = edited(spec, "load_balancers/public/scheme", "internal")
    allow = {"replace-load-balancer": 1}
    assert refused(hand, other, allow=allow)[0].endswith("allow it once with --allow lift-protection=1")
    # what the spec declares is read anyway
    assert not calls(hand.world, "describe_load_balancer_attributes")[1:]
    hand.make(other, allow={**allow, "lift-protection": 1})
    answer = hand.elb.describe_load_balancer_attributes(LoadBalancerArn=hand[PUBLIC])
    assert {"Key": "deletion_protection.enabled", "Value": "true"} in answer["Attributes"]


def test_instances_that_are_replaced(hand: Hand) -> None:
    hand.make(demo())
    protect(hand, WEB_1, WEB_2)
    old = {hand[WEB_1], hand[WEB_2]}
    other = edited(demo(), "instances/web/instance_type", "t3.small")
    assert [line.partition(" (")[0] for line in refused(hand, other)] == [WEB_1, WEB_2]
    lines = refused(hand, other, allow={"lift-protection": 1})
    assert all(line.endswith("has termination protection; allow it once with --allow lift-protection=2") for line in lines)  # fmt: skip
    result = hand.make(other, allow={"lift-protection": 2})
    lifted = [params["InstanceId"] for params in calls(hand.world, "modify_instance_attribute")]
    assert result.writes["modify_instance_attribute"] == 4  # from being stopped, and from being terminated
    assert set(lifted) == old
    # one after the other, as the roll goes, and each just before it is terminated
    assert order(hand.world, "modify_instance_attribute", "terminate_instances") == [
        "modify_instance_attribute", "modify_instance_attribute", "terminate_instances",
    ] * 2  # fmt: skip


def test_a_spec_that_switches_it_off(hand: Hand) -> None:
    hand.make(edited(demo(), ON, True))
    off = edited(demo(), ON, False)
    (line,) = refused(hand, off)
    assert f"({hand[PUBLIC]}) would lose its deletion protection; allow it once with --allow lift-protection=1" in line
    assert hand.make(off, allow={"lift-protection": 1}).writes["modify_load_balancer_attributes"] == 1
    assert hand.make(edited(demo(), ON, True)).writes["modify_load_balancer_attributes"] == 1


def test_a_lifted_protection_may_be_in_the_way_for_a_while(hand: Hand, faults: Faults) -> None:
    hand.make(demo())
    protect(hand, PUBLIC, WEB_2)
    fewer = edited(edited(demo(), "load_balancers", None), "instances/web/count", 1)
    faults.refuse("delete_load_balancer", "OperationNotPermitted", times=2)
    faults.refuse("terminate_instances", "OperationNotPermitted", times=2)
    hand.make(fewer, allow={"lift-protection": 2, "delete-load-balancer": 1})
    assert faults.made["delete_load_balancer"] == faults.made["terminate_instances"] == 3


IN_PLACE: Spec = edited(
    edited(demo(), "instances/web/type_change", "in-place"), "instances/web/rollout", {"max_unavailable": 1}
)


@pytest.mark.parametrize("declared", [True, False])
def test_instances_that_have_to_be_stopped_and_may_not_be(hand: Hand, declared: bool) -> None:
    spec = edited(IN_PLACE, "instances/web/disable_api_stop", True) if declared else IN_PLACE
    hand.make(spec)
    for address in (WEB_1, WEB_2):
        hand.ec2.modify_instance_attribute(InstanceId=hand[address], DisableApiStop={"Value": True})
    other = edited(spec, "instances/web/instance_type", "t3.small")
    lines = refused(hand, other)
    assert [line.partition(" (")[0] for line in lines] == [WEB_1, WEB_2]
    assert all(line.endswith("has stop protection; allow it once with --allow lift-protection=2") for line in lines)
    hand.make(other, allow={"lift-protection": 2})
    assert has_protection(hand, WEB_1)
    assert has_protection(hand, WEB_2), "it is on again"


@pytest.mark.parametrize("is_new", [True, False])
def test_it_is_on_again_after_a_run_that_was_cut_short(hand: Hand, faults: Faults, is_new: bool) -> None:
    spec = edited(edited(IN_PLACE, "instances/web/disable_api_stop", True), "instances/web/count", 1)
    if not is_new:
        hand.make(spec)
    other = edited(spec, "instances/web/state", "stopped")
    faults.refuse("modify_instance_attribute", "InternalError", times=9, after="stop_instances")
    assert hand.world.apply(other, allow={"lift-protection": 1, "empty-target-group": 1}).failures
    faults.refusals.clear()
    hand.make(other)
    assert has_protection(hand, WEB_1)


def test_it_is_on_again_where_a_deletion_was_cut_short_and_is_not_wanted_any_more(hand: Hand, faults: Faults) -> None:
    spec = edited(edited(demo(), "instances/web/disable_api_termination", True), "instances/web/disable_api_stop", True)
    hand.make(spec)
    faults.refuse("terminate_instances", "InternalError", times=9)
    fewer = edited(spec, "instances/web/count", 1)
    assert hand.world.apply(fewer, allow={"lift-protection": 1}).failures
    faults.refusals.clear()
    hand.make(spec)
    for attribute in ("disableApiTermination", "disableApiStop"):
        assert has_protection(hand, WEB_2, attribute), attribute
    (line,) = refused(hand, fewer)
    assert line.startswith(f"{WEB_2} ({hand[WEB_2]}) has termination protection and stop protection;")
    (gone,) = [step for step in hand.world.plan(fewer, allow={"lift-protection": 1}).steps if step.id == hand[WEB_2]]
    assert "lifts its termination protection and stop protection" in gone.effects


def test_a_destroy_finds_stop_protection_that_the_spec_does_not_name_any_more(hand: Hand) -> None:
    spec = edited(edited(demo(), "instances/web/disable_api_stop", True), "instances/web/count", 1)
    spec = edited(spec, "instances/web/disable_api_termination", False)
    hand.make(spec)
    without = edited(spec, "instances/web/disable_api_stop", None)
    for path, value in (("monitoring", {"enabled": True}), ("instance_initiated_shutdown_behavior", "terminate")):
        without = edited(without, f"instances/web/{path}", value)
        hand.make(without)
        (line,) = refused(hand, without, destroy=True)
        assert line.startswith(f"{WEB_1} ({hand[WEB_1]}) has stop protection;")
    hand.world.destroy(without, allow={"lift-protection": 1})


def test_one_that_may_not_be_stopped_is_made_stopped(hand: Hand) -> None:
    spec = edited(edited(demo(), "instances/web/disable_api_stop", True), "instances/web/state", "stopped")
    hand.make(spec)
    assert has_protection(hand, WEB_1)
    off = edited(spec, "instances/web/disable_api_stop", False)
    assert all(") would lose its stop protection;" in line for line in refused(hand, off))
    hand.make(edited(off, "instances/web/state", "running"), allow={"lift-protection": 2})


def test_sync_lifts_nothing_and_says_so(hand: Hand) -> None:
    spec = edited(demo(), ON, False)
    hand.make(spec)
    protect(hand, PUBLIC)
    before = hand.world.strict.inventory()
    ending = hand.world.sync(spec)
    assert list(ending.selection.withheld.values()) == [f"{PUBLIC} ({hand[PUBLIC]}) would lose its deletion protection"]
    assert hand.world.strict.inventory() == before


@pytest.mark.parametrize(
    ("operation", "gone"),
    [("terminate_instances", "instances/web/count"), ("delete_load_balancer", "load_balancers")],
)
def test_what_is_unlocked_and_not_deleted_is_told(hand: Hand, faults: Faults, operation: str, gone: str) -> None:
    hand.make(demo())
    protect(hand, PUBLIC, WEB_2)
    faults.refuse(operation, "UnauthorizedOperation")
    wish = edited(demo(), gone, 1 if gone.startswith("instances") else None)
    (line,) = hand.world.apply(wish, allow={"lift-protection": 1, "delete-load-balancer": 1}).failures
    assert "UnauthorizedOperation" in line
    assert "protection is off now: run again, or switch it back on by hand" in line
