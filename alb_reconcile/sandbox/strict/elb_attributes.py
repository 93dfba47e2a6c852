"""Rules of load balancer and target group attributes: the real defaults, and no unknown keys."""

from collections.abc import Callable
from typing import Any

from .rule import Call, around, refuse

MOST_AT_ONCE = 20


def balancer_defaults() -> dict[str, str]:
    """AWS ELB, 'LoadBalancerAttribute', for an Application Load Balancer."""
    return {
        "access_logs.s3.bucket": "",
        "access_logs.s3.enabled": "false",
        "access_logs.s3.prefix": "",
        "client_keep_alive.seconds": "3600",
        "connection_logs.s3.bucket": "",
        "connection_logs.s3.enabled": "false",
        "connection_logs.s3.prefix": "",
        "deletion_protection.enabled": "false",
        "health_check_logs.s3.bucket": "",
        "health_check_logs.s3.enabled": "false",
        "health_check_logs.s3.prefix": "",
        "idle_timeout.timeout_seconds": "60",
        "ipv6.deny_all_igw_traffic": "false",
        "load_balancing.cross_zone.enabled": "true",
        "routing.http.desync_mitigation_mode": "defensive",
        "routing.http.drop_invalid_header_fields.enabled": "false",
        "routing.http.preserve_host_header.enabled": "false",
        "routing.http.x_amzn_tls_version_and_cipher_suite.enabled": "false",
        "routing.http.xff_client_port.enabled": "false",
        "routing.http.xff_header_processing.mode": "append",
        "routing.http2.enabled": "true",
        "waf.fail_open.enabled": "false",
        "zonal_shift.config.enabled": "false",
    }


def group_defaults() -> dict[str, str]:
    """AWS ELB, 'TargetGroupAttribute', for a group of an Application Load Balancer."""
    return {
        "deregistration_delay.timeout_seconds": "300",
        "load_balancing.algorithm.anomaly_mitigation": "off",
        "load_balancing.algorithm.type": "round_robin",
        "load_balancing.cross_zone.enabled": "use_load_balancer_configuration",
        "slow_start.duration_seconds": "0",
        "stickiness.app_cookie.cookie_name": "",
        "stickiness.app_cookie.duration_seconds": "86400",
        "stickiness.enabled": "false",
        "stickiness.lb_cookie.duration_seconds": "86400",
        "stickiness.type": "lb_cookie",
        "target_group_health.dns_failover.minimum_healthy_targets.count": "1",
        "target_group_health.dns_failover.minimum_healthy_targets.percentage": "off",
        "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count": "1",
        "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage": "off",
    }


RANGES = {
    "client_keep_alive.seconds": (60, 604800),
    "idle_timeout.timeout_seconds": (1, 4000),
    "deregistration_delay.timeout_seconds": (0, 3600),
    "slow_start.duration_seconds": (0, 900),
    "stickiness.app_cookie.duration_seconds": (1, 604800),
    "stickiness.lb_cookie.duration_seconds": (1, 604800),
}


def check_attributes(call: Call, what: str, known: dict[str, str]) -> dict[str, str]:
    """ModifyLoadBalancerAttributes, ModifyTargetGroupAttributes: ValidationError for unknown keys and values."""
    given = {item["Key"]: str(item.get("Value", "")) for item in call.given("Attributes", [])}
    if len(call.given("Attributes", [])) > MOST_AT_ONCE:
        refuse("ValidationError", f"You cannot modify more than '{MOST_AT_ONCE}' attributes at a time")
    for key, value in given.items():
        if key not in known:
            refuse("ValidationError", f"{what} attribute key '{key}' is not recognized")
        if known[key] in ("true", "false") and value not in ("true", "false"):
            refuse("ValidationError", f"{what} attribute '{key}' must be 'true' or 'false', not '{value}'")
        least, most = RANGES.get(key, (None, None))
        if least is not None and most is not None and not (value.isdigit() and least <= int(value) <= most):
            refuse("ValidationError", f"'{key}' value '{value}' must be between '{least}-{most}' inclusive")
    return given


@around("ModifyLoadBalancerAttributes")
def balancer_attributes_are_known(call: Call, _: Callable[[], Any]) -> Any:
    """ModifyLoadBalancerAttributes: answers with the whole set."""
    found = call.world.elb.load_balancers.get(call.given("LoadBalancerArn"))
    if found is None:
        refuse("LoadBalancerNotFound", f"Load balancer '{call.given('LoadBalancerArn')}' not found")
    given = check_attributes(call, "Load balancer", balancer_defaults())
    wanted = found.attrs | given
    if wanted["access_logs.s3.enabled"] == "true" and not wanted["access_logs.s3.bucket"]:
        refuse("InvalidConfigurationRequest", "The access log bucket name cannot be empty")
    found.attrs = dict(sorted(wanted.items()))
    return {"Attributes": found.attrs}


@around("ModifyTargetGroupAttributes")
def group_attributes_are_known(call: Call, proceed: Callable[[], Any]) -> Any:
    """ModifyTargetGroupAttributes: answers with the whole set (moto: only what was given)."""
    group = call.world.elb.target_groups.get(call.given("TargetGroupArn"))
    if group is None:
        refuse("TargetGroupNotFound", f"Target groups '{call.given('TargetGroupArn')}' not found")
    check_attributes(call, "Target group", group_defaults())
    asked = call.params["Attributes"]
    limit = {"Key": "deregistration_delay.timeout_seconds", "Value": "3600"}
    call.params["Attributes"] = [item for item in asked if item != limit]  # which moto takes for too long
    proceed()
    if limit in asked:
        group.attributes[limit["Key"]] = limit["Value"]
    group.attributes = dict(sorted(group.attributes.items()))
    return {"Attributes": group.attributes}
