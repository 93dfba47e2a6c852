"""Instances' protections as specs declare them, switch them off or leave them out, also in runs that are cut short: a tag says what
AWS doesn't show."""

from __future__ import annotations

from asyncio import CancelledError
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from tests.kinds.hand import edited
from tests.kinds.test_protection import IN_PLACE, WEB_1, refused
from tests.properties.faults import Gone, Killed, spoilt

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.kinds.hand import Faults, Hand

pytestmark = pytest.mark.slow

BESIDE: tuple[Spec, ...] = ({}, {"instance_initiated_shutdown_behavior": "stop"})
"""What else a spec declares of what a tag keeps, or nothing: then nothing writes that tag any more."""


def small(**keys: Any) -> Spec:
    """The demo with one instance, which is changed in place, and more said of it."""
    spec = edited(IN_PLACE, "instances/web/count", 1)
    spec["instances"]["web"] |= keys
    return spec


def is_on(hand: Hand, name: str) -> bool:
    """Whether AWS has an attribute of the instance on."""
    found = hand.ec2.describe_instance_attribute(InstanceId=hand[WEB_1], Attribute=name)
    return bool(found[name[:1].upper() + name[1:]]["Value"])


@pytest.mark.parametrize("beside", BESIDE)
def test_one_that_was_not_declared_for_a_while_is_declared_again(hand: Hand, beside: Spec) -> None:
    """Found by an attack: what somebody had switched off meanwhile stayed off, and the plan was empty."""
    hand.make(small(**beside, disable_api_termination=True))
    hand.make(small(**beside, monitoring={"enabled": True}))
    hand.ec2.modify_instance_attribute(InstanceId=hand[WEB_1], DisableApiTermination={"Value": False})
    hand.make(small(**beside, disable_api_termination=True))
    assert is_on(hand, "disableApiTermination")


@pytest.mark.parametrize("beside", BESIDE)
@pytest.mark.parametrize("again", [True, False])
def test_stop_protection_that_is_not_declared_any_more_and_lifted_by_a_run_that_is_cut_short(
    hand: Hand, faults: Faults, beside: Spec, again: bool
) -> None:
    """Found by an attack: it stayed off when it was declared again, and the plan was empty."""
    hand.make(small(**beside, disable_api_stop=True))
    other = small(**beside, instance_type="t3.small")
    faults.refuse("modify_instance_attribute", "InternalError", times=9, after="stop_instances")
    allow = {"lift-protection": 1, "empty-target-group": 1}
    assert hand.world.apply(other, allow=allow).failures
    faults.refusals.clear()
    if again:
        hand.make(other, allow=allow)
    hand.make(edited(other, "instances/web/disable_api_stop", True), allow=allow)
    assert is_on(hand, "disableApiStop")


def test_one_that_a_killed_run_has_set_and_nobody_wants_is_declared_later(hand: Hand) -> None:
    """Found by a walk: the tag went on saying that it was on, and what somebody had switched off stayed off."""
    hand.make(small())
    wish = small(disable_api_stop=True)
    killed = Killed(3, "after")  # its digest hasn't been written yet
    with spoilt(hand.world, killed), suppress(Gone, CancelledError, RuntimeError):
        hand.world.apply(wish)
    assert (killed.words, is_on(hand, "disableApiStop")) == ("after create_tags", True)
    hand.make(small())
    hand.ec2.modify_instance_attribute(InstanceId=hand[WEB_1], DisableApiStop={"Value": False})
    hand.make(wish)
    assert is_on(hand, "disableApiStop")


@pytest.mark.parametrize("fails", ["monitor_instances", "create_tags", "modify_instance_attribute"])
def test_a_change_that_is_cut_short_and_taken_back(hand: Hand, faults: Faults, fails: str) -> None:
    """Found by an attack: AWS kept what the spec before didn't say, and the plan was empty."""
    spec = small(disable_api_termination=True, instance_initiated_shutdown_behavior="stop")
    hand.make(spec)
    other = small(
        disable_api_termination=False, instance_initiated_shutdown_behavior="terminate", monitoring={"enabled": True}
    )
    after = "modify_instance_attribute" if fails != "monitor_instances" else ""
    faults.refuse(fails, "InternalError", times=9, after=after)
    assert hand.world.apply(other, allow={"lift-protection": 1}).failures
    faults.refusals.clear()
    hand.make(spec)
    assert is_on(hand, "disableApiTermination")
    shown = hand.ec2.describe_instance_attribute(InstanceId=hand[WEB_1], Attribute="instanceInitiatedShutdownBehavior")
    assert shown["InstanceInitiatedShutdownBehavior"]["Value"] == "stop"


@pytest.mark.parametrize("then", ["declared", "not declared", "destroyed"])
def test_stop_protection_that_a_run_failed_to_lift_is_found_again(hand: Hand, faults: Faults, then: str) -> None:
    """Found by an attack: the tag said that it was off before it was, and the plan was empty, or each run failed at the termination."""
    spec = small(disable_api_stop=True)
    hand.make(spec)
    faults.refuse("modify_instance_attribute", "InternalError", times=9)
    allow = {"lift-protection": 1, "empty-target-group": 1}
    other = edited(spec, "instances/web/disable_api_stop", True if then == "declared" else None)
    other = spec if then == "destroyed" else edited(other, "instances/web/instance_type", "t3.small")
    assert hand.world.apply(other, allow=allow, destroy=then == "destroyed").failures
    faults.refusals.clear()
    if then == "destroyed":
        (line,) = refused(hand, spec, destroy=True)
        assert line.startswith(f"{WEB_1} ({hand[WEB_1]}) has stop protection;")
        hand.world.destroy(spec, allow=allow)
        return
    off = edited(spec, "instances/web/disable_api_stop", False)
    (line,) = refused(hand, off)
    assert line.startswith(f"{WEB_1} ({hand[WEB_1]}) would lose its stop protection;")
    hand.make(off, allow=allow)
    assert not is_on(hand, "disableApiStop")


def test_what_is_switched_off_is_what_aws_has(hand: Hand) -> None:
    """Found by an attack: one that the spec hadn't declared went without a word, and one that was off was asked for."""
    hand.make(small(disable_api_termination=True))
    hand.make(small(monitoring={"enabled": True}))
    off = small(disable_api_termination=False)
    (line,) = refused(hand, off)
    assert line.startswith(f"{WEB_1} ({hand[WEB_1]}) would lose its termination protection;")
    hand.ec2.modify_instance_attribute(InstanceId=hand[WEB_1], DisableApiTermination={"Value": False})
    hand.make(off)


def test_an_update_that_loses_one_and_needs_the_other_off_names_both(hand: Hand) -> None:
    """Found by an attack: who allowed what was named lost the other for good."""
    hand.make(small(disable_api_termination=True, disable_api_stop=True))
    other = small(disable_api_termination=False, disable_api_stop=True, instance_type="t3.small")
    (line,) = refused(hand, other, allow={"empty-target-group": 1})
    assert line.startswith(f"{WEB_1} ({hand[WEB_1]}) would lose its termination protection and has stop protection;")
    hand.make(other, allow={"lift-protection": 1, "empty-target-group": 1})
    assert (is_on(hand, "disableApiTermination"), is_on(hand, "disableApiStop")) == (False, True)
