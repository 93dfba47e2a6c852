"""Imitates AWS's rules for registrations and their health."""

from collections.abc import Callable
from typing import Any

from . import elb_functions
from .elb_addresses import check_address, zone_of
from .health import DESCRIPTIONS, as_health, why_unused
from .health import balancer_of as balancer_for
from .rule import Call, around, refuse
from .world import Registration, Timeline


def group_of(call: Call) -> Any:
    arn = call.given("TargetGroupArn")
    group = call.world.elb.target_groups.get(arn)
    if group is None:
        refuse("TargetGroupNotFound", f"Target groups '{arn}' not found")
    return group


def keys(call: Call, group: Any) -> list[tuple[str, int]]:
    """The (id, port) pairs of a request; the group's port if none is given, 0 for a function, which has no port."""
    return [(item["Id"], int(item.get("Port") or group.port or 0)) for item in call.given("Targets", [])]


@around("RegisterTargets")
def targets_run(call: Call, _: Callable[[], Any]) -> Any:
    """RegisterTargets: InvalidTarget unless the instance is running and in the group's VPC. A target may be
    registered on several ports. Registering a draining target again cancels its draining."""
    group = group_of(call)
    wanted = keys(call, group)
    if group.target_type == "instance":
        for instance_id, _port in wanted:
            check_instance(call, group, instance_id)
    if group.target_type == "ip":
        for item in call.given("Targets", []):
            check_address(call, group, item)
    if group.target_type == "lambda":
        elb_functions.check_function(call, group)
    targets = call.world.ledger.targets.setdefault(group.arn, {})
    for key in wanted:
        if key not in targets or targets[key].gone_at is not None:
            target = targets[key] = Registration(*key, since=call.now, verdict_since=call.now)
            target.timeline = Timeline()
            target.timeline.add(call.now, "unused", "Target.NotInUse|")
            if group.target_type == "ip":
                target.zone = zone_of(call.world, group, key[0]) or "all"
    return None


def check_instance(call: Call, group: Any, instance_id: str) -> None:
    instance = call.world.instance(instance_id)
    if instance is None:
        refuse("InvalidTarget", f"The following targets do not exist: '{instance_id}'")
    if instance.state != "running":
        refuse(
            "InvalidTarget",
            f"The following targets are not in a running state and cannot be registered: '{instance_id}'",
        )
    if instance.vpc_id != group.vpc_id:
        refuse(
            "InvalidTarget", f"The following targets are not in the target group VPC '{group.vpc_id}': '{instance_id}'"
        )


@around("DeregisterTargets")
def targets_drain(call: Call, _: Callable[[], Any]) -> Any:
    """DeregisterTargets: a target in use drains for deregistration_delay.timeout_seconds, any other leaves at once;
    'if the specified target does not exist, the action returns successfully'."""
    group = group_of(call)
    targets = call.world.ledger.targets.get(group.arn, {})
    balancer = balancer_for(call.world, group.arn)
    delay = call.timing.draining
    if delay is None:
        delay = float(group.attributes.get("deregistration_delay.timeout_seconds", 0))  # a function has no delay
    for key in keys(call, group):
        target = targets.get(key)
        if target is None or target.gone_at is not None:
            continue
        if delay <= 0 or why_unused(call.world, group, balancer, target):
            del targets[key]
            continue
        target.gone_at = call.now + delay
        target.timeline.add(call.now, "draining", "Target.DeregistrationInProgress")
        call.world.ledger.schedule(target.gone_at, "drained", f"{group.arn} {key[0]} {key[1]}")
    return None


@around("DescribeTargetHealth")
def health_is_told(call: Call, _: Callable[[], Any]) -> Any:
    """DescribeTargetHealth: unused, initial, healthy, unhealthy or draining, each with its reason."""
    group = group_of(call)
    targets = call.world.ledger.targets.get(group.arn, {})
    wanted = keys(call, group) or list(targets)
    unknown = "Target.NotRegistered"
    told = []
    for key in wanted:
        if key in targets:
            told.append(as_health(targets[key], group, call.now))
            continue
        told.append(
            {
                "Target": {"Id": key[0], "Port": key[1]},
                "HealthCheckPort": str(key[1]),
                "TargetHealth": {"State": "unused", "Reason": unknown, "Description": DESCRIPTIONS[unknown]},
            }
        )
    return {"TargetHealthDescriptions": told}
