"""Finds the default routes of a spec, by which subnets reach the internet."""

from collections.abc import Mapping
from typing import Final

from alb_reconcile.kinds.base import Around, Entry
from alb_reconcile.kinds.networks import ANYWHERE

DEFAULT: Final = dict(zip(("destination_cidr_block", "destination_ipv6_cidr_block"), ANYWHERE, strict=True))
"""The destination of a default route, by its key in a route."""


def tables_of_subnets(around: Around) -> Mapping[str, str]:
    """The route table of each subnet that has one in the spec. Ask for it as `around.kept(tables_of_subnets)`."""
    return {subnet: str(path[1]) for path, subnet in around.texts("route_tables", ..., "subnets", ...)}


def is_known(around: Around, table: str) -> bool:
    """Whether the spec has all routes of a table."""
    entry = around.entries("route_tables")[table]
    return "routes" in entry and entry.get("others") != "keep"


def default_route(around: Around, table: str, key: str = "destination_cidr_block") -> Entry:
    """A table's default route for IPv4, or by another key of `DEFAULT`; empty if it has none."""
    routes = (route for _, route in around.mappings("route_tables", table, "routes", ...))
    return next((route for route in routes if route.get(key) == DEFAULT[key]), {})
