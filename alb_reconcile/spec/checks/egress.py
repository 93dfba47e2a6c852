"""NAT gateways and the ways out that lead over them: what AWS refuses, what wouldn't work, and what one zone's failure would cut off."""

from collections import defaultdict
from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import Final

from alb_reconcile.kinds.base import Entry
from alb_reconcile.model.nodes import Path
from alb_reconcile.spec.outline import Outline

_DEFAULT: Final = "0.0.0.0/0"
_OF_PUBLIC: Final = ("elastic_ip", "secondary_elastic_ips")
_OF_PRIVATE: Final = ("secondary_private_ip_addresses", "secondary_private_ip_address_count")
_PUBLIC: Final = "associate_public_ip_address"
_OF_A_ZONE: Final = ("subnet", "private_ip_address", *_OF_PUBLIC, *_OF_PRIVATE)


def check(outline: Outline) -> None:
    """Report NAT gateways that AWS would refuse or that lead nowhere, and private subnets without the way out that is meant."""
    tables = {subnet: str(path[1]) for path, subnet in outline.texts("route_tables", ..., "subnets", ...)}
    for name, entry in outline.entries("nat_gateways").items():
        vpc, is_regional = outline.vpc_of("nat_gateways", name), entry.get("availability_mode") == "regional"
        is_public = entry.get("connectivity_type") != "private" and not outline.is_wrong(("nat_gateways", name))
        if is_public and outline.lacks_internet_gateway(vpc):
            instead = "" if is_regional else ", or set connectivity_type: private"
            text = f"is public, but vpc.{vpc} has no internet gateway; declare one under internet_gateways{instead}"
            outline.error(("nat_gateways", name), text, at_key=True)
        if is_regional:
            _check_regional(outline, name, entry)
        else:
            _check_zonal(outline, name, entry)
            _check_way_out(outline, name, entry, tables)
    _check_zones(outline)
    _check_instances(outline, tables)


def _check_regional(outline: Outline, name: str, entry: Entry) -> None:
    path = ("nat_gateways", name)
    for key in _OF_A_ZONE:
        if key in outline.given(path):
            instead = (
                "; write availability_zone_addresses, or let AWS choose" if key in _OF_PUBLIC else "; leave it out"
            )
            outline.error((*path, key), f"is for a NAT gateway of one zone, and this one is regional{instead}")
    if entry.get("connectivity_type") == "private":
        outline.error(
            (*path, "connectivity_type"), "a regional NAT gateway is public; use zonal ones for private traffic"
        )
    zones: dict[str, int] = {}
    for index, (place, zone) in enumerate(
        outline.texts(*path, "availability_zone_addresses", ..., "availability_zone")
    ):
        whole = f"{outline.region}{zone}" if len(zone) == 1 and outline.region else zone
        if zones.setdefault(whole, index) != index:
            outline.error(place, f"{zone} is given twice; write all of its addresses into one entry")


def _check_zonal(outline: Outline, name: str, entry: Entry) -> None:
    path = ("nat_gateways", name)
    given, is_private = outline.given(path), entry.get("connectivity_type") == "private"
    if "subnet" not in given:
        text = "is missing; it is the subnet that the NAT gateway is in (availability_mode: regional needs none)"
        outline.error((*path, "subnet"), text, at_key=True)
    if "availability_zone_addresses" in given:
        text = "is for availability_mode: regional; give this NAT gateway its address as elastic_ip"
        outline.error((*path, "availability_zone_addresses"), text)
    if "vpc" in given:
        outline.error(
            (*path, "vpc"),
            "is for availability_mode: regional; this NAT gateway is in its subnet's VPC, so leave it out",
        )
    for key in given.keys() & (_OF_PUBLIC if is_private else _OF_PRIVATE):
        wrong = "a private NAT gateway has no public address" if is_private else "a public NAT gateway doesn't take it"
        right = "make it public" if is_private else "set connectivity_type: private"
        outline.error((*path, key), f"{wrong}; leave it out, or {right}")
    if given.keys() >= set(_OF_PRIVATE):
        outline.error((*path, _OF_PRIVATE[1]), f"{_OF_PRIVATE[0]} is given too; keep one of them")
    if not is_private and "elastic_ip" not in given:
        text = "is missing; it is the address by which others see the NAT gateway: a name under elastic_ips, or an id (eipalloc-…)"
        outline.error((*path, "elastic_ip"), text, at_key=True)
    subnet = entry.get("subnet")
    if not isinstance(subnet, str):
        return
    block, address = outline.network_of("subnets", subnet), _address(entry.get("private_ip_address"))
    if block and address and address not in block:
        outline.error(
            (*path, "private_ip_address"), f"{address} isn't in subnet.{subnet} ({block}); choose one that is"
        )


def _check_way_out(outline: Outline, name: str, entry: Entry, tables: Mapping[str, str]) -> None:
    """A public NAT gateway sends its traffic on by its subnet's own default route."""
    path, subnet = ("nat_gateways", name, "subnet"), entry.get("subnet")
    if subnet not in outline.entries("subnets") or entry.get("connectivity_type") == "private":
        return
    table = tables.get(subnet)
    if table is None:
        outline.warn(
            path,
            f"subnet.{subnet} is in no route table of this file, so the NAT gateway may lead nowhere; put it into one with a route for {_DEFAULT} to an internet gateway",
        )
    elif _is_known(outline, table) and "internet_gateway" not in _default_route(outline, table):
        outline.error(
            path,
            f"subnet.{subnet} has no default route to an internet gateway (route_table.{table}), so the NAT gateway would lead nowhere; choose a public subnet, or add the route",
        )


def _check_zones(outline: Outline) -> None:
    """A zonal NAT gateway that other zones depend on, and one on which nobody does."""
    served: dict[str, dict[str, str]] = defaultdict(dict)
    first: dict[str, Path] = {}
    for path, gateway in outline.texts("route_tables", ..., "routes", ..., "nat_gateway"):
        first.setdefault(gateway, path)
        for _, subnet in outline.texts("route_tables", path[1], "subnets", ...):
            if zone := outline.zone_of(subnet):
                served[gateway].setdefault(zone, subnet)
    tables = outline.entries("route_tables")
    if tables and outline.is_sound and all(_is_known(outline, table) for table in tables):
        for idle in (name for name in outline.entries("nat_gateways") if name not in first):
            text = "no route leads to it, and it costs by the hour; name it in a route, or remove it"
            outline.warn(("nat_gateways", idle), text, at_key=True)
    for gateway, zones in served.items():
        entry = outline.entries("nat_gateways").get(gateway, {})
        home = outline.zone_of(str(entry.get("subnet")))
        others = sorted(zone for zone in zones if zone != home)
        if home and others and "availability_mode" not in entry:
            outline.warn(
                first[gateway],
                f"nat_gateway.{gateway} is in {home} and serves {', '.join(others)} too, which lose their way out if that zone fails; declare one a zone, or one with availability_mode: regional; if this is meant, write availability_mode: zonal",
            )


def _check_instances(outline: Outline, tables: Mapping[str, str]) -> None:
    """Where the members of one group would have a way out, and others none; and public addresses that lead nowhere."""
    defaults = {
        table: _default_route(outline, table) for table in outline.entries("route_tables") if _is_known(outline, table)
    }
    for name, instance in outline.entries("instances").items():
        ways = {
            (path, subnet): defaults[tables[subnet]]
            for path, subnet in outline.texts("instances", name, "subnets", ...)
            if tables.get(subnet) in defaults and subnet in outline.entries("subnets")
        }
        for (path, subnet), route in ways.items():
            given = outline.entries("subnets")[subnet].get("map_public_ip_on_launch")
            own = instance.get(_PUBLIC, given)
            if not route and any(ways.values()):
                outline.warn(
                    path,
                    f"subnet.{subnet} has no default route, and other subnets of {name} have one: what runs there can't reach the internet; add a route for {_DEFAULT}, such as to a NAT gateway",
                )
            if "internet_gateway" in route and own is False and "elastic_ip" not in instance:
                key = _PUBLIC if _PUBLIC in instance else "map_public_ip_on_launch"
                outline.warn(
                    path,
                    f"{name} gets no public address in subnet.{subnet}, whose internet gateway lets nothing out without one; set {key}: true, or route {_DEFAULT} to a NAT gateway",
                )
            if "nat_gateway" in route and given is own is True:
                outline.warn(
                    path,
                    f"subnet.{subnet} gives {name} public addresses, at which nobody reaches it: its default route leads to a NAT gateway; set map_public_ip_on_launch: false",
                )


def _is_known(outline: Outline, table: str) -> bool:
    """Whether the file says all routes of a table."""
    entry = outline.entries("route_tables")[table]
    return "routes" in entry and entry.get("others") != "keep"


def _default_route(outline: Outline, table: str) -> Entry:
    """A table's default route for IPv4; empty if it has none."""
    routes = (route for _, route in outline.mappings("route_tables", table, "routes", ...))
    return next((route for route in routes if route.get("destination_cidr_block") == _DEFAULT), {})


def _address(text: object) -> IPv4Address | None:
    try:
        return IPv4Address(text) if isinstance(text, str) else None
    except ValueError:
        return None
