"""VPCs, subnets, gateways, route tables and security groups: ranges that fit, relations that AWS allows."""

import ipaddress
from typing import Any

from alb_reconcile.kinds import load_kinds
from alb_reconcile.kinds.identifiers import is_aws_id
from alb_reconcile.model.resource import field_names
from alb_reconcile.spec.document import Path
from alb_reconcile.spec.outline import Outline, network


def check(outline: Outline) -> None:
    """Report networks that AWS would refuse or that can't work."""
    _check_implied_vpcs(outline)
    _check_ranges(outline)
    _check_subnets(outline)
    _check_gateways(outline)
    _check_route_tables(outline)
    _check_security_groups(outline)


def _check_implied_vpcs(outline: Outline) -> None:
    vpcs = list(outline.entries("vpcs"))
    within = [kind.section for kind in load_kinds().values() if kind.section and "vpc" in field_names(kind.properties)]
    for section in within:
        for name in outline.entries(section):
            if "vpc" in outline.given((section, name)) or len(vpcs) == 1 or outline.vpc_of(section, name):
                continue
            choice = f"say which: {', '.join(vpcs[:8])}" if vpcs else "give a VPC's id, or declare one under vpcs"
            outline.error(
                (section, name, "vpc"), f"is missing, and the file has {len(vpcs) or 'no'} VPCs; {choice}", at_key=True
            )


def _check_ranges(outline: Outline) -> None:
    for section in ("vpcs", "subnets"):
        for name, entry in outline.entries(section).items():
            path = (section, name, "cidr_block")
            block = _range(outline, path, entry.get("cidr_block"))
            if block and not 16 <= block.prefixlen <= 28:
                outline.error(path, f"/{block.prefixlen} is a size that AWS refuses; give it /16 to /28")
    for name, entry in outline.entries("route_tables").items():
        for index, route in enumerate(entry.get("routes") or ()):
            _range(
                outline,
                ("route_tables", name, "routes", index, "destination_cidr_block"),
                (route or {}).get("destination_cidr_block"),
            )


def _range(outline: Outline, path: Path, text: Any) -> ipaddress.IPv4Network | None:
    """The range, or None with its mistake reported."""
    if text is None:
        return None
    loose: ipaddress.IPv4Network | ipaddress.IPv6Network | None
    try:
        loose = ipaddress.ip_network(text, strict=False)
    except ValueError:
        loose = None
    if loose is None or loose.version != (6 if path[-1] == "ipv6_cidr_block" else 4):
        example = "2001:db8::/32" if path[-1] == "ipv6_cidr_block" else "10.0.0.0/16"
        outline.error(path, f'"{text}" is not an address range; write one such as {example}')
        return None
    if str(loose.network_address) != str(ipaddress.ip_interface(text).ip):
        outline.error(path, f'"{text}" has host bits set; write {loose}')
    return network(text)


def _check_subnets(outline: Outline) -> None:
    by_vpc: dict[str, list[tuple[ipaddress.IPv4Network, str]]] = {}
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
        around = outline.network_of("vpcs", vpc)
        if around and not block.subnet_of(around):
            outline.error(
                ("subnets", name, "cidr_block"), f"{block} is outside vpc.{vpc} ({around}); choose a range inside it"
            )
        by_vpc.setdefault(vpc, []).append((block, name))
    for blocks in by_vpc.values():
        last: tuple[ipaddress.IPv4Network, str] | None = None
        for block, name in sorted(blocks):
            if last and block.overlaps(last[0]):
                outline.error(
                    ("subnets", name, "cidr_block"),
                    f"{block} overlaps subnet.{last[1]} ({last[0]}); choose a free range",
                )
            if last is None or block.broadcast_address > last[0].broadcast_address:
                last = (block, name)


def _check_gateways(outline: Outline) -> None:
    seen: dict[str, str] = {}
    for name in outline.entries("internet_gateways"):
        vpc = outline.vpc_of("internet_gateways", name)
        if vpc and vpc in seen:
            outline.error(
                ("internet_gateways", name),
                f"the VPC {vpc} already has internet_gateway.{seen[vpc]}, and AWS allows one; remove one",
                at_key=True,
            )
        elif vpc:
            seen[vpc] = name


def _check_route_tables(outline: Outline) -> None:
    tables: dict[str, str] = {}
    for name, entry in outline.entries("route_tables").items():
        vpc = outline.vpc_of("route_tables", name)
        for index, subnet in enumerate(entry.get("subnets") or ()):
            path = ("route_tables", name, "subnets", index)
            if not isinstance(subnet, str):
                continue
            if tables.setdefault(subnet, name) != name:
                outline.error(
                    path,
                    f"subnet {subnet} is also in route_table.{tables[subnet]}, and a subnet has only one route table; remove it from one",
                )
            _same_vpc(outline, path, "subnets", subnet, vpc)
        destinations: set[str] = set()
        for index, route in enumerate(entry.get("routes") or ()):
            route = route or {}
            path = ("route_tables", name, "routes", index)
            destination = route.get("destination_cidr_block")
            if destination and destination in destinations:
                outline.error(
                    (*path, "destination_cidr_block"), f"{destination} has a route in this table already; keep one"
                )
            destinations.add(str(destination))
            gateway = route.get("internet_gateway")
            if gateway:
                _same_vpc(outline, (*path, "internet_gateway"), "internet_gateways", gateway, vpc)


def _same_vpc(outline: Outline, path: Path, section: str, name: str, vpc: str | None) -> None:
    """Report a reference to an entry that is known to be in another VPC."""
    other = outline.vpc_of(section, name)
    if vpc and other and other != vpc and is_aws_id(vpc) == is_aws_id(other):
        outline.error(path, f"{name} is in the VPC {other}, but this is in {vpc}; choose one in the same VPC")


def _check_security_groups(outline: Outline) -> None:
    for name, entry in outline.entries("security_groups").items():
        for direction in ("ingress", "egress"):
            seen: dict[tuple[object, ...], int] = {}
            for index, permission in enumerate(entry.get(direction) or ()):
                if isinstance(permission, dict):
                    path = ("security_groups", name, direction, index)
                    _check_ports(outline, path, permission)
                    _check_source(outline, path, permission, outline.vpc_of("security_groups", name))
                    if permission.keys() != outline.given(path).keys():
                        continue  # what is wrong in it has been said
                    first = seen.setdefault(_identity(permission), index)
                    if first != index:
                        outline.error(
                            path,
                            f"duplicates {direction}[{first}], and AWS allows a rule only once, whatever its description; keep one",
                        )
    for section in ("instances", "load_balancers"):
        for name, entry in outline.entries(section).items():
            for index, group in enumerate(entry.get("security_groups") or ()):
                if isinstance(group, str):
                    _same_vpc(
                        outline,
                        (section, name, "security_groups", index),
                        "security_groups",
                        group,
                        outline.vpc_of(section, name),
                    )


def _identity(permission: dict[str, Any]) -> tuple[object, ...]:
    """What AWS tells rules apart by."""
    ends = [permission.get(key, permission.get("port")) for key in ("from_port", "to_port")]
    return (permission.get("protocol"), *ends, *(permission.get(key) for key in _SOURCES))


def _check_ports(outline: Outline, path: Path, permission: dict[str, Any]) -> None:
    written = outline.given(path)
    given = [key for key in ("port", "from_port", "to_port") if key in written]
    protocol = permission.get("protocol")
    if protocol == "all":
        if given:
            outline.error((*path, given[0]), "protocol all means every port; leave out the ports, or name a protocol")
    elif "port" in given and len(given) > 1:
        outline.error(
            (*path, given[1]), f"{given[1]} says the same as port; give either port, or from_port and to_port"
        )
    elif given in (["from_port"], ["to_port"]):
        outline.error(
            (*path, given[0]), "one end of the range is missing; give both from_port and to_port, or port alone"
        )
    elif protocol == "icmp" and "port" in given:
        outline.error(
            (*path, "port"), "icmp has no ports; give from_port (the type) and to_port (the code), -1 for all"
        )
    elif not given and protocol in ("tcp", "udp"):
        outline.error((*path, "port"), "is missing; give port, or from_port and to_port (0 and 65535 for all)")
    elif protocol in ("tcp", "udp") and {"from_port", "to_port"} <= permission.keys():
        if permission["from_port"] < 0 or permission["to_port"] < 0:
            outline.error((*path, "from_port"), "-1 is for icmp only; give ports from 0 to 65535")
        elif permission["from_port"] > permission["to_port"]:
            outline.error(
                (*path, "from_port"),
                f"the range {permission['from_port']} to {permission['to_port']} is empty; swap its ends",
            )


_SOURCES = ("cidr_block", "ipv6_cidr_block", "security_group", "prefix_list_id")


def _check_source(outline: Outline, path: Path, permission: dict[str, Any], vpc: str | None) -> None:
    given = [key for key in _SOURCES if key in permission]
    if len(given) > 1:
        outline.error(
            (*path, given[1]), f"{given[1]} is given together with {given[0]}; write a separate rule for each"
        )
    elif not given and outline.given(path).keys().isdisjoint(_SOURCES):
        outline.error(path, f"the source or destination is missing; give one of {', '.join(_SOURCES)}")
    for key in ("cidr_block", "ipv6_cidr_block"):
        _range(outline, (*path, key), permission.get(key))
    if "security_group" in permission:
        _same_vpc(outline, (*path, "security_group"), "security_groups", permission["security_group"], vpc)
