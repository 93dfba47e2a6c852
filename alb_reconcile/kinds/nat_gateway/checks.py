"""Checks NAT gateways of a spec: what AWS would refuse, routes that lead nowhere, and what a failure of one zone would cut off.

Routes to NAT gateways, and from the gateways' subnets, are checked here: a route table works without NAT gateways.
"""

from collections import defaultdict
from ipaddress import ip_address
from typing import Final

from alb_reconcile.kinds._targets import as_address
from alb_reconcile.kinds.base import Around, Entry
from alb_reconcile.kinds.internet_gateway import lacks_internet_gateway
from alb_reconcile.kinds.networks import ANYWHERE, network_of, vpc_of, zone_of
from alb_reconcile.kinds.route_table.defaults import default_route, is_known, tables_of_subnets
from alb_reconcile.model.nodes import Path

_OF_PUBLIC: Final = ("elastic_ip", "secondary_elastic_ips")
_OF_A_ZONE: Final = ("subnet", "private_ip_address", *_OF_PUBLIC)


def check_entries(around: Around) -> None:
    """Report NAT gateways that AWS would refuse."""
    for name, entry in around.entries("nat_gateways").items():
        if entry.get("availability_mode") == "regional":
            _check_regional(around, name, entry)
        else:
            _check_zonal(around, name, entry)


def check_use(around: Around) -> None:
    """Report NAT gateways without a way to the internet, without a route that leads to them, or on which other zones depend."""
    for name, entry in around.entries("nat_gateways").items():
        vpc, is_regional = vpc_of(around, "nat_gateways", name), entry.get("availability_mode") == "regional"
        is_public = entry.get("connectivity_type") != "private" and not around.is_wrong(("nat_gateways", name))
        if is_public and lacks_internet_gateway(around, vpc):
            instead = "" if is_regional else ", or set connectivity_type: private"
            text = f"is public, but vpc.{vpc} has no internet gateway; declare one under internet_gateways{instead}"
            around.error(("nat_gateways", name), text, at_key=True)
        if not is_regional:
            _check_way_out(around, name, entry)
    _check_zones(around)


def _check_regional(around: Around, name: str, entry: Entry) -> None:
    path = ("nat_gateways", name)
    for key in _OF_A_ZONE:
        if key in around.given(path):
            around.error((*path, key), "is for a NAT gateway of one zone, and this one is regional; leave it out")
    if entry.get("connectivity_type") == "private":
        text = "a regional NAT gateway is public; use zonal ones for private traffic"
        around.error((*path, "connectivity_type"), text)


def _check_zonal(around: Around, name: str, entry: Entry) -> None:
    path = ("nat_gateways", name)
    given, is_private = around.given(path), entry.get("connectivity_type") == "private"
    if "subnet" not in given:
        text = "is missing; it is the subnet that the NAT gateway is in (availability_mode: regional needs none)"
        around.error((*path, "subnet"), text, at_key=True)
    if "vpc" in given:
        text = "is for availability_mode: regional; this NAT gateway is in its subnet's VPC, so leave it out"
        around.error((*path, "vpc"), text)
    for key in given.keys() & _OF_PUBLIC if is_private else ():
        around.error((*path, key), "a private NAT gateway has no public address; leave it out, or make it public")
    if not is_private and "elastic_ip" not in given:
        text = "is missing; it is the address by which others see the NAT gateway: a name under elastic_ips, or an id (eipalloc-…)"
        around.error((*path, "elastic_ip"), text, at_key=True)
    subnet = entry.get("subnet")
    if not isinstance(subnet, str):
        return
    block, address = network_of(around, "subnets", subnet), as_address(entry.get("private_ip_address") or "")
    if block and address and ip_address(address) not in block:
        around.error((*path, "private_ip_address"), f"{address} isn't in subnet.{subnet} ({block}); choose one that is")


def _check_way_out(around: Around, name: str, entry: Entry) -> None:
    """Report a public NAT gateway if its own subnet's default route, by which it sends traffic on, doesn't lead to an internet gateway."""
    path, subnet = ("nat_gateways", name, "subnet"), entry.get("subnet")
    if subnet not in around.entries("subnets") or entry.get("connectivity_type") == "private":
        return
    table = around.kept(tables_of_subnets).get(subnet)
    if table is None:
        text = f"subnet.{subnet} is in no route table of this file, so the NAT gateway may lead nowhere; put it into one with a route for {ANYWHERE[0]} to an internet gateway"
        around.warn(path, text)
    elif is_known(around, table) and "internet_gateway" not in default_route(around, table):
        text = f"subnet.{subnet} has no default route to an internet gateway (route_table.{table}), so the NAT gateway would lead nowhere; choose a public subnet, or add the route"
        around.error(path, text)


def _check_zones(around: Around) -> None:
    """Warn of a NAT gateway of one zone that other zones depend on, and of a NAT gateway to which no route leads."""
    served: dict[str, dict[str, str]] = defaultdict(dict)
    first: dict[str, Path] = {}
    for path, gateway in around.texts("route_tables", ..., "routes", ..., "nat_gateway"):
        first.setdefault(gateway, path)
        for _, subnet in around.texts("route_tables", path[1], "subnets", ...):
            if zone := zone_of(around, subnet):
                served[gateway].setdefault(zone, subnet)
    tables = around.entries("route_tables")
    if tables and around.is_sound and all(is_known(around, table) for table in tables):
        for idle in (name for name in around.entries("nat_gateways") if name not in first):
            text = "no route leads to it, and it costs by the hour; name it in a route, or remove it"
            around.warn(("nat_gateways", idle), text, at_key=True)
    for gateway, zones in served.items():
        entry = around.entries("nat_gateways").get(gateway, {})
        home = zone_of(around, str(entry.get("subnet")))
        others = sorted(zone for zone in zones if zone != home)
        if home and others and "availability_mode" not in entry:
            text = f"nat_gateway.{gateway} is in {home} and serves {', '.join(others)} too, which lose their way out if that zone fails; declare one a zone, or one with availability_mode: regional; if this is meant, write availability_mode: zonal"
            around.warn(first[gateway], text)
