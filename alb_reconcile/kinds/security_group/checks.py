"""Checks security groups of a spec: the ports, sources and destinations of their rules, and SSH that is open to the world."""

from typing import Final

from alb_reconcile.kinds.base import Around, Entry
from alb_reconcile.kinds.networks import ANYWHERE, address_range
from alb_reconcile.kinds.security_group.reach import covers
from alb_reconcile.model.nodes import Path

_PORTS: Final = ("port", "from_port", "to_port")
_SOURCES: Final = ("cidr_block", "ipv6_cidr_block", "security_group", "prefix_list_id")


def check_entries(around: Around) -> None:
    """Report rules that AWS would refuse."""
    for name in around.entries("security_groups"):
        for direction in ("ingress", "egress"):
            seen: dict[tuple[object, ...], str | int] = {}
            for path, permission in around.mappings("security_groups", name, direction, ...):
                written = around.given(path).keys()
                if mistake := _port_mistake(permission, [key for key in _PORTS if key in written]):
                    around.error((*path, mistake[0]), mistake[1])
                _check_source(around, path, permission)
                if permission.keys() != written:
                    continue  # its mistakes have been reported
                if (first := seen.setdefault(_identity(permission), path[-1])) != path[-1]:
                    text = f"duplicates {direction}[{first}], and AWS allows a rule only once, whatever its description; keep one"
                    around.error(path, text)


def _identity(permission: Entry) -> tuple[object, ...]:
    """The values by which AWS tells rules apart."""
    ends = [permission.get(key, permission.get("port")) for key in ("from_port", "to_port")]
    return (permission.get("protocol"), *ends, *(permission.get(key) for key in _SOURCES))


def _port_mistake(permission: Entry, given: list[str]) -> tuple[str, str] | None:
    """The key at which the ports of a permission are wrong, and the mistake. `given`: the keys of ports that the permission has."""
    protocol = permission.get("protocol")
    if protocol == "all":
        return (given[0], "protocol all means every port; leave out the ports, or name a protocol") if given else None
    if "port" in given and len(given) > 1:
        return given[1], f"{given[1]} says the same as port; give either port, or from_port and to_port"
    if given in (["from_port"], ["to_port"]):
        return given[0], "one end of the range is missing; give both from_port and to_port, or port alone"
    if protocol == "icmp" and "port" in given:
        return "port", "icmp has no ports; give from_port (the type) and to_port (the code), -1 for all"
    if protocol not in ("tcp", "udp"):
        return None
    if not given:
        return "port", "is missing; give port, or from_port and to_port (0 and 65535 for all)"
    if {"from_port", "to_port"} <= permission.keys():
        first, last = permission["from_port"], permission["to_port"]
        if first < 0 or last < 0:
            return "from_port", "-1 is for icmp only; give ports from 0 to 65535"
        if first > last:
            return "from_port", f"the range {first} to {last} is empty; swap its ends"
    return None


def _check_source(around: Around, path: Path, permission: Entry) -> None:
    given = [key for key in _SOURCES if key in permission]
    if len(given) > 1:
        around.error((*path, given[1]), f"{given[1]} is given together with {given[0]}; write a separate rule for each")
    elif not given and around.given(path).keys().isdisjoint(_SOURCES):
        around.error(path, f"the source or destination is missing; give one of {', '.join(_SOURCES)}")
    for key in given:
        if key.endswith("cidr_block"):
            address_range(around, (*path, key), permission[key])


def check_use(around: Around) -> None:
    """Report SSH that is open to the world."""
    for path, rule in around.mappings("security_groups", ..., "ingress", ...):
        is_meant = covers(rule, 22) and not around.is_wrong(path)
        if is_meant and {rule.get("cidr_block"), rule.get("ipv6_cidr_block")} & set(ANYWHERE):
            text = (
                "opens SSH (port 22) to the whole internet; name the addresses that need it, or use SSM Session Manager"
            )
            around.warn(path, text)
