"""VPCs, subnets, gateways, route tables and security groups: ranges that fit, relations that AWS allows."""

import ipaddress
from collections import defaultdict
from typing import Final

from alb_reconcile.kinds.base import Entry
from alb_reconcile.model.nodes import Path
from alb_reconcile.spec.checks.ranges import address_range
from alb_reconcile.spec.outline import Outline
from alb_reconcile.spec.schema import resolved

_PORTS: Final = ("port", "from_port", "to_port")
_SOURCES: Final = ("cidr_block", "ipv6_cidr_block", "security_group", "prefix_list_id")
_DESTINATIONS: Final = ("destination_cidr_block", "destination_ipv6_cidr_block", "destination_prefix_list_id")


def check(outline: Outline) -> None:
    """Report networks that AWS would refuse or that can't work."""
    _check_ranges(outline)
    _check_subnets(outline)
    for section in ("internet_gateways", "egress_only_internet_gateways"):
        _check_gateways(outline, section)
    _check_route_tables(outline)
    _check_security_groups(outline)


def _check_ranges(outline: Outline) -> None:
    for section in ("vpcs", "subnets"):
        for path, text in outline.texts(section, ..., "cidr_block"):
            address_range(outline, path, text, is_of_vpc=True)
    for key in ("destination_cidr_block", "destination_ipv6_cidr_block"):
        for path, text in outline.texts("route_tables", ..., "routes", ..., key):
            address_range(outline, path, text)


def _check_subnets(outline: Outline) -> None:
    by_vpc: dict[str, list[tuple[ipaddress.IPv4Network, str]]] = defaultdict(list)
    for name, entry in outline.entries("subnets").items():
        block, vpc = outline.network_of("subnets", name), outline.vpc_of("subnets", name)
        zone = entry.get("availability_zone")
        if zone and len(zone) > 1 and outline.region and not zone.startswith(outline.region):
            outline.error(
                ("subnets", name, "availability_zone"),
                f"{zone} is not in the region {outline.region}; write the letter alone, or a zone of that region",
            )
        if block is None or vpc is None:
            continue
        around = outline.ranges_of(vpc)
        if around and not any(block.subnet_of(item) for item in around):
            ranges = ", ".join(map(str, around))
            outline.error(
                ("subnets", name, "cidr_block"), f"{block} is outside vpc.{vpc} ({ranges}); choose a range inside it"
            )
        by_vpc[vpc].append((block, name))
    for blocks in by_vpc.values():
        (last, last_name), *others = sorted(blocks)
        for block, name in others:
            if block.overlaps(last):
                outline.error(
                    ("subnets", name, "cidr_block"),
                    f"{block} overlaps subnet.{last_name} ({last}); choose a free range",
                )
            if block.broadcast_address > last.broadcast_address:
                last, last_name = block, name


def _check_gateways(outline: Outline, section: str) -> None:
    seen: dict[str, str] = {}
    for name in outline.entries(section):
        vpc = outline.vpc_of(section, name)
        if vpc and (first := seen.setdefault(vpc, name)) != name:
            outline.error(
                (section, name),
                f"the VPC {vpc} already has {section.removesuffix('s')}.{first}, and AWS allows one; remove one",
                at_key=True,
            )


def _check_route_tables(outline: Outline) -> None:
    tables: dict[str, str | int] = {}
    for path, subnet in outline.texts("route_tables", ..., "subnets", ...):
        if (first := tables.setdefault(subnet, path[1])) != path[1]:
            outline.error(
                path,
                f"subnet {subnet} is also in route_table.{first}, and a subnet has only one route table; remove it from one",
            )
    described = resolved("route_table")["properties"]["routes"]["items"]["properties"]
    targets = [key for key in described if key not in _DESTINATIONS]
    seen: set[tuple[str | int, str]] = set()
    for path, route in outline.mappings("route_tables", ..., "routes", ...):
        written = outline.given(path).keys()
        ends = [key for key in written if key in _DESTINATIONS], [key for key in written if key in targets]
        for given, what, known in zip(ends, ("destination", "target"), (_DESTINATIONS, targets), strict=True):
            if len(given) > 1:
                outline.error(
                    (*path, given[1]),
                    f"{given[1]} is given together with {given[0]}; {'keep one' if what == 'target' else 'write a route for each'}",
                )
            elif not given:
                outline.error(path, f"the {what} is missing; give one of {', '.join(known)}")
        for key in ends[0]:
            if (destination := route.get(key)) is None:
                continue  # what is wrong with it has been said
            if (path[1], destination) in seen:
                outline.error((*path, key), f"{destination} has a route in this table already; keep one")
            seen.add((path[1], destination))


def _check_security_groups(outline: Outline) -> None:
    for name in outline.entries("security_groups"):
        for direction in ("ingress", "egress"):
            seen: dict[tuple[object, ...], str | int] = {}
            for path, permission in outline.mappings("security_groups", name, direction, ...):
                written = outline.given(path).keys()
                if mistake := _port_mistake(permission, [key for key in _PORTS if key in written]):
                    outline.error((*path, mistake[0]), mistake[1])
                _check_source(outline, path, permission)
                if permission.keys() != written:
                    continue  # what is wrong in it has been said
                if (first := seen.setdefault(_identity(permission), path[-1])) != path[-1]:
                    outline.error(
                        path,
                        f"duplicates {direction}[{first}], and AWS allows a rule only once, whatever its description; keep one",
                    )


def _identity(permission: Entry) -> tuple[object, ...]:
    """What AWS tells rules apart by."""
    ends = [permission.get(key, permission.get("port")) for key in ("from_port", "to_port")]
    return (permission.get("protocol"), *ends, *(permission.get(key) for key in _SOURCES))


def _port_mistake(permission: Entry, given: list[str]) -> tuple[str, str] | None:
    """What is wrong with the ports of a permission, and the key at which it is; `given` are those that are written."""
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


def _check_source(outline: Outline, path: Path, permission: Entry) -> None:
    given = [key for key in _SOURCES if key in permission]
    if len(given) > 1:
        outline.error(
            (*path, given[1]), f"{given[1]} is given together with {given[0]}; write a separate rule for each"
        )
    elif not given and outline.given(path).keys().isdisjoint(_SOURCES):
        outline.error(path, f"the source or destination is missing; give one of {', '.join(_SOURCES)}")
    for key in given:
        if key.endswith("cidr_block"):
            address_range(outline, (*path, key), permission[key])
