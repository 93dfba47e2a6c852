"""Imitates AWS's rules for target groups."""

import re
from collections.abc import Callable
from typing import Any

from .elb_attributes import FUNCTION_DEFAULTS, group_defaults
from .elb_balancers import MOST_DESCRIBED
from .health import balancer_of
from .rule import Call, around, before, refuse
from .world import World

CHECKS = {
    "HealthCheckProtocol": ("health_check_protocol", "HTTP"),
    "HealthCheckPort": ("health_check_port", "traffic-port"),
    "HealthCheckPath": ("health_check_path", "/"),
    "HealthCheckEnabled": ("health_check_enabled", True),
    "HealthCheckIntervalSeconds": ("health_check_interval_seconds", 30),
    "HealthCheckTimeoutSeconds": ("health_check_timeout_seconds", 5),
    "HealthyThresholdCount": ("healthy_threshold_count", 5),
    "UnhealthyThresholdCount": ("unhealthy_threshold_count", 2),
    "Matcher": ("matcher", {"HttpCode": "200"}),
}
IDENTITY = {
    "Protocol": ("protocol", None),
    "Port": ("port", None),
    "VpcId": ("vpc_id", None),
    "TargetType": ("target_type", "instance"),
    "ProtocolVersion": ("protocol_version", "HTTP1"),
    "IpAddressType": ("ip_address_type", "ipv4"),
    "TargetControlPort": ("target_control_port", None),
}
GRPC_DEFAULTS: dict[str, Any] = {"Matcher": {"GrpcCode": "12"}, "HealthCheckPath": "/AWS.ALB/healthcheck"}
"""The defaults for the protocol version gRPC (AWS ELB, 'Health check settings')."""
FOR_FUNCTIONS = {
    "ProtocolVersion": ("protocol_version", None),
    "HealthCheckPort": ("health_check_port", None),
    "HealthCheckEnabled": ("health_check_enabled", False),
    "HealthCheckIntervalSeconds": ("health_check_interval_seconds", 35),
    "HealthCheckTimeoutSeconds": ("health_check_timeout_seconds", 30),
    "UnhealthyThresholdCount": ("unhealthy_threshold_count", 2),
}

CODES = {"HttpCode": range(200, 500), "GrpcCode": range(100)}


@before("CreateTargetGroup", "ModifyTargetGroup")
def matcher_fits_the_protocol_version(call: Call) -> None:
    """AWS ELB, 'Matcher': HTTP codes between 200 and 499 for an Application Load Balancer; gRPC codes between 0 and 99,
    for groups of that protocol version only; one, several, or a range."""
    group = call.world.elb.target_groups.get(call.given("TargetGroupArn"))
    version = group.protocol_version if group else call.given("ProtocolVersion", "HTTP1")
    kind = "GrpcCode" if version == "GRPC" else "HttpCode"
    for given, text in call.given("Matcher", {}).items():
        if given != kind:
            refuse("ValidationError", f"{given} can't be specified for the protocol version {version}")
        parts = re.split("[,-]", str(text))
        if not all(part.isdecimal() and int(part) in CODES[kind] for part in parts):
            least, most = CODES[kind][0], CODES[kind][-1]
            refuse("ValidationError", f"Health check matcher '{text}' must be within '{least}-{most}' inclusive")


@before("CreateTargetGroup", "ModifyTargetGroup")
def only_functions_go_unchecked(call: Call) -> None:
    """CreateTargetGroup, HealthCheckEnabled: for instances and addresses 'health checks are always enabled and can't be
    disabled'. A group of functions has neither protocol nor port, and neither have its checks."""
    group = call.world.elb.target_groups.get(call.given("TargetGroupArn"))
    kind = group.target_type if group else call.given("TargetType", "instance")
    if kind != "lambda" and str(call.given("HealthCheckEnabled", True)).lower() == "false":
        refuse(
            "ValidationError", "Health check enabled must be true for target groups with target type 'instance' or 'ip'"
        )
    for name in ("HealthCheckProtocol", "HealthCheckPort", "ProtocolVersion", "IpAddressType", "TargetControlPort"):
        if kind == "lambda" and call.given(name) is not None:
            refuse("ValidationError", f"{name} cannot be specified for target groups with target type 'lambda'")


@around("CreateTargetGroup")
def group_is_made_once(call: Call, proceed: Callable[[], Any]) -> Any:
    """CreateTargetGroup: 'If you attempt to create multiple target groups with the same settings, each call
    succeeds'; with other settings DuplicateTargetGroupName. A new group has AWS's default attributes. For an existing group, the
    answer has its load balancer, as the answer's shape allows (TargetGroup, LoadBalancerArns); AWS doesn't document it."""
    for other in call.world.elb.target_groups.values():
        if other.name == call.given("Name"):
            if not same_settings(call, other):
                refuse(
                    "DuplicateTargetGroupName",
                    f"A target group with the same name '{other.name}' exists, but with different settings",
                )
            link_groups(call.world)
            return {"TargetGroups": [other]}
    result = proceed()
    for group in result["TargetGroups"]:
        if group.protocol in ("HTTP", "HTTPS"):
            group.attributes = group_defaults(group.protocol_version)
            group.target_control_port = call.given("TargetControlPort")
        if group.target_type == "lambda":
            group.attributes = dict(FUNCTION_DEFAULTS)
        if group.protocol_version == "GRPC" and "Matcher" not in call.params:
            group.matcher = GRPC_DEFAULTS["Matcher"]
        if group.protocol_version == "GRPC" and "HealthCheckPath" not in call.params:
            group.health_check_path = GRPC_DEFAULTS["HealthCheckPath"]
    return result


def same_settings(call: Call, group: Any) -> bool:
    known = IDENTITY | CHECKS | (FOR_FUNCTIONS if call.given("TargetType") == "lambda" else {})
    for name, (attribute, default) in known.items():
        if call.given("ProtocolVersion") == "GRPC":
            default = GRPC_DEFAULTS.get(name, default)
        wanted = call.given(name, group.protocol if name == "HealthCheckProtocol" else default)
        if str(wanted) != str(getattr(group, attribute, None)):
            return False
    return True


@around("DeleteTargetGroup")
def group_in_use_stays(call: Call, proceed: Callable[[], Any]) -> Any:
    """DeleteTargetGroup: ResourceInUse while a listener or rule forwards to it; a group that doesn't exist is no error."""
    arn = call.given("TargetGroupArn")
    if arn not in call.world.elb.target_groups:
        return None
    if balancer_of(call.world, arn):
        refuse("ResourceInUse", f"Target group '{arn}' is currently in use by a listener or a rule")
    result = proceed()
    call.world.ledger.targets.pop(arn, None)
    call.world.elb.tagging_service.delete_all_tags_for_resource(arn)
    return result


@before("ModifyTargetGroup")
def timeout_is_below_the_interval(call: Call) -> None:
    """ModifyTargetGroup: the health check's time-out is below its interval (moto checks at creation only)."""
    group = call.world.elb.target_groups.get(call.given("TargetGroupArn"))
    if group is None:
        refuse("TargetGroupNotFound", f"Target groups '{call.given('TargetGroupArn')}' not found")
    interval = int(call.given("HealthCheckIntervalSeconds", group.health_check_interval_seconds))
    timeout = int(call.given("HealthCheckTimeoutSeconds", group.health_check_timeout_seconds))
    if timeout >= interval:
        refuse("ValidationError", f"Health check timeout '{timeout}' must be smaller than the interval '{interval}'")


@around("DescribeTargetGroups")
def groups_show_their_balancer(call: Call, proceed: Callable[[], Any]) -> Any:
    """DescribeTargetGroups: LoadBalancerArns is the load balancer that forwards to the group now (moto never
    removes one); for a load balancer without groups the list is empty."""
    if len(call.given("TargetGroupArns", [])) > MOST_DESCRIBED:
        refuse("ValidationError", f"You cannot describe more than '{MOST_DESCRIBED}' target groups at a time")
    link_groups(call.world)
    arn = call.given("LoadBalancerArn")
    if arn is None:
        return proceed()
    if arn not in call.world.elb.load_balancers:
        refuse("LoadBalancerNotFound", f"Load balancer '{arn}' not found")
    groups = [g for g in call.world.elb.target_groups.values() if arn in g.load_balancer_arns]
    return {"TargetGroups": sorted(groups, key=lambda group: str(group.name))}


def link_groups(world: World) -> None:
    for arn, group in world.elb.target_groups.items():
        balancer = balancer_of(world, arn)
        group.load_balancer_arns = [balancer.arn] if balancer else []
