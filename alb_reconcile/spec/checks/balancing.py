"""Load balancers, listeners, rules and target groups: what AWS refuses, and targets that could never serve."""

from alb_reconcile.kinds.base import Entry
from alb_reconcile.kinds.listener.actions import is_sticky
from alb_reconcile.model.nodes import Path
from alb_reconcile.spec.outline import Outline


def check(outline: Outline) -> None:
    """Report load balancing that AWS would refuse or that can't work."""
    for name, entry in outline.entries("load_balancers").items():
        _check_load_balancer(outline, name, entry)
    _check_unique(outline, outline.listeners, "listener", "port", "port")
    _check_unique(outline, outline.rules, "rule", "priority", "number")
    listeners = dict(outline.listeners)
    for path, listener in listeners.items():
        _check_certificates(outline, path, listener)
    for path, action in outline.actions:
        _check_action(outline, path, action, listeners[path[:4]])
    for path, health_check in outline.mappings("target_groups", ..., "health_check"):
        _check_health_check(outline, path, health_check)
    _check_regions(outline)
    _check_users(outline)


def _check_regions(outline: Outline) -> None:
    """A load balancer uses what is in its own region."""
    below = ("load_balancers", ...)
    for noun, place in (
        ("web ACL", (*below, "web_acl")),
        ("trust store", (*below, "listeners", ..., "mutual_authentication", "trust_store")),
    ):
        for path, text in outline.texts(*place):
            region = text.split(":")[3:4]
            if region and outline.region and region != [outline.region]:
                outline.error(
                    path, f"is a {noun} of {region[0]}, and the stack is in {outline.region}; name one of that region"
                )


def _check_load_balancer(outline: Outline, name: str, entry: Entry) -> None:
    path = ("load_balancers", name, "subnets")
    subnets = [subnet for _, subnet in outline.texts(*path, ...)]
    vpcs = sorted(filter(None, outline.subnet_vpcs("load_balancers", name)))
    if len(vpcs) > 1:
        outline.error(
            path,
            f"these are in different VPCs ({', '.join(vpcs)}), and a load balancer is in one; choose subnets of one",
        )
    if entry.get("ipam_pools") and entry.get("scheme") == "internal":
        outline.error(
            ("load_balancers", name, "ipam_pools"),
            "are for public addresses, which an internal load balancer has none of; remove them",
        )
    in_zones = [outline.zone_of(subnet) for subnet in subnets]
    if len(subnets) > 1 and in_zones[0] and len(set(in_zones)) == 1:
        outline.error(path, "these are all in one zone, and AWS requires at least two; add a subnet in another zone")
        in_zones = []
    zones: dict[str, str] = {}
    for index, zone in enumerate(in_zones):
        if zone and (first := zones.setdefault(zone, subnets[index])) != subnets[index]:
            outline.error(
                (*path, index),
                f"{subnets[index]} is in the zone {zone}, as is {first}, and AWS allows one subnet per zone; choose one in another zone",
            )
    if entry.get("scheme", "internet-facing") == "internet-facing":
        for vpc in filter(outline.lacks_internet_gateway, vpcs):
            outline.error(
                ("load_balancers", name),
                f"is internet-facing, but vpc.{vpc} has no internet gateway; declare one under internet_gateways, or set scheme: internal",
                at_key=True,
            )


def _check_unique(outline: Outline, found: list[tuple[Path, Entry]], noun: str, key: str, what: str) -> None:
    """Report a number that another entry beside it has."""
    seen: dict[tuple[Path, int], str | int] = {}
    for path, entry in found:
        number = entry.get(key)
        if number is not None and (first := seen.setdefault((path[:-1], number), path[-1])) != path[-1]:
            outline.error((*path, key), f"the {noun} {first} already has {key} {number}; choose another {what}")


def _check_certificates(outline: Outline, path: Path, listener: Entry) -> None:
    for index, arn in enumerate(listener.get("certificates") or ()):
        if arn is not None and arn == listener.get("certificate_arn"):
            outline.error(
                (*path, "certificates", index),
                "is the listener's certificate_arn, so it is used anyway; remove it here",
            )


def _check_action(outline: Outline, path: Path, action: Entry, listener: Entry) -> None:
    forward = action.get("forward")
    if isinstance(forward, dict):
        names = [item.get("target_group") for item in forward.get("target_groups") or () if isinstance(item, dict)]
        for index, name in enumerate(names):
            if name is not None and name in names[:index]:
                outline.error(
                    (*path, "forward", "target_groups", index), f"{name} is given twice; add up the weights in one"
                )
        groups = outline.entries("target_groups")
        sticky = [name for name in names if name in groups and is_sticky(groups[name])]
        if len(names) > 1 and sticky and not (forward.get("stickiness") or {}).get("enabled"):
            outline.warn(
                (*path, "forward"),
                f"{sticky[0]} is sticky, so AWS keeps a client on one of these groups, too, and apply asks for the shortest time, 1 s; "
                "say stickiness to choose another time",
            )
    redirect = action.get("redirect")
    if isinstance(redirect, dict):
        same = {**listener, "host": "#{host}", "path": "/#{path}"}
        given = outline.given((*path, "redirect")).keys() & {"protocol", "port", "host", "path"}
        if all(key in redirect and str(redirect[key]) in (str(same.get(key)), f"#{{{key}}}") for key in given):
            outline.error(
                (*path, "redirect"),
                "redirects the client to where it already is, in a loop; change protocol, port, host or path",
            )


def _check_health_check(outline: Outline, path: Path, health_check: Entry) -> None:
    interval, timeout = health_check.get("interval_seconds", 30), health_check.get("timeout_seconds")
    if timeout is not None and timeout >= interval:
        outline.error(
            (*path, "timeout_seconds"),
            f"{timeout} is not below the interval of {interval} seconds, as AWS requires; shorten it",
        )


def _check_users(outline: Outline) -> None:
    users: dict[str, str] = {}
    plain = {path for path, listener in outline.listeners if listener.get("protocol") == "HTTP"}
    for load_balancer, path, group in outline.forwards():
        version = outline.entries("target_groups").get(group, {}).get("protocol_version")
        if version in ("HTTP2", "GRPC") and path[:4] in plain:
            outline.error(
                path,
                f"{group} has the protocol version {version}, which needs an HTTPS listener; forward to it from one, or make it HTTP1",
            )
        if (first := users.setdefault(group, load_balancer)) != load_balancer:
            outline.error(
                path,
                f"load_balancer.{first} already uses {group}, and a target group serves one load balancer; declare a second group",
            )
