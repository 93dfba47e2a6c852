"""Load balancers, listeners, rules and target groups: what AWS refuses, and targets that could never serve."""

from typing import Any

from alb_reconcile.kinds.identifiers import is_aws_id
from alb_reconcile.spec.document import Path
from alb_reconcile.spec.outline import Listener, Outline


def check(outline: Outline) -> None:
    """Report load balancing that AWS would refuse or that can't work."""
    for name, entry in outline.entries("load_balancers").items():
        _check_load_balancer(outline, name, entry)
    for listener in outline.listeners:
        _check_listener(outline, listener)
    _check_unique(outline)
    for action in outline.actions:
        _check_action(outline, action.path, action.entry)
    for name, entry in outline.entries("target_groups").items():
        _check_health_check(outline, name, entry.get("health_check") or {})
    _check_use(outline)


def _check_load_balancer(outline: Outline, name: str, entry: dict[str, Any]) -> None:
    subnets = [subnet for subnet in entry.get("subnets") or () if isinstance(subnet, str)]
    path = ("load_balancers", name, "subnets")
    vpcs = {vpc for subnet in subnets if (vpc := outline.vpc_of("subnets", subnet))}
    if len(vpcs) > 1:
        outline.error(
            path,
            f"these are in different VPCs ({', '.join(sorted(vpcs))}), and a load balancer is in one; choose subnets of one",
        )
    in_zones = [outline.zone_of(subnet) for subnet in subnets]
    if len(subnets) > 1 and in_zones[0] and len(set(in_zones)) == 1:
        outline.error(path, "these are all in one zone, and AWS requires at least two; add a subnet in another zone")
        in_zones = []
    zones: dict[str, str] = {}
    for index, zone in enumerate(in_zones):
        if zone and zone in zones:
            outline.error(
                (*path, index),
                f"{subnets[index]} is in the zone {zone}, as is {zones[zone]}, and AWS allows one subnet per zone; choose one in another zone",
            )
        elif zone:
            zones[zone] = subnets[index]
    if entry.get("scheme", "internet-facing") == "internet-facing":
        for vpc in vpcs:
            gateways = {
                outline.vpc_of("internet_gateways", gateway) for gateway in outline.entries("internet_gateways")
            }
            if vpc in outline.entries("vpcs") and vpc not in gateways:
                outline.error(
                    ("load_balancers", name),
                    f"is internet-facing, but vpc.{vpc} has no internet gateway; declare one under internet_gateways, or set scheme: internal",
                    at_key=True,
                )


def _check_listener(outline: Outline, listener: Listener) -> None:
    entry = listener.entry
    if entry.get("protocol") == "HTTPS" and "certificate_arn" not in outline.given(listener.path):
        outline.error(
            (*listener.path, "certificate_arn"),
            "is missing, which HTTPS needs; give it the ARN of a certificate in ACM",
            at_key=True,
        )
    if entry.get("protocol") == "HTTP":
        for key in ("certificate_arn", "ssl_policy"):
            if key in entry:
                outline.error(
                    (*listener.path, key),
                    f"{key} is for HTTPS listeners; remove it, or set protocol: HTTPS",
                    at_key=True,
                )


def _check_unique(outline: Outline) -> None:
    ports: dict[tuple[str, int], str] = {}
    for listener in outline.listeners:
        port = listener.entry.get("port")
        if port is not None:
            other = ports.setdefault((listener.load_balancer, port), str(listener.path[-1]))
            if other != listener.path[-1]:
                outline.error(
                    (*listener.path, "port"), f"the listener {other} already has port {port}; choose another port"
                )
        priorities: dict[int, str] = {}
        for name, rule in (listener.entry.get("rules") or {}).items():
            if not isinstance(rule, dict):
                continue
            priority = rule.get("priority")
            if priority is not None and priorities.setdefault(priority, name) != name:
                outline.error(
                    (*listener.path, "rules", name, "priority"),
                    f"the rule {priorities[priority]} already has priority {priority}; choose another number",
                )
            _check_conditions(outline, (*listener.path, "rules", name), rule)


def _check_conditions(outline: Outline, path: Path, rule: dict[str, Any]) -> None:
    conditions = [item for item in rule.get("conditions") or () if isinstance(item, dict)]
    values = [value for item in conditions for value in item.values()]
    count = sum(len(value) if isinstance(value, list) else 1 for value in values)
    if count > 5:
        outline.error((*path, "conditions"), f"these are {count} values, and AWS allows 5 in a rule; split the rule")
    for key in ("host_header", "path_pattern"):
        if sum(key in item for item in conditions) > 1:
            outline.error(
                (*path, "conditions"),
                f"{key} is given twice, and AWS allows one in a rule; put the values into one list",
            )


def _check_action(outline: Outline, path: Path, action: dict[str, Any]) -> None:
    forward = action.get("forward")
    if isinstance(forward, dict):
        names = [item.get("target_group") for item in forward.get("target_groups") or () if isinstance(item, dict)]
        for index, name in enumerate(names):
            if name is not None and name in names[:index]:
                outline.error(
                    (*path, "forward", "target_groups", index), f"{name} is given twice; add up the weights in one"
                )
        stickiness = forward.get("stickiness") or {}
        place = (*path, "forward", "stickiness")
        if stickiness.get("enabled") and "duration_seconds" not in outline.given(place):
            outline.error((*place, "duration_seconds"), "is missing, which stickiness needs; give it 1 to 604800")
    redirect = action.get("redirect")
    changed = {"protocol", "port", "host", "path"}
    if isinstance(redirect, dict) and outline.given((*path, "redirect")).keys().isdisjoint(changed):
        outline.error(
            (*path, "redirect"),
            "redirects the client to where it already is, in a loop; change protocol, port, host or path",
        )
    response = action.get("fixed_response")
    if isinstance(response, dict) and 300 <= response.get("status_code", 200) < 400:
        outline.error(
            (*path, "fixed_response", "status_code"),
            f"AWS refuses {response['status_code']}; give it 2xx, 4xx or 5xx, or use redirect",
        )


def _check_health_check(outline: Outline, name: str, health_check: dict[str, Any]) -> None:
    path = ("target_groups", name, "health_check")
    interval, timeout = health_check.get("interval_seconds", 30), health_check.get("timeout_seconds")
    if timeout is not None and timeout >= interval:
        outline.error(
            (*path, "timeout_seconds"),
            f"{timeout} is not below the interval of {interval} seconds, as AWS requires; shorten it",
        )
    if timeout is None and interval == 5:
        outline.error(
            (*path, "interval_seconds"),
            "AWS's default time-out of 5 seconds is not below an interval of 5; set timeout_seconds: 2, or a longer interval",
        )


def _check_use(outline: Outline) -> None:
    """Who forwards to which group, and whether the group's targets can be reached from there."""
    users: dict[str, str] = {}
    for load_balancer, path, group in outline.forwards():
        first = users.setdefault(group, load_balancer)
        if first != load_balancer:
            outline.error(
                path,
                f"load_balancer.{first} already uses {group}, and a target group serves one load balancer; declare a second group",
            )
            continue
        vpc, other = outline.vpc_of("load_balancers", load_balancer), outline.vpc_of("target_groups", group)
        if vpc and other and vpc != other and is_aws_id(vpc) == is_aws_id(other):
            outline.error(
                path, f"{group} is in the VPC {other}, but the load balancer is in {vpc}; both must be in one"
            )
    for group, entry in outline.entries("target_groups").items():
        _check_target_vpcs(outline, group, entry)
        if group in users:
            _check_zones(outline, group, entry, users[group])
        elif entry.get("targets"):
            outline.warn(
                ("target_groups", group),
                "no listener or rule forwards to it, so its targets are never checked and serve nothing",
                at_key=True,
            )


def _check_target_vpcs(outline: Outline, group: str, entry: dict[str, Any]) -> None:
    vpc = outline.vpc_of("target_groups", group)
    for index, target in enumerate(entry.get("targets") or ()):
        other = outline.vpc_of("instances", target) if isinstance(target, str) else None
        if vpc and other and vpc != other and is_aws_id(vpc) == is_aws_id(other):
            outline.error(
                ("target_groups", group, "targets", index),
                f"{target} is in the VPC {other}, but the target group is in {vpc}; both must be in one",
            )


def _check_zones(outline: Outline, group: str, entry: dict[str, Any], load_balancer: str) -> None:
    balanced = outline.entries("load_balancers")[load_balancer].get("subnets") or ()
    served = {outline.zone_of(subnet) if isinstance(subnet, str) else None for subnet in balanced}
    if not served or None in served:
        return  # a foreign subnet's zone is known at plan time only
    for index, target in enumerate(entry.get("targets") or ()):
        instances = outline.entries("instances").get(target, {}) if isinstance(target, str) else {}
        for subnet in outline.own(instances.get("subnets")):
            zone = outline.zone_of(subnet)
            if zone and zone not in served:
                outline.error(
                    ("target_groups", group, "targets", index),
                    f"{target} may be in {subnet} ({zone}), a zone that load_balancer.{load_balancer} doesn't serve; add a subnet of that zone to it, or move the instances",
                )
                break
