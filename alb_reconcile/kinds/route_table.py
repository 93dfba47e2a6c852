"""Route tables with their routes and associations (EC2 CreateRouteTable, CreateRoute, AssociateRouteTable)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from alb_reconcile.kind import Kind
from alb_reconcile.values import Ref


class Route(NamedTuple):
    """Where the traffic to a range of addresses goes."""

    destination_cidr_block: str
    target: Ref


@dataclass(frozen=True, kw_only=True)
class RouteTable(Kind):
    """Routes, and the subnets that follow them."""

    kind: ClassVar[str] = "route_table"
    replaced_on: ClassVar[frozenset[str]] = frozenset({"vpc"})

    vpc: Ref
    routes: tuple[Route, ...] | None = None
    subnets: tuple[Ref, ...] | None = None
