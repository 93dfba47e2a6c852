"""Route tables with their routes and associations (EC2 CreateRouteTable, CreateRoute, AssociateRouteTable)."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, NamedTuple, Self

from alb_reconcile.kinds import waits
from alb_reconcile.kinds._ec2 import Ec2Kind, Row
from alb_reconcile.kinds.base import Around, Entry, IamActions, Listing
from alb_reconcile.kinds.context import Run, all_of
from alb_reconcile.kinds.identifiers import refer
from alb_reconcile.kinds.quotas import Quota
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.model.abilities import keep_others
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.errors import ignoring
from alb_reconcile.model.resource import Desired, Observed, Properties
from alb_reconcile.model.steps import HandOver


class Route(NamedTuple):
    """Where the traffic to a range of addresses goes; of somebody else's, to a list of them (pl-…)."""

    destination_cidr_block: str
    target: Ref


@dataclass(frozen=True)
class Associations:
    """The associations of a route table, by subnet; those of others' subnets too."""

    by_subnet: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class RouteTable(Properties):
    """Routes, and the subnets that follow them."""

    kind = "route_table"
    service = "ec2"
    removed_late = ("routes", "subnets")
    is_for_others = True
    carries_applied = True
    replaced_on = frozenset({"vpc"})
    needed_late = frozenset({"routes", "subnets"})

    vpc: Ref
    routes: tuple[Route, ...] | None = None
    subnets: tuple[Ref, ...] | None = None

    def with_others(self, observed: Self) -> Self:
        return replace(
            self,
            routes=keep_others(self.routes, observed.routes, lambda route: route.destination_cidr_block),
            subnets=keep_others(self.subnets, observed.subnets, lambda subnet: subnet),
        )


class RouteTableKind(Ec2Kind[RouteTable]):
    """Drives route tables."""

    properties = RouteTable
    noun = "a route table"
    position = 40
    section = "route_tables"
    id_prefix = "rtb-"
    listing = Listing("describe_route_tables", "RouteTables", "RouteTableId", "route-table-id")
    missing = ("InvalidRouteTableID.NotFound",)
    in_use = waits.ROUTES_IN_USE
    quotas = (
        Quota("L-589F43AA", "route tables", 200, ("vpc",)),
        Quota("L-93826ACB", "routes in a route table", 500, path="routes"),
    )
    iam_actions = IamActions(
        read=("ec2:DescribeRouteTables", "ec2:DescribeSubnets"),
        look=("servicequotas:GetServiceQuota",),
        create=(
            "ec2:CreateRouteTable",
            "ec2:CreateTags",
            "ec2:CreateRoute",
            "ec2:ReplaceRoute",
            "ec2:AssociateRouteTable",
            "ec2:ReplaceRouteTableAssociation",
        ),
        update=(
            "ec2:CreateRoute",
            "ec2:ReplaceRoute",
            "ec2:DeleteRoute",
            "ec2:AssociateRouteTable",
            "ec2:ReplaceRouteTableAssociation",
            "ec2:DisassociateRouteTable",
            "ec2:CreateTags",
        ),
        delete=("ec2:DisassociateRouteTable", "ec2:DeleteRouteTable"),
    )

    def read_entry(self, name: str, entry: Entry, fields: dict[str, Any], around: Around) -> RouteTable:
        if (routes := entry.get("routes")) is not None:
            given = [(item["destination_cidr_block"], item["internet_gateway"]) for item in routes]
            fields["routes"] = tuple(sorted(Route(block, refer("internet_gateway", target)) for block, target in given))
        return RouteTable(**fields)

    def why_builtin(self, row: Mapping[str, Any]) -> str:
        main = any(part.get("Main") for part in row.get("Associations", ()))
        return "its VPC's main route table, which AWS deletes only with the VPC" if main else ""

    async def discover(self, reader: Reader) -> list[Observed]:
        tables, subnets = await asyncio.gather(self.own_rows(reader), reader.tagged("describe_subnets", "Subnets"))
        known = {subnet["SubnetId"] for subnet in subnets}.union(reader.literal_ids("subnet-"))
        return [self._observe(reader, table, known) for table in tables]

    def _observe(self, reader: Reader, table: Row, known: set[str]) -> Observed:
        # local, propagated and gateway endpoints' routes are not for CreateRoute and DeleteRoute
        routes = [
            Route(next((str(route[key]) for key in _DESTINATIONS if route.get(key)), ""), _target(route))
            for route in table["Routes"]
            if route.get("Origin") == "CreateRoute" and not str(route.get("GatewayId", "")).startswith("vpce-")
        ]
        associations = {
            item["SubnetId"]: item["RouteTableAssociationId"]
            for item in table.get("Associations", ())
            if item.get("SubnetId")
        }
        state = RouteTable(
            vpc=table["VpcId"],
            routes=tuple(sorted(routes, key=str)),
            # the association of a subnet that isn't ours stays
            subnets=tuple(sorted(known.intersection(associations))),
        )
        return self.observe(reader, table, state, details=Associations(associations))

    async def create(self, run: Run, wanted: RouteTable, desired: Desired) -> str:
        table = await self.call_create(run, desired, waits.ROUTES_UNKNOWN, VpcId=wanted.vpc)
        subnets = wanted.subnets or ()
        new = [subnet for subnet in subnets if isinstance(subnet, Address)]
        # a subnet that is in use must not meet a table without its routes; one that is made meanwhile isn't yet
        await all_of(
            *(_create_route(run, table, route) for route in wanted.routes or ()),
            *(_associate(run, table, subnet) for subnet in new),
        )
        await all_of(*(_associate(run, table, subnet) for subnet in subnets if subnet not in new))
        return table

    async def update(self, run: Run, wanted: RouteTable, observed: Observed, fields: frozenset[str]) -> None:
        before, table = self.of(observed), observed.id
        calls = []
        if "routes" in fields:
            have = {route.destination_cidr_block: route for route in before.routes or ()}
            want = {route.destination_cidr_block: route for route in wanted.routes or ()}
            for destination, route in want.items():
                if destination not in have:
                    calls.append(_create_route(run, table, route))
                elif have[destination] != route:
                    calls.append(_set_route(run, "replace_route", table, route))
            calls += [_delete_route(run, table, destination) for destination in have.keys() - want.keys()]
        await all_of(*calls)
        if "subnets" in fields:
            own, wished = set(before.subnets or ()), set(wanted.subnets or ())
            calls = [_associate(run, table, subnet) for subnet in wished - own]
            # a subnet that another table of ours takes is moved by that one, so that it never falls onto the main table
            leaving = (own - wished).difference(run.detail(HandOver).moving)
            associations = observed.detail(Associations).by_subnet
            calls += [_disassociate(run, associations[str(subnet)]) for subnet in leaving]
            await all_of(*calls)

    async def delete(self, run: Run, observed: Observed) -> None:
        moving = run.detail(HandOver).moving
        associations = observed.detail(Associations).by_subnet
        await all_of(*(_disassociate(run, item) for subnet, item in associations.items() if subnet not in moving))
        await super().delete(run, observed)


async def _create_route(run: Run, table: str, route: Route) -> None:
    with ignoring("RouteAlreadyExists"):
        await _set_route(run, "create_route", table, route)
        return
    await _set_route(run, "replace_route", table, route)


async def _set_route(run: Run, operation: str, table: str, route: Route) -> None:
    call = partial(run.aws.call, "ec2", retry=waits.ROUTES_UNKNOWN, RouteTableId=table)
    await call(operation, DestinationCidrBlock=route.destination_cidr_block, GatewayId=await run.made(route.target))


async def _delete_route(run: Run, table: str, destination: str) -> None:
    cidr, ipv6, prefix_list = _DESTINATIONS
    key = ipv6 if ":" in destination else prefix_list if destination.startswith("pl-") else cidr
    params: dict[str, Any] = {"RouteTableId": table, key: destination}
    await run.gone("ec2", "delete_route", missing=("InvalidRoute.NotFound",), **params)


async def _associate(run: Run, table: str, ref: Ref) -> None:
    subnet = await run.made(ref)
    association = run.detail(HandOver).associations.get(subnet)
    if association and await run.gone(
        "ec2", "replace_route_table_association", retry=waits.ROUTES_UNKNOWN, missing=_UNASSOCIATED,
        AssociationId=association, RouteTableId=table,
    ):  # fmt: skip
        return
    with ignoring("Resource.AlreadyAssociated"):
        await run.aws.call(
            "ec2", "associate_route_table", retry=waits.ROUTES_UNKNOWN, RouteTableId=table, SubnetId=subnet
        )
        return
    where = {"association.subnet-id": subnet}
    for other in await run.aws.pages("ec2", "describe_route_tables", "RouteTables", where=where):
        for item in other["Associations"]:
            if item.get("SubnetId") == subnet and other["RouteTableId"] != table:
                own = item["RouteTableAssociationId"]
                await run.aws.call("ec2", "replace_route_table_association", AssociationId=own, RouteTableId=table)


async def _disassociate(run: Run, association: str) -> None:
    await run.gone("ec2", "disassociate_route_table", missing=_UNASSOCIATED, AssociationId=association)


_UNASSOCIATED: Final = ("InvalidAssociationID.NotFound",)
_DESTINATIONS: Final = ("DestinationCidrBlock", "DestinationIpv6CidrBlock", "DestinationPrefixListId")
_TARGETS: Final = (
    "GatewayId", "NatGatewayId", "TransitGatewayId", "VpcPeeringConnectionId", "NetworkInterfaceId", "InstanceId",
    "EgressOnlyInternetGatewayId", "LocalGatewayId", "CarrierGatewayId",
)  # fmt: skip


def _target(route: dict[str, Any]) -> Ref:
    return next((str(route[key]) for key in _TARGETS if route.get(key)), "")


KIND: Final = RouteTableKind()
