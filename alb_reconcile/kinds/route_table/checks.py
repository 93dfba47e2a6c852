"""Checks route tables of a spec: where each route leads, and that each subnet has only one table."""

from typing import Final

from alb_reconcile.kinds.base import Around
from alb_reconcile.kinds.networks import address_range

_DESTINATIONS: Final = ("destination_cidr_block", "destination_ipv6_cidr_block", "destination_prefix_list_id")


def check_entries(around: Around) -> None:
    """Report routes and associations that AWS would refuse."""
    for key in ("destination_cidr_block", "destination_ipv6_cidr_block"):
        for path, text in around.texts("route_tables", ..., "routes", ..., key):
            address_range(around, path, text)
    _check_subnets(around)
    _check_routes(around)


def _check_subnets(around: Around) -> None:
    tables: dict[str, str | int] = {}
    for path, subnet in around.texts("route_tables", ..., "subnets", ...):
        if (first := tables.setdefault(subnet, path[1])) != path[1]:
            text = f"subnet {subnet} is also in route_table.{first}, and a subnet has only one route table; remove it from one"
            around.error(path, text)


def _check_routes(around: Around) -> None:
    described = around.schema("route_table")["properties"]["routes"]["items"]["properties"]
    targets = [key for key in described if key not in _DESTINATIONS]
    seen: set[tuple[str | int, str]] = set()
    for path, route in around.mappings("route_tables", ..., "routes", ...):
        written = around.given(path).keys()
        ends = [key for key in written if key in _DESTINATIONS], [key for key in written if key in targets]
        for given, what, known in zip(ends, ("destination", "target"), (_DESTINATIONS, targets), strict=True):
            if len(given) > 1:
                text = f"{given[1]} is given together with {given[0]}; {'keep one' if what == 'target' else 'write a route for each'}"
                around.error((*path, given[1]), text)
            elif not given:
                around.error(path, f"the {what} is missing; give one of {', '.join(known)}")
        for key in ends[0]:
            if (destination := route.get(key)) is None:
                continue  # its mistake has been reported
            if (path[1], destination) in seen:
                around.error((*path, key), f"{destination} has a route in this table already; keep one")
            seen.add((path[1], destination))
