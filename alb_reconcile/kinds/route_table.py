"""Route tables with their routes and associations (EC2 CreateRouteTable, CreateRoute, AssociateRouteTable)."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple, Self

from alb_reconcile.kinds import waits
from alb_reconcile.kinds._ec2 import Row, observe, own_rows
from alb_reconcile.kinds.base import Around, Entry, Kind, Listing
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.identifiers import refer
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.model.address import Ref
from alb_reconcile.model.errors import AwsError
from alb_reconcile.model.resource import Desired, Observed, Properties
from alb_reconcile.model.steps import HandOver


class Route(NamedTuple):
    """Where the traffic to a range of addresses goes."""

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

    vpc: Ref
    routes: tuple[Route, ...] | None = None
    subnets: tuple[Ref, ...] | None = None

    def with_others(self, observed: Self) -> Self:
        routes, subnets = self.routes, self.subnets
        if routes is not None:
            known = {route.destination_cidr_block for route in routes}
            routes = tuple(
                sorted(
                    (*routes, *(route for route in observed.routes or () if route.destination_cidr_block not in known)),
                    key=str,
                )
            )
        if subnets is not None:
            subnets = tuple(sorted({*subnets, *(observed.subnets or ())}, key=str))
        return replace(self, routes=routes, subnets=subnets)


class RouteTableKind(Kind[RouteTable]):
    """Drives route tables."""

    properties = RouteTable
    noun = "a route table"
    position = 40
    section = "route_tables"
    id_prefix = "rtb-"
    listing = Listing("describe_route_tables", "RouteTables", "RouteTableId", "route-table-id")

    def read_entry(self, name: str, entry: Entry, fields: dict[str, Any], around: Around) -> RouteTable:
        routes = [
            Route(item["destination_cidr_block"], refer("internet_gateway", item["internet_gateway"]))
            for item in entry.get("routes") or ()
        ]
        given = {"routes": tuple(sorted(routes))} if entry.get("routes") is not None else {}
        return RouteTable(**{**fields, **given})

    def why_builtin(self, row: Mapping[str, Any]) -> str:
        main = any(part.get("Main") for part in row.get("Associations", ()))
        return "its VPC's main route table, which AWS deletes only with the VPC" if main else ""

    async def discover(self, reader: Reader) -> list[Observed]:
        tables, subnets = await asyncio.gather(own_rows(reader, self), reader.tagged("describe_subnets", "Subnets"))
        known = {subnet["SubnetId"] for subnet in subnets}.union(reader.literal_ids("subnet-"))
        return [self._observe(reader, table, known) for table in tables]

    def _observe(self, reader: Reader, table: Row, known: set[str]) -> Observed:
        # local, propagated and gateway endpoints' routes are not for CreateRoute and DeleteRoute
        routes = [
            Route(route.get("DestinationCidrBlock") or route.get("DestinationIpv6CidrBlock") or "", _target(route))
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
            subnets=tuple(
                sorted(known.intersection(associations))
            ),  # the association of a subnet that isn't ours stays
        )
        return observe(reader, self, table, state, details=Associations(associations))

    async def create(self, run: Run, wanted: RouteTable, desired: Desired) -> str:
        answer = await run.aws.call(
            "ec2",
            "create_route_table",
            retry=waits.ROUTES_UNKNOWN,
            VpcId=wanted.vpc,
            TagSpecifications=run.tag_specification("route-table", desired),
        )
        table = str(answer["RouteTable"]["RouteTableId"])
        # a subnet that is in use must not meet a table without its routes
        await asyncio.gather(*(self._create_route(run, table, route) for route in wanted.routes or ()))
        await asyncio.gather(*(self._associate(run, table, str(subnet)) for subnet in wanted.subnets or ()))
        return table

    async def update(self, run: Run, wanted: RouteTable, observed: Observed, fields: frozenset[str]) -> None:
        before = observed.state
        assert isinstance(before, RouteTable)  # noqa: S101 (for mypy: a kind is only ever updated from its own)
        calls = []
        if "routes" in fields:
            have = {route.destination_cidr_block: route for route in before.routes or ()}
            want = {route.destination_cidr_block: route for route in wanted.routes or ()}
            for destination, route in want.items():
                if destination not in have:
                    calls.append(self._create_route(run, observed.id, route))
                elif have[destination] != route:
                    calls.append(self._route(run, "replace_route", observed.id, route))
            calls += [self._delete_route(run, observed.id, destination) for destination in have.keys() - want.keys()]
        await asyncio.gather(*calls)
        calls = []
        if "subnets" in fields:
            calls += [
                self._associate(run, observed.id, str(subnet))
                for subnet in set(wanted.subnets or ()).difference(before.subnets or ())
            ]
            leaving = set(before.subnets or ()).difference(wanted.subnets or ())
            # a subnet that another table of ours takes is moved by that one, so that it never falls onto the main table
            for subnet in leaving.difference(run.detail(HandOver).moving):
                calls.append(self._disassociate(run, observed.detail(Associations).by_subnet[str(subnet)]))
        await asyncio.gather(*calls)

    async def _create_route(self, run: Run, table: str, route: Route) -> None:
        try:
            await self._route(run, "create_route", table, route)
        except AwsError as error:
            if error.code != "RouteAlreadyExists":
                raise
            await self._route(run, "replace_route", table, route)

    @staticmethod
    async def _route(run: Run, operation: str, table: str, route: Route) -> None:
        await run.aws.call(
            "ec2",
            operation,
            retry=waits.ROUTES_UNKNOWN,
            RouteTableId=table,
            DestinationCidrBlock=route.destination_cidr_block,
            GatewayId=route.target,
        )

    @staticmethod
    async def _delete_route(run: Run, table: str, destination: str) -> None:
        params: dict[str, Any] = {
            "DestinationIpv6CidrBlock" if ":" in destination else "DestinationCidrBlock": destination
        }
        await run.gone("ec2", "delete_route", missing=("InvalidRoute.NotFound",), RouteTableId=table, **params)

    @staticmethod
    async def _associate(run: Run, table: str, subnet: str) -> None:
        association = run.detail(HandOver).associations.get(subnet)
        if association and await run.gone(
            "ec2", "replace_route_table_association", retry=waits.ROUTES_UNKNOWN, missing=("InvalidAssociationID.NotFound",),
            AssociationId=association, RouteTableId=table,
        ):  # fmt: skip
            return
        try:
            await run.aws.call(
                "ec2", "associate_route_table", retry=waits.ROUTES_UNKNOWN, RouteTableId=table, SubnetId=subnet
            )
        except AwsError as error:
            if error.code != "Resource.AlreadyAssociated":
                raise
            filters = [{"Name": "association.subnet-id", "Values": [subnet]}]
            for other in await run.aws.pages("ec2", "describe_route_tables", "RouteTables", Filters=filters):
                for item in other["Associations"]:
                    if item.get("SubnetId") == subnet and other["RouteTableId"] != table:
                        await run.aws.call(
                            "ec2",
                            "replace_route_table_association",
                            AssociationId=item["RouteTableAssociationId"],
                            RouteTableId=table,
                        )

    @staticmethod
    async def _disassociate(run: Run, association: str) -> None:
        await run.gone(
            "ec2", "disassociate_route_table", missing=("InvalidAssociationID.NotFound",), AssociationId=association
        )

    async def delete(self, run: Run, observed: Observed) -> None:
        moving = run.detail(HandOver).moving
        associations = [
            item for subnet, item in observed.detail(Associations).by_subnet.items() if subnet not in moving
        ]
        await asyncio.gather(*(self._disassociate(run, item) for item in associations))
        await run.gone(
            "ec2",
            "delete_route_table",
            retry=waits.ROUTES_IN_USE,
            missing=("InvalidRouteTableID.NotFound",),
            RouteTableId=observed.id,
        )


_TARGETS: Final = (
    "GatewayId", "NatGatewayId", "TransitGatewayId", "VpcPeeringConnectionId", "NetworkInterfaceId", "InstanceId",
    "EgressOnlyInternetGatewayId", "LocalGatewayId", "CarrierGatewayId",
)  # fmt: skip


def _target(route: dict[str, Any]) -> Ref:
    return next((str(route[key]) for key in _TARGETS if route.get(key)), "")


KIND: Final = RouteTableKind()
