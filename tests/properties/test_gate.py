"""A run is held before a step after which requests wouldn't be answered, whatever has happened since it was planned."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.engine import gate
from alb_reconcile.kinds import waits
from alb_reconcile.model.steps import HEALTH_TIMEOUT
from tests.harness import Spec, demo
from tests.kinds.test_record import ZONE, prepare
from tests.properties.test_gaps import ALLOW, CHANGES, listener
from tests.properties.watched import WatchedWorld, watched

if TYPE_CHECKING:
    from collections.abc import Callable

    from alb_reconcile.kinds.context import Run
    from alb_reconcile.model.plan import Step


def groups_of(here: WatchedWorld, *addresses: str) -> list[str]:
    """The target groups at these addresses, by ARN."""
    arns = [item["TargetGroupArn"] for item in here.client("elbv2").describe_target_groups()["TargetGroups"]]
    return [arn for arn in arns if here._name(arn) in addresses]


def fall_ill(here: WatchedWorld, group: str) -> None:
    """None of a group's targets passes its checks any more."""
    for item in here.client("elbv2").describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]:
        here.strict.set_target_unhealthy(group, item["Target"]["Id"])


def deregister(here: WatchedWorld, group: str) -> None:
    """Somebody takes all targets out of a group."""
    elb = here.client("elbv2")
    targets = elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
    elb.deregister_targets(TargetGroupArn=group, Targets=[item["Target"] for item in targets])


def stop(here: WatchedWorld, group: str) -> None:
    """The instances of a group are stopped, and stay registered."""
    targets = here.client("elbv2").describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
    here.client("ec2").stop_instances(InstanceIds=[item["Target"]["Id"] for item in targets])


def meanwhile(
    monkeypatch: pytest.MonkeyPatch, key: str, happens: Callable[[], None], here: WatchedWorld
) -> list[float]:
    """Let something happen once, right before the gate looks at a step. Returns when the gate began to look, and when it ended."""
    real, times = gate.Gate.hold, list[float]()

    async def hold(self: gate.Gate, run: Run, step: Step) -> None:
        if not step.key.startswith(key) or times:
            return await real(self, run, step)
        happens()
        here.clock.advance(120)
        times.append(here.clock.now())
        try:
            await real(self, run, step)
        finally:
            times.append(here.clock.now())

    monkeypatch.setattr(gate.Gate, "hold", hold)
    return times


@pytest.mark.parametrize(
    ("what", "ends", "text"),
    [
        (deregister, waits.LAG, "no healthy target, and no step of this run changes that; run again"),
        (fall_ill, HEALTH_TIMEOUT, "no healthy target"),
    ],
)
def test_a_rule_waits_for_a_group_that_was_healthy(
    what: Callable[[WatchedWorld, str], None], ends: float, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A renamed rule takes its requests over from the old one as soon as it is made. The step ends at once where no target can get healthy
    any more; else for as long as a target may take."""
    before, after = CHANGES["a rule is renamed with its group"]
    with watched() as here:
        here.converge(before)
        held = meanwhile(monkeypatch, "create:rule", lambda: what(here, *groups_of(here, "target_group.other")), here)
        here.watch()
        result = here.apply(after, allow=ALLOW, check=False)
        assert any(text in str(failure) for failure in result.failures), result.failures
        assert {low.healthy for low in here.lows.values()} == {2}, here.lows
        assert ends < held[1] - held[0] < ends + 30


@pytest.mark.parametrize(("what", "ends"), [(fall_ill, HEALTH_TIMEOUT), (deregister, waits.LAG), (stop, waits.LAG)])
def test_a_name_waits_for_the_load_balancer_to_which_it_is_led(
    what: Callable[[WatchedWorld, str], None], ends: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = two_fronts()
    after = copy.deepcopy(before)
    after["records"]["api"]["alias"] = "front"
    with watched() as here:
        prepare()
        here.converge(before)
        changes: list[Any] = []
        real = here._call

        def call(service: str, operation: str, params: Any) -> Any:
            changes.extend([params] if operation == "change_resource_record_sets" else [])
            return real(service, operation, params)

        here._call = call  # type: ignore[method-assign]  # to see what is asked of AWS
        held = meanwhile(monkeypatch, "update:record", lambda: what(here, *groups_of(here, "target_group.green")), here)
        result = here.apply(after, allow=ALLOW, check=False)
        assert any("answers nothing" in str(failure) for failure in result.failures)
        assert not changes, "the name still leads to what answers"
        assert ends < held[1] - held[0] < ends + 30


def two_fronts() -> Spec:
    """A name of one of two load balancers, each with a group and instances of its own."""
    spec = demo()
    spec["instances"]["green"] = {**spec["instances"]["web"]}
    spec["target_groups"]["green"] = {**spec["target_groups"]["web"], "targets": ["green"]}
    spec["load_balancers"]["front"] = copy.deepcopy(spec["load_balancers"]["public"])
    listener(spec)["default_action"] = {"forward": "web"}
    spec["load_balancers"]["front"]["listeners"]["http"]["default_action"] = {"forward": "green"}
    spec["records"] = {"api": {"zone": ZONE, "name": f"api.{ZONE}", "type": "A", "alias": "public"}}
    return spec


def by_address(spec: Spec) -> Spec:
    """The other group registers its instances by address."""
    spec["target_groups"]["green"]["target_type"] = "ip"
    return spec


def made_at_once(spec: Spec) -> Spec:
    """The second load balancer, and its group, aren't there yet."""
    del spec["load_balancers"]["front"], spec["target_groups"]["green"], spec["instances"]["green"]
    return spec


@pytest.mark.slow
@pytest.mark.parametrize("change", [by_address, made_at_once])
def test_a_name_is_led_to_another_load_balancer_that_serves(change: Callable[[Spec], Spec]) -> None:
    """Targets are known by their addresses, or the load balancer is made in the same run, and takes its time."""
    before = two_fronts()
    after = by_address(two_fronts()) if change is by_address else two_fronts()
    after["records"]["api"]["alias"] = "front"
    with watched() as here:
        prepare()
        here.strict.timing = replace(here.strict.timing, provisioning=700)
        here.converge(change(before))
        healthy: list[list[str]] = []
        elb, real = here.client("elbv2"), here._call

        def call(service: str, operation: str, params: Any) -> Any:
            if operation == "change_resource_record_sets":
                (group,) = groups_of(here, "target_group.green")
                shown = elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
                healthy.append([item["TargetHealth"]["State"] for item in shown])
            return real(service, operation, params)

        here._call = call  # type: ignore[method-assign]  # to see what is so when the name moves
        here.converge(after, allow=ALLOW)
        assert healthy
        assert all(states == ["healthy", "healthy"] for states in healthy)


def test_what_was_ill_before_holds_no_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule in whose group nothing is healthy goes all the same: nothing is lost by that."""
    before, after = CHANGES["a rule goes with its group"]
    with watched() as here:
        here.converge(before)
        meanwhile(monkeypatch, "delete:rule", lambda: fall_ill(here, *groups_of(here, "target_group.api")), here)
        here.converge(after, allow=ALLOW)
