"""Imitates AWS's rules for attributes of load balancers, listeners and target groups: real defaults, no unknown keys or values."""

from collections.abc import Callable
from typing import Any, NamedTuple

from .rule import Call, around, refuse

MOST_AT_ONCE = 20


def balancer_defaults() -> dict[str, str]:
    """The defaults of an Application Load Balancer's attributes (AWS ELB, 'LoadBalancerAttribute')."""
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
        "routing.http.x_amzn_tls_kx.enabled": "false",
        "routing.http.x_amzn_tls_version_and_cipher_suite.enabled": "false",
        "routing.http.xff_client_port.enabled": "false",
        "routing.http.xff_header_processing.mode": "append",
        "routing.http2.enabled": "true",
        "waf.fail_open.enabled": "false",
        "zonal_shift.config.enabled": "false",
    }


def listener_defaults() -> dict[str, str]:
    """AWS ELB, 'ListenerAttribute', for a listener of an Application Load Balancer. Attributes without a value are empty; whether AWS shows
    them so isn't documented."""
    request = ("x_amzn_mtls_clientcert_serial_number", "x_amzn_mtls_clientcert_issuer", "x_amzn_mtls_clientcert_subject",
               "x_amzn_mtls_clientcert_validity", "x_amzn_mtls_clientcert_leaf", "x_amzn_mtls_clientcert",
               "x_amzn_tls_version", "x_amzn_tls_cipher_suite")  # fmt: skip
    response = ("strict_transport_security", "access_control_allow_origin", "access_control_allow_methods",
                "access_control_allow_headers", "access_control_allow_credentials", "access_control_expose_headers",
                "access_control_max_age", "content_security_policy", "x_content_type_options", "x_frame_options")  # fmt: skip
    return {
        **{f"routing.http.request.{name}.header_name": "" for name in request},
        "routing.http.response.server.enabled": "true",
        **{f"routing.http.response.{name}.header_value": "" for name in response},
    }


def group_defaults(version: str | None = "HTTP1") -> dict[str, str]:
    """AWS ELB, 'TargetGroupAttribute', for a group of an Application Load Balancer; some are for one protocol version only."""
    over_http2 = {"routing.http2.rst_stream_error_forwarding.enabled": "false"} if version in ("HTTP2", "GRPC") else {}
    inspected = {"waf.http2.traffic_inspection_behavior": "inspect_immediately"} if version == "HTTP2" else {}
    return {
        **over_http2,
        **inspected,
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


FUNCTION_DEFAULTS = {"lambda.multi_value_headers.enabled": "false"}
"""AWS ELB, 'TargetGroupAttribute', for a group of functions."""


class Values(NamedTuple):
    """The values that an attribute can have: certain words, or whole numbers in a range."""

    words: tuple[str, ...] = ()
    range: tuple[int, int] | None = None

    def have(self, value: str) -> bool:
        least, most = self.range or (1, 0)
        return value in self.words or (value.isdecimal() and least <= int(value) <= most)


ONE_WEEK = 604_800
SHARE = Values(("off",), (1, 100))
BALANCER_VALUES = {
    "client_keep_alive.seconds": Values(range=(60, ONE_WEEK)),
    "idle_timeout.timeout_seconds": Values(range=(1, 4000)),
    "routing.http.desync_mitigation_mode": Values(("monitor", "defensive", "strictest")),
    "routing.http.xff_header_processing.mode": Values(("append", "preserve", "remove")),
}
GROUP_VALUES = {
    "deregistration_delay.timeout_seconds": Values(range=(0, 3600)),
    "load_balancing.algorithm.anomaly_mitigation": Values(("on", "off")),
    "load_balancing.algorithm.type": Values(("round_robin", "least_outstanding_requests", "weighted_random")),
    "load_balancing.cross_zone.enabled": Values(("true", "false", "use_load_balancer_configuration")),
    "slow_start.duration_seconds": Values(("0",), (30, 900)),
    "stickiness.app_cookie.duration_seconds": Values(range=(1, ONE_WEEK)),
    "stickiness.lb_cookie.duration_seconds": Values(range=(1, ONE_WEEK)),
    "stickiness.type": Values(("lb_cookie", "app_cookie")),
    "target_group_health.dns_failover.minimum_healthy_targets.count": Values(("off",), (1, 1000)),
    "target_group_health.dns_failover.minimum_healthy_targets.percentage": SHARE,
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count": Values(range=(1, 1000)),
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage": SHARE,
    "waf.http2.traffic_inspection_behavior": Values(("inspect_immediately", "inspect_after_sufficient_data")),
}


def check_attributes(call: Call, what: str, known: dict[str, str], values: dict[str, Values]) -> dict[str, str]:
    """ModifyLoadBalancerAttributes, ModifyListenerAttributes, ModifyTargetGroupAttributes: ValidationError for unknown keys and values, and
    for more than 20 attributes. Returns the request's attributes."""
    given = {item["Key"]: str(item.get("Value", "")) for item in call.given("Attributes", [])}
    if len(call.given("Attributes", [])) > MOST_AT_ONCE:
        refuse("ValidationError", f"You cannot modify more than '{MOST_AT_ONCE}' attributes at a time")
    for key, value in given.items():
        if key not in known:
            refuse("ValidationError", f"{what} attribute key '{key}' is not recognized")
        allowed = values.get(key) or (Values(("true", "false")) if known[key] in ("true", "false") else None)
        if allowed and not allowed.have(value):
            if allowed.range:
                least, most = allowed.range
                refuse("ValidationError", f"'{key}' value '{value}' must be between '{least}-{most}' inclusive")
            choices = " or ".join(f"'{word}'" for word in allowed.words)
            refuse("ValidationError", f"{what} attribute '{key}' must be {choices}, not '{value}'")
    return given


@around("ModifyLoadBalancerAttributes")
def balancer_attributes_are_known(call: Call, _: Callable[[], Any]) -> Any:
    """ModifyLoadBalancerAttributes: answers with the whole set."""
    found = call.world.elb.load_balancers.get(call.given("LoadBalancerArn"))
    if found is None:
        refuse("LoadBalancerNotFound", f"Load balancer '{call.given('LoadBalancerArn')}' not found")
    given = check_attributes(call, "Load balancer", balancer_defaults(), BALANCER_VALUES)
    wanted = found.attrs | given
    for logs in ("access", "connection", "health_check"):
        if wanted[f"{logs}_logs.s3.enabled"] == "true" and not wanted[f"{logs}_logs.s3.bucket"]:
            refuse("InvalidConfigurationRequest", f"The {logs.replace('_', ' ')} log bucket name cannot be empty")
    if wanted["load_balancing.cross_zone.enabled"] == "false":
        refuse("InvalidConfigurationRequest", "Cross-zone load balancing is always on for Application Load Balancers")
    found.attrs = dict(sorted(wanted.items()))
    return {"Attributes": found.attrs}


@around("ModifyListenerAttributes")
def listener_attributes_are_known(call: Call, _: Callable[[], Any]) -> Any:
    """ModifyListenerAttributes: ListenerNotFound; unknown keys are refused (moto takes any)."""
    found = next((item for item in call.world.listeners() if item.arn == call.given("ListenerArn")), None)
    if found is None:
        refuse("ListenerNotFound", f"Listeners '{call.given('ListenerArn')}' not found")
    given = check_attributes(call, "Listener", listener_defaults(), {})
    found.attributes = found.attributes | given
    return {"Attributes": found.attributes}


@around("ModifyTargetGroupAttributes")
def group_attributes_are_known(call: Call, proceed: Callable[[], Any]) -> Any:
    """ModifyTargetGroupAttributes: answers with the whole set (moto: only what was given)."""
    group = call.world.elb.target_groups.get(call.given("TargetGroupArn"))
    if group is None:
        refuse("TargetGroupNotFound", f"Target groups '{call.given('TargetGroupArn')}' not found")
    if group.target_type == "lambda":
        given = check_attributes(call, "Target group", FUNCTION_DEFAULTS, {})
        group.attributes = {**FUNCTION_DEFAULTS, **group.attributes, **given}
        return {"Attributes": group.attributes}
    given = check_attributes(call, "Target group", group_defaults(group.protocol_version), GROUP_VALUES)
    check_together({**group_defaults(), **group.attributes, **given})
    if given.get("stickiness.enabled") == "true":
        check_forwards_are_sticky(call, group.arn)
    asked = call.params["Attributes"]
    limit = {"Key": "deregistration_delay.timeout_seconds", "Value": "3600"}
    call.params["Attributes"] = [item for item in asked if item != limit]  # moto would refuse it as too long
    proceed()
    if limit in asked:
        group.attributes[limit["Key"]] = limit["Value"]
    group.attributes = dict(sorted(group.attributes.items()))
    return {"Attributes": group.attributes}


def check_forwards_are_sticky(call: Call, arn: str) -> None:
    """ModifyTargetGroupAttributes: a group can't become sticky while a forward to it and other groups isn't (aws-load-balancer-controller,
    issue 2734)."""
    for action in (action for rule in call.world.rules() for action in rule.actions):
        config = action.data.get("ForwardConfig") or {}
        groups = {item["TargetGroupArn"] for item in config.get("TargetGroups", ())}
        if arn in groups and len(groups) > 1 and not config.get("TargetGroupStickinessConfig", {}).get("Enabled"):
            refuse(
                "InvalidConfigurationRequest", "This target group appears behind a rule with group stickiness disabled"
            )


def check_together(wanted: dict[str, str]) -> None:
    """AWS ELB, 'Edit target group attributes': slow start needs round robin, anomaly mitigation needs weighted
    random; 'TargetGroupAttribute': names of cookies that begin with AWSALB are reserved. Stickiness by app_cookie needs a cookie name."""
    algorithm = wanted["load_balancing.algorithm.type"]
    if wanted["slow_start.duration_seconds"] != "0" and algorithm != "round_robin":
        refuse("InvalidConfigurationRequest", f"Slow start cannot be enabled with the algorithm '{algorithm}'")
    if wanted["load_balancing.algorithm.anomaly_mitigation"] == "on" and algorithm != "weighted_random":
        refuse("InvalidConfigurationRequest", f"Anomaly mitigation cannot be enabled with the algorithm '{algorithm}'")
    cookie = wanted["stickiness.app_cookie.cookie_name"]
    if cookie.startswith("AWSALB"):
        refuse("InvalidConfigurationRequest", f"The cookie name '{cookie}' is reserved")
    if (wanted["stickiness.enabled"], wanted["stickiness.type"], cookie) == ("true", "app_cookie", ""):
        refuse("InvalidConfigurationRequest", "The name of the application cookie must be specified")
