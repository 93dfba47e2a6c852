"""Checks target groups of a spec and their targets: what AWS would refuse, and targets that could never serve.

The path between a load balancer and its targets is checked here, since it depends on the zones and security groups of both.
"""

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, Final

from alb_reconcile.kinds._targets import EntryTarget, as_address, is_function, targets_of
from alb_reconcile.kinds.base import Around, Entry
from alb_reconcile.kinds.identifiers import is_aws_id
from alb_reconcile.kinds.listener.actions import forwards_in
from alb_reconcile.kinds.networks import vpc_of, zone_of
from alb_reconcile.kinds.security_group.reach import allows
from alb_reconcile.model.nodes import Path

_PRIVATE: Final = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")))
"""RFC 1918 and RFC 6598 (ELBv2 CreateTargetGroup, TargetType)."""
_MAX_RESOURCES: Final = 10_000
_SIDE: Final = ("security_groups", "subnets")


def check_entries(around: Around) -> None:
    """Report target groups that AWS would refuse."""
    _check_size(around)
    for path, health_check in around.mappings("target_groups", ..., "health_check"):
        _check_health_check(around, path, health_check)
    _check_users(around)
    _check_targets(around)
    _check_address_types(around)


def _check_size(around: Around) -> None:
    counts = {name: entry.get("count", 1) for name, entry in around.entries("instances").items()}
    targets = [target.text for group in around.entries("target_groups") for target in targets_of(around, group)]
    total = sum(counts.values()) + sum(counts.get(target, 1) for target in targets)
    if total > _MAX_RESOURCES:
        text = f"these are {total:,} instances and registrations, more than {_MAX_RESOURCES:,}; split them into several stacks"
        around.error(("instances",), text, at_key=True)


def _check_health_check(around: Around, path: Path, health_check: Entry) -> None:
    interval, timeout = health_check.get("interval_seconds", 30), health_check.get("timeout_seconds")
    if timeout is not None and timeout >= interval:
        text = f"{timeout} is not below the interval of {interval} seconds, as AWS requires; shorten it"
        around.error((*path, "timeout_seconds"), text)


def _check_users(around: Around) -> None:
    users: dict[str, str] = {}
    plain = {path for path, listener in around.all_of("listener") if listener.get("protocol") == "HTTP"}
    for load_balancer, path, group in around.kept(forwards_in):
        version = around.entries("target_groups").get(group, {}).get("protocol_version")
        if version in ("HTTP2", "GRPC") and path[:4] in plain:
            text = f"{group} has the protocol version {version}, which needs an HTTPS listener; forward to it from one, or make it HTTP1"
            around.error(path, text)
        if (first := users.setdefault(group, load_balancer)) != load_balancer:
            text = f"load_balancer.{first} already uses {group}, and a target group serves one load balancer; declare a second group"
            around.error(path, text)


def _check_targets(around: Around) -> None:
    for name, entry in around.entries("target_groups").items():
        for path, item in around.mappings("target_groups", name, "targets", ...):
            _check_form(around, path, item)
        seen: set[tuple[str, int | None]] = set()
        for target in targets_of(around, name):
            _check_type(around, entry, target)
            key = (as_address(target.text) or target.text, target.port or entry.get("port"))
            if key in seen:
                around.error(target.path, f"{target.text} is given twice on one port; keep one")
            seen.add(key)
            if as_address(target.text):
                _check_address(around, name, entry, target)
        _check_function(around, name, entry)


def _check_form(around: Around, path: Path, item: Entry) -> None:
    given = [key for key in ("instances", "address") if key in around.given(path)]
    if len(given) != 1:
        what = "is given together with instances" if given else "is missing"
        around.error((*path, "address") if given else path, f"address {what}; give one of instances and address")


def _check_type(around: Around, entry: Entry, target: EntryTarget) -> None:
    kind, text = entry.get("target_type", "instance"), target.text
    if not text.startswith("arn:") and not as_address(text) and not {".", ":"}.isdisjoint(text):
        around.error(target.path, f'"{text}" is not an address; write one such as 10.0.1.5 or fd00::5')
    elif is_function(text) != (kind == "lambda"):
        hint = "give it one function's ARN" if kind == "lambda" else "a function needs a group with target_type: lambda"
        around.error(target.path, f'"{text}" can\'t be a target of type {kind}; {hint}')
    elif as_address(text) and kind == "instance":
        around.error(target.path, f"{text} is an address; set target_type: ip, or name an instance")
    elif kind == "ip" and is_aws_id(text):
        around.error(target.path, f"{text} is an instance's id, and the targets are addresses; give it its address")
    elif target.zone and not as_address(text):
        around.error((*target.path[:-1], "availability_zone"), "is for addresses only; leave it out")


def _check_address(around: Around, name: str, entry: Entry, target: EntryTarget) -> None:
    address = ip_address(target.text)
    family = "ipv6" if address.version == 6 else "ipv4"
    if entry.get("ip_address_type", "ipv4") != family:
        around.error(target.path, f"{target.text} is an {family} address; set ip_address_type: {family}")
        return
    vpc = vpc_of(around, "target_groups", name)
    blocks = [block for block in _blocks(around.entries("vpcs").get(vpc or "")) if block.version == address.version]
    inside = any(address in block for block in blocks)
    if not inside and address.version == 4 and not any(address in block for block in _PRIVATE):
        if blocks or not vpc:
            text = "is public, and AWS takes private addresses only; give it one of 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 or 100.64.0.0/10"
            around.error(target.path, f"{target.text} {text}")
    elif blocks and inside == bool(target.zone):
        text = "is inside the VPC, where AWS finds the zone; leave availability_zone out"
        if not inside:
            text = "is outside the VPC; write {address: …, availability_zone: all}"
        around.error(target.path, f"{target.text} {text}")


def _blocks(value: Any) -> list[IPv4Network | IPv6Network]:
    """All address ranges in the entry of a VPC."""
    if isinstance(value, str):
        try:
            return [ip_network(value)] if "/" in value else []
        except ValueError:
            return []
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [block for item in items for block in _blocks(item)]


def _check_function(around: Around, name: str, entry: Entry) -> None:
    if entry.get("target_type") != "lambda":
        return
    for target in targets_of(around, name):
        parts = target.text.split(":")
        if len(parts) > 3 and around.region and parts[3] != around.region:
            around.error(target.path, f"is in {parts[3]}, and a function must be in the load balancer's region")
        if parts[7:] == ["$LATEST"]:
            around.error(target.path, "names $LATEST, for which Lambda takes no permission; leave the version out")
    checks = entry.get("health_check")
    if checks and "enabled" not in around.given(("target_groups", name, "health_check")):
        text = "isn't made, since functions aren't checked by default; set enabled: true"
        around.warn(("target_groups", name, "health_check"), text, at_key=True)


def _check_address_types(around: Around) -> None:
    for balancer, path, group in around.kept(forwards_in):
        entry = around.entries("load_balancers")[balancer]
        ipv6 = around.entries("target_groups").get(group, {}).get("ip_address_type") == "ipv6"
        if ipv6 and not str(entry.get("ip_address_type", "ipv4")).startswith("dualstack"):
            text = f"{group} has IPv6 targets, for which load_balancer.{balancer} has to be dualstack"
            around.error(path, f"{text}; set its ip_address_type, or make the group ipv4")


def check_use(around: Around) -> None:
    """Report groups that nothing forwards to, and closed paths between their load balancer and their targets."""
    users: dict[str, str] = {}
    for load_balancer, _, group in around.kept(forwards_in):
        users.setdefault(group, load_balancer)
    known: dict[object, bool] = {}
    is_sound = around.is_sound  # else a mistake may be why nothing forwards to a group
    for group, entry in around.entries("target_groups").items():
        if group in users:
            _check_zones(around, group, users[group])
            _check_security_groups(around, group, users[group], known)
        elif entry.get("targets") and is_sound:
            text = "no listener or rule forwards to it, so its targets are never checked and serve nothing"
            around.warn(("target_groups", group), text, at_key=True)


def _check_zones(around: Around, group: str, load_balancer: str) -> None:
    subnets = around.entries("load_balancers")[load_balancer].get("subnets") or ()
    served = {zone_of(around, subnet) if isinstance(subnet, str) else None for subnet in subnets}
    if not served or None in served:
        return  # the spec doesn't show a foreign subnet's zone; the plan does
    for path, target, *_ in targets_of(around, group):
        for _, subnet in around.texts("instances", target, "subnets", ...):
            zone = zone_of(around, subnet)
            if zone and zone not in served:
                text = f"{target} may be in {subnet} ({zone}), a zone that load_balancer.{load_balancer} doesn't serve; add a subnet of that zone to it, or move the instances"
                around.error(path, text)
                break


def _check_security_groups(around: Around, group: str, load_balancer: str, known: dict[object, bool]) -> None:
    entry, balancer = around.entries("target_groups")[group], around.entries("load_balancers")[load_balancer]
    health_check_port = str((entry.get("health_check") or {}).get("port", "traffic-port"))
    checked = {int(health_check_port): "the health check's port"} if health_check_port.isdigit() else {}
    for path, target, own_port, _ in targets_of(around, group):
        instances = around.entries("instances").get(target, {})
        port_of_it = own_port or entry.get("port")
        ports = checked | ({port_of_it: "its traffic port"} if port_of_it else {})
        for port, what in ports.items() if instances else ():
            # many instances may share groups with many rules, so the answer is kept
            sides = [str(side.get(key)) for side in (instances, balancer) for key in _SIDE]
            incoming, outgoing = ("ingress", port, *sides), ("egress", port, *sides)
            if incoming not in known:
                known[incoming] = allows(around, instances, "ingress", port, balancer)
                known[outgoing] = allows(around, balancer, "egress", port, instances)
            if not known[incoming]:
                text = f"no security group of {target} lets load_balancer.{load_balancer} in on {what}, {port}; add an ingress rule for it"
                around.warn(path, text)
            if not known[outgoing]:
                text = f"no security group of load_balancer.{load_balancer} lets it out to {target} on {what}, {port}; add an egress rule for it"
                around.warn(path, text)
