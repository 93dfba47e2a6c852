"""AWS that throttles, or doesn't answer for a while: a run waits for it, and ends only when it lasts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.model.errors import AwsError
from alb_reconcile.sandbox.strict import Timing
from tests.at_length import SOAK
from tests.harness import demo, world
from tests.kinds.hand import edited

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.harness import Spec
    from tests.kinds.hand import Faults, Hand


def rolled() -> Spec:
    spec = demo()
    spec["instances"]["web"]["user_data"] = "#!/bin/sh\nexec web-api two\n"
    return spec


@pytest.mark.parametrize(
    ("operation", "after", "code"),
    [
        (operation, after, code)
        for operation, after in {
            "describe_instances": "run_instances",
            "describe_target_health": "register_targets",
            "describe_load_balancers": "create_listener",
        }.items()
        for code in ("Throttling", "RequestLimitExceeded", "InternalFailure", "ServiceUnavailable")
    ][:: 1 if SOAK else 5],
)
def test_a_poll_survives(hand: Hand, faults: Faults, operation: str, after: str, code: str) -> None:
    faults.refuse(operation, code, times=5, after=after)
    hand.make(demo())
    faults.refuse(operation, code, times=5, after=after)
    hand.make(rolled())


@pytest.mark.parametrize("operation", ["run_instances", "register_targets", "create_vpc", "create_listener"])
def test_a_change_that_is_throttled_is_made_later_and_once(hand: Hand, faults: Faults, operation: str) -> None:
    faults.refuse(operation, "Throttling", "Rate exceeded", times=6)
    hand.make(demo())
    assert len(hand.ec2.describe_vpcs(Filters=[{"Name": "tag-key", "Values": ["alb-reconcile:stack"]}])["Vpcs"]) == 1


def test_a_load_balancer_that_is_not_shown_yet(hand: Hand) -> None:
    real, refused = hand.world._call, list[str]()

    def call(service: str, operation: str, params: Mapping[str, Any]) -> Any:
        if params.get("LoadBalancerArns") and len(refused) < 3:
            refused.append(operation)
            raise AwsError(service, operation, "LoadBalancerNotFound", "not found", "req-1")
        return real(service, operation, params)

    hand.world._call = call  # type: ignore[method-assign]
    hand.make(demo())
    assert len(refused) == 3


def test_what_was_made_a_moment_ago_may_be_unknown(hand: Hand) -> None:
    """Found: tags of instances that one call had launched, and a launch with a new key pair, weren't waited for."""
    hand.make(demo())
    spec = demo()
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILmQbJ5nW2fJ0d2S1bZ1m8y0sWgkq6b1vFv0kq0v1o8K somebody@example"
    spec["key_pairs"] = {"ops": {"public_key": key}}
    spec["instance_profiles"] = {"web": {"managed_policies": ["AmazonSSMManagedInstanceCore"]}}
    spec["instances"]["web"] |= {"count": 4, "name": "shop-web", "key_name": "ops", "iam_instance_profile": "web"}
    hand.world.strict.reference_lag = 20.0
    hand.make(spec)
    assert {"run_instances", "create_tags"} <= hand.world.denial.calls.keys()


def test_an_earlier_runs_vpc_may_be_unknown(hand: Hand) -> None:
    """A run that follows a killed one at once names what it hasn't made itself."""
    spec = demo()
    hand.make({key: spec[key] for key in ("stack", "region", "vpcs")})
    hand.world.strict.reference_lag = hand.world.clock.now() + 20.0
    hand.make(spec)
    assert hand.world.denial.calls["create_tags"]


def test_bare_metal_takes_its_time(hand: Hand) -> None:
    spec = edited(demo(), "instances/web/instance_type", "c5.metal")
    spec["instances"]["web"] |= {"type_change": "in-place", "rollout": {"max_unavailable": 1}}
    hand.make(spec)
    hand.make(edited(spec, "instances/web/instance_type", "t3.micro"))


def test_another_instance_that_never_runs_is_told_after_ten_minutes() -> None:
    with world(Timing(pending=3600)) as here:
        began = here.clock.now()
        failures = here.apply(demo()).failures
        assert here.clock.now() - began < 900
        assert sum("waited 600 s for: i-" in text and "to be running (now pending)" in text for text in failures) == 2


def test_a_wait_without_any_answer_says_what_it_was_for(hand: Hand) -> None:
    spec = edited(rolled(), "instances/web/rollout", {"health_timeout": "2m"})
    hand.make(edited(spec, "instances/web/user_data", "#!/bin/sh\nexec web-api\n"))
    real, registered = hand.world._call, list[float]()

    def call(service: str, operation: str, params: Mapping[str, Any]) -> Any:
        now = hand.world.clock.now()
        if operation == "register_targets":
            registered.append(now)
        elif operation == "describe_target_health" and registered and now < registered[0] + 200:
            raise AwsError(service, operation, "Throttling", "Rate exceeded", "req-1")
        return real(service, operation, params)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hand.world, "_call", call)
        waits = [text for text in hand.world.apply(spec).failures if "waited" in text]
    assert waits
    assert all("waited 150 s for: a first answer about i-" in text for text in waits), waits


@pytest.mark.parametrize(
    ("operation", "code"), [("create_subnet", "RequestLimitExceeded"), ("create_target_group", "Throttling")]
)
def test_throttling_that_lasts_is_told_as_such(hand: Hand, faults: Faults, operation: str, code: str) -> None:
    faults.refuse(operation, code, "Rate exceeded", times=10_000)
    (text, *_) = [item for item in hand.world.apply(demo()).failures if code in item]
    assert "throttles this account's calls" in text
    assert "quota" not in text
