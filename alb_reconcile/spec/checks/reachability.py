"""Warnings: what AWS accepts and what nevertheless won't serve, or serves too many."""

from collections.abc import Iterable
from typing import Any

from alb_reconcile.spec.outline import Outline, network

_SIDE = ("security_groups", "subnets")
_ANYWHERE = ("0.0.0.0/0", "::/0")


def check(outline: Outline) -> None:
    """Warn of closed paths between client, load balancer and target, and of SSH open to the world."""
    _check_default_routes(outline)
    _check_ssh(outline)
    used: dict[str, str] = {}
    known: dict[object, bool] = {}
    for load_balancer, _, group in outline.forwards():
        used.setdefault(group, load_balancer)
    for group, load_balancer in used.items():
        if group in outline.entries("target_groups"):
            _check_target_group(outline, group, load_balancer, known)


def _check_default_routes(outline: Outline) -> None:
    tables = outline.entries("route_tables")
    routed = {
        subnet
        for entry in tables.values()
        for subnet in entry.get("subnets") or ()
        if "routes" not in entry
        or any(route and route.get("destination_cidr_block") == "0.0.0.0/0" for route in entry["routes"])
    }
    for name, entry in outline.entries("load_balancers").items():
        if entry.get("scheme") == "internal":
            continue
        for index, subnet in enumerate(entry.get("subnets") or ()):
            if subnet in outline.entries("subnets") and subnet not in routed:
                outline.warn(
                    ("load_balancers", name, "subnets", index),
                    f"subnet.{subnet} has no default route in this file, so clients get no answer from it; put it into a route table with a route for 0.0.0.0/0",
                )


def _check_ssh(outline: Outline) -> None:
    for name, entry in outline.entries("security_groups").items():
        for index, rule in enumerate(entry.get("ingress") or ()):
            if (
                rule
                and _covers(rule, 22)
                and (rule.get("cidr_block") in _ANYWHERE or rule.get("ipv6_cidr_block") in _ANYWHERE)
            ):
                outline.warn(
                    ("security_groups", name, "ingress", index),
                    "opens SSH (port 22) to the whole internet; name the addresses that need it, or use SSM Session Manager",
                )


def _covers(rule: dict[str, Any], port: int) -> bool:
    protocol = rule.get("protocol")
    first, last = rule.get("from_port", rule.get("port", 0)), rule.get("to_port", rule.get("port", 65535))
    return protocol == "all" or (protocol == "tcp" and first <= port <= last)


def _check_target_group(outline: Outline, group: str, load_balancer: str, known: dict[object, bool]) -> None:
    entry = outline.entries("target_groups")[group]
    balancer = outline.entries("load_balancers").get(load_balancer, {})
    health_check_port = (entry.get("health_check") or {}).get("port", "traffic-port")
    ports = {int(health_check_port): "the health check's port"} if str(health_check_port).isdigit() else {}
    if "port" in entry:
        ports[entry["port"]] = "its traffic port"
    for index, target in enumerate(entry.get("targets") or ()):
        instances = outline.entries("instances").get(target) if isinstance(target, str) else None
        path = ("target_groups", group, "targets", index)
        for port, what in ports.items() if instances else ():
            # many instances in the same groups and subnets, and groups of many rules: answered once
            sides = [str((side or {}).get(key)) for side in (instances, balancer) for key in _SIDE]
            incoming, outgoing = ("ingress", port, *sides), ("egress", port, *sides)
            if incoming not in known:
                known[incoming] = _allowed(outline, instances or {}, "ingress", port, balancer)
                known[outgoing] = _allowed(outline, balancer, "egress", port, instances or {})
            if not known[incoming]:
                outline.warn(
                    path,
                    f"no security group of {target} lets load_balancer.{load_balancer} in on {what}, {port}; add an ingress rule for it",
                )
            if not known[outgoing]:
                outline.warn(
                    path,
                    f"no security group of load_balancer.{load_balancer} lets it out to {target} on {what}, {port}; add an egress rule for it",
                )


def _allowed(outline: Outline, holder: dict[str, Any], direction: str, port: int, other: dict[str, Any]) -> bool:
    """Whether the holder's groups allow the other side. Unknown (foreign or unmanaged) counts as allowed."""
    names = holder.get("security_groups") or ()
    groups = [outline.entries("security_groups").get(name) for name in names]
    if not groups or any(entry is None or direction not in entry for entry in groups):
        return True
    rules = [rule for entry in groups if entry for rule in entry[direction] if rule]
    return any(_covers(rule, port) and _matches(outline, rule, other) for rule in rules)


def _matches(outline: Outline, rule: dict[str, Any], other: dict[str, Any]) -> bool:
    if "security_group" in rule:
        return rule["security_group"] in (other.get("security_groups") or ())
    if "prefix_list_id" in rule:
        return True  # what it lists is not known here
    allowed = network(rule.get("cidr_block"))
    return allowed is not None and all(
        block.subnet_of(allowed) for block in _blocks(outline, other.get("subnets") or ())
    )


def _blocks(outline: Outline, subnets: Iterable[Any]) -> list[Any]:
    return [block for subnet in subnets if isinstance(subnet, str) and (block := outline.network_of("subnets", subnet))]
