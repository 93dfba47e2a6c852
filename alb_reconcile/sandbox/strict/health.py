"""Calculates target health: what the load balancer's checks would say of each registered target, and since when."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from .clock import Timing
from .world import Registration, World

Verdict = Literal["healthy", "unhealthy"]
HealthHook = Callable[[str, str, int], "Verdict | None"]

DESCRIPTIONS = {
    "Elb.InitialHealthChecking": "Initial health checks in progress",
    "Elb.RegistrationInProgress": "Target registration is in progress",
    "Target.DeregistrationInProgress": "Target deregistration is in progress",
    "Target.FailedHealthChecks": "Health checks failed",
    "Target.HealthCheckDisabled": "Health checks are not enabled for this target",
    "Target.IpUnusable": "Target IP is unusable",
    "Target.NotRegistered": "Target is not registered to the target group",
    "Target.ResponseCodeMismatch": "Health checks failed with these codes: [502]",
    "Target.Timeout": "Request timed out",
}
NOT_CONFIGURED = "Target group is not configured to receive traffic from the load balancer"
ZONE_NOT_ENABLED = "Target is in an Availability Zone that is not enabled for the load balancer"


@dataclass(frozen=True)
class Check:
    """The result of a real health check of a registration. `began` is on AWS's clock; `reason` is empty if the check passed.

    `latency` is in real seconds; `code` is the answer's status, -1 without an answer.
    """

    group: str
    target: str
    port: int
    began: float
    reason: str
    latency: float = 0.0
    code: int = -1


class Health:
    """Decides the states of targets: unused, initial, healthy, unhealthy, draining (AWS ELB, 'Target health status')."""

    def __init__(self) -> None:
        self.hook: HealthHook | None = None
        self.is_real = False
        """Whether real checks are made: then only `record` makes targets healthy or unhealthy, and not the clock."""

    def evaluate(self, world: World, now: float, timing: Timing) -> None:
        for arn, targets in world.ledger.targets.items():
            group = world.elb.target_groups.get(arn)
            if group is None:
                continue
            balancer = balancer_of(world, arn)
            for target in targets.values():
                if target.gone_at is None:
                    self._step(world, group, balancer, target, now, timing)

    def _step(self, world: World, group: Any, balancer: Any, target: Registration, now: float, timing: Timing) -> None:
        unused = why_unused(world, group, balancer, target)
        if not unused and group.target_type == "lambda" and str(group.health_check_enabled).lower() == "false":
            if target.phase != "unavailable":
                target.timeline.add(now, "unavailable", "Target.HealthCheckDisabled")
            return
        if unused:
            if target.timeline.at(now) != ("unused", unused):
                target.timeline.add(now, "unused", unused)
            return
        if target.phase in ("unused", "unavailable"):
            active = world.ledger.balancers.get(balancer.arn)
            target.since = max(now, active.entries[-1][0] if active else now)
            target.verdict_since = target.since
            target.streak = 0
            target.timeline.add(now, "initial", "Elb.RegistrationInProgress")
            if target.since > now:
                world.ledger.schedule(target.since, "state", target.id)
        if now < target.since:
            return
        if target.timeline.at(now)[1] == "Elb.RegistrationInProgress":
            target.timeline.add(target.since, "initial", "Elb.InitialHealthChecking")
        if self.is_real:
            return
        verdict, reason = self._verdict(world, group, target)
        if verdict != target.verdict:
            target.verdict, target.verdict_since = verdict, max(now, target.since)
        self._turn(group, target, now, timing, reason)

    def _turn(self, group: Any, target: Registration, now: float, timing: Timing, reason: str) -> None:
        """Make a target healthy or unhealthy when the time for enough checks in a row has passed."""
        phase, verdict = target.phase, target.verdict
        if phase == verdict:
            return
        interval = float(group.health_check_interval_seconds)
        if verdict == "unhealthy":
            delay = _or(timing.failing, int(group.unhealthy_threshold_count) * interval)
        elif phase == "initial":
            delay = _or(timing.initial, interval)
        else:
            delay = _or(timing.recovering, int(group.healthy_threshold_count) * interval)
        turned = target.verdict_since + delay
        if now >= turned:
            target.timeline.add(turned, verdict, reason)

    def record(self, world: World, check: Check, now: float) -> None:
        """Count a real check. For a new target, one check that passes is enough; otherwise the group's thresholds apply.

        AWS ELB, 'Target health status' and 'Health check settings'. Checks from before the target was last taken into use don't count.
        """
        target = world.ledger.targets.get(check.group, {}).get((check.target, check.port))
        group = world.elb.target_groups.get(check.group)
        if target is None or group is None or target.phase not in ("initial", "healthy", "unhealthy"):
            return
        if check.began < target.since or target.timeline.at(now)[1] == "Elb.RegistrationInProgress":
            return
        if not check.reason:
            target.streak = max(0, target.streak) + 1
            enough = 1 if target.phase == "initial" else int(group.healthy_threshold_count)
            if target.phase != "healthy" and target.streak >= enough:
                target.timeline.add(now, "healthy")
            return
        target.streak = min(0, target.streak) - 1
        told = ("unhealthy", check.reason)
        fails = target.phase == "unhealthy" or -target.streak >= int(group.unhealthy_threshold_count)
        if fails and target.timeline.at(now) != told:
            target.timeline.add(now, *told)

    def _verdict(self, world: World, group: Any, target: Registration) -> tuple[str, str]:
        arn = group.arn
        forced = world.ledger.unhealthy.get((arn, target.id))
        if forced:
            return "unhealthy", forced
        told = self.hook(arn, target.id, target.port) if self.hook else None
        if told == "unhealthy":
            return "unhealthy", "Target.FailedHealthChecks"
        if told is None and group.target_type == "ip":
            instance = world.target_instance(group, target.id)
            if instance is None or instance.state != "running":
                return "unhealthy", "Target.Timeout"
        return "healthy", ""


def _or(given: float | None, derived: float) -> float:
    return derived if given is None else given


def forwarded(actions: list[Any]) -> list[str]:
    """The target groups that actions forward to, also at weight 0."""
    arns: list[str] = []
    for action in actions:
        data = action.data if hasattr(action, "data") else action
        if data.get("Type") != "forward":
            continue
        entries = (data.get("ForwardConfig") or {}).get("TargetGroups") or []
        arns += [entry["TargetGroupArn"] for entry in entries]
        if data.get("TargetGroupArn"):
            arns.append(data["TargetGroupArn"])
    return list(dict.fromkeys(arns))


def balancer_of(world: World, group_arn: str) -> Any | None:
    """The load balancer with a listener or rule that forwards to the group."""
    for balancer in world.elb.load_balancers.values():
        for listener in balancer.listeners.values():
            for rule in listener.rules.values():
                if group_arn in forwarded(rule.actions):
                    return balancer
    return None


def why_unused(world: World, group: Any, balancer: Any | None, target: Registration) -> str:
    """Why a target is unused, as `reason|description`; empty if it is in use."""
    if balancer is None:
        return f"Target.NotInUse|{NOT_CONFIGURED}"
    zones = {subnet.availability_zone for subnet in balancer.subnets}
    if group.target_type != "instance":
        return "" if target.zone in ("", "all", *zones) else f"Target.NotInUse|{ZONE_NOT_ENABLED}"
    instance = world.instance(target.id)
    state = instance.state if instance else "terminated"
    if instance is None or state != "running":
        return f"Target.InvalidState|Target is in the {state} state"
    if instance.placement.zone not in zones:
        return f"Target.NotInUse|{ZONE_NOT_ENABLED}"
    return ""


def as_health(target: Registration, group: Any, now: float) -> dict[str, Any]:
    """One entry of DescribeTargetHealth."""
    state, reason = target.timeline.at(now)
    reason, _, description = reason.partition("|")
    health: dict[str, Any] = {"State": state}
    if reason:
        health |= {"Reason": reason, "Description": description or DESCRIPTIONS.get(reason, reason)}
    check_port = group.health_check_port
    if group.target_type == "lambda":
        return {"Target": {"Id": target.id, "AvailabilityZone": "all"}, "TargetHealth": health}
    zone = {"AvailabilityZone": target.zone} if target.zone else {}
    return {
        "Target": {"Id": target.id, "Port": target.port, **zone},
        "HealthCheckPort": str(target.port) if check_port in (None, "traffic-port") else str(check_port),
        "TargetHealth": health,
    }
