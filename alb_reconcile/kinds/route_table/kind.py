"""Drives route tables with their routes and associations (EC2 CreateRouteTable, CreateRoute, AssociateRouteTable)."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_network
from typing import Any, Final, Self

from alb_reconcile.aws.hints import DENIED
from alb_reconcile.kinds import load_kinds, waits
from alb_reconcile.kinds._ec2 import Ec2Kind, Row
from alb_reconcile.kinds.base import Around, Entry, IamActions, Listing, Named
from alb_reconcile.kinds.context import Run, all_of
from alb_reconcile.kinds.identifiers import refer
from alb_reconcile.kinds.quotas import Quota
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.kinds.recognition import Candidate, Evidence, Known, by_name_and_shape, name_in_common
from alb_reconcile.kinds.route_table import checks
from alb_reconcile.model import tags
from alb_reconcile.model.abilities import keep_others
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.advice import advised
from alb_reconcile.model.decisions import Decisions, subnets_of
from alb_reconcile.model.discovery import Discovery, Finding
from alb_reconcile.model.errors import ignoring
from alb_reconcile.model.resource import Desired, Observed, bind, each_of
from alb_reconcile.model.service import Associations, Route, Routes
from alb_reconcile.model.steps import HandOver
from alb_reconcile.model.text import snake


@dataclass(frozen=True, kw_only=True)
class RouteTable(Routes):
    """A route table with its routes and its associated subnets."""

    kind = "route_table"
    service = "ec2"
    in_vpc = "vpc"
    removed_late = ("routes", "subnets")
    ways = frozenset({"routes"})
    traffic = frozenset({"routes"})
    part_of = "subnets"
    in_subnets = "subnets"
    is_for_others = True
    carries_applied = True
    replaced_on = frozenset({"vpc"})
    needed_late = frozenset({"routes", "subnets"})

    vpc: Ref
    routes: tuple[Route, ...] | None = None
    subnets: tuple[Ref, ...] | None = None

    @staticmethod
    def leads_out(route: Route) -> bool:
        return leads_out(route)

    def with_others(self, observed: Self) -> Self:
        return replace(
            self,
            routes=keep_others(self.routes, observed.routes, lambda route: route.destination),
            subnets=keep_others(self.subnets, observed.subnets, lambda subnet: subnet),
        )

    def remark(self, found: Observed) -> str:
        wanted = {
            route.destination for route in self.routes or ()
        }  # by destination alone, since the plan may replace the target
        dead = sorted(route for route in found.detail(Associations).blackholes if route.destination in wanted)
        if not dead:
            return ""
        told = ", ".join(f"{route.destination} to {route.target}" for route in dead)
        return f"AWS says that its route for {told} leads nowhere (blackhole): what it names is gone, or isn't attached"


class RouteTableKind(Ec2Kind[RouteTable]):
    """Drives route tables."""

    properties = RouteTable
    noun = "a route table"
    position = 40
    section = "route_tables"
    entry_checks = (checks.check_entries,)
    recognized_after = ("nat_gateway",)
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
            "ec2:CreateRouteTable", "ec2:CreateTags", "ec2:CreateRoute", "ec2:ReplaceRoute",
            "ec2:AssociateRouteTable", "ec2:ReplaceRouteTableAssociation",
        ),
        update=(
            "ec2:CreateRoute", "ec2:ReplaceRoute", "ec2:DeleteRoute", "ec2:AssociateRouteTable",
            "ec2:ReplaceRouteTableAssociation", "ec2:DisassociateRouteTable", "ec2:CreateTags",
            "ec2:DescribeNetworkInterfaces",
        ),
        delete=("ec2:DisassociateRouteTable", "ec2:DeleteRouteTable", "ec2:DescribeNetworkInterfaces"),
        on={
            "ec2:CreateRouteTable": "route-table+ vpc", "ec2:AssociateRouteTable": "route-table subnet",
            "ec2:DisassociateRouteTable": "route-table subnet",
            "ec2:ReplaceRouteTableAssociation": "route-table subnet",
        },
    )  # fmt: skip

    def read_entry(self, name: str, entry: Entry, fields: dict[str, Any], around: Around) -> RouteTable:
        if (routes := entry.get("routes")) is not None:
            fields["routes"] = tuple(sorted(map(_read_route, routes), key=str))
        return RouteTable(**fields)

    def write_entry(self, observed: Observed, entry: Entry, named: Named) -> Entry:
        routes = self.of(observed).routes or ()
        strange = [route for route in routes if _key_of(route) is None]
        for route in strange:
            named.remark(f"no spec can say a route for {route.destination} to {route.target}, so routes are left out")
        if routes and not strange:
            entry["routes"] = [_write_route(route, named) for route in routes]
        return entry

    def why_builtin(self, row: Mapping[str, Any]) -> str:
        main = any(part.get("Main") for part in row.get("Associations", ()))
        return "its VPC's main route table, which AWS deletes only with the VPC" if main else ""

    def check_plan(self, decisions: Decisions, discovery: Discovery) -> Iterable[Finding]:
        """Subnets of another VPC than the table's; and routes that change from a NAT gateway outside of the stack to a new one. Perhaps
        that gateway wasn't adopted, or has lost its tags."""
        own = {item.id for item in decisions.live}
        for item, state in each_of(decisions.desired.values(), RouteTable):
            said = item.desired.state
            vpcs = {decisions.location_of(subnet, discovery).vpc for subnet in subnets_of(said)}
            here = bind(said.network, decisions.ids)
            for vpc in sorted((vpc for vpc in vpcs if vpc and bind(vpc, decisions.ids) != here), key=str):
                text = f"one of them is in {vpc}, but this is in {said.network}; choose subnets of the same VPC"
                yield Finding(item.desired, "subnets", text)
            if item.found is None or item.forces:
                continue
            left = set(self.of(item.found).routes or ()) - item.found.detail(Associations).blackholes
            for there, wanted in ((there, wanted) for there in left for wanted in state.routes or ()):
                is_new = isinstance(wanted.target, Address) and wanted.target not in decisions.ids
                is_other = str(there.target).startswith("nat-") and there.target not in own
                if (
                    wanted.destination == there.destination
                    and is_new
                    and is_other
                    and str(wanted.target).startswith("nat_gateway.")
                ):
                    text = (
                        f"{there.destination} leaves {there.target}, which isn't this stack's, for a new {wanted.target}, so outgoing "
                        f"connections get another address; if the entry means {there.target}, run: "
                    )
                    text += advised("adopt", item.desired.file, f"{wanted.target}={there.target}")
                    yield Finding(item.desired, "routes", text, warning=True)

    def evidence(self, desired: Desired, item: Candidate, known: Known) -> Evidence | None:
        wanted, found = known.bound(desired), self.of(item.found)
        subnets = set(wanted.subnets or ()).intersection(item.found.detail(Associations).by_subnet)
        name = name_in_common(desired, item)
        shape = f"its associated subnets ({', '.join(sorted(subnets))})" if subnets else ""
        if not name and not shape and not wanted.subnets and wanted.routes and wanted.routes == found.routes:
            return Evidence(2, "its routes")
        return by_name_and_shape(name, shape)

    async def discover(self, reader: Reader) -> list[Observed]:
        tables, subnets = await asyncio.gather(self.own_rows(reader), reader.tagged("describe_subnets", "Subnets"))
        known = {subnet["SubnetId"] for subnet in subnets}.union(reader.literal_ids("subnet-"))
        return [self._observe(reader, table, known) for table in tables]

    def _observe(self, reader: Reader, table: Row, known: set[str]) -> Observed:
        wanted = reader.desired.get(tags.own_address(tags.from_list(table.get("Tags")), self.name, ""))
        declared = getattr(wanted.state, "routes", None) or () if wanted else ()
        routes, dead = [], []
        for item in table["Routes"]:
            route = _read(item)
            # CreateRoute and DeleteRoute don't take local and propagated routes, and those of gateway endpoints
            is_endpoints = route.destination.startswith("pl-") and str(route.target).startswith("vpce-")
            if item.get("Origin") == "CreateRoute" and (not is_endpoints or route in declared):
                routes.append(route)
                dead += [route] if item.get("State") == "blackhole" else []
        associations = {
            item["SubnetId"]: item["RouteTableAssociationId"]
            for item in table.get("Associations", ())
            if item.get("SubnetId")
        }
        state = RouteTable(
            vpc=table["VpcId"],
            routes=tuple(sorted(routes, key=str)),
            # the associations of subnets outside of the stack stay as they are
            subnets=tuple(sorted(known.intersection(associations))),
        )
        return self.observe(reader, table, state, details=Associations(associations, frozenset(dead)))

    async def create(self, run: Run, wanted: RouteTable, desired: Desired) -> str:
        table = await self.call_create(run, desired, VpcId=wanted.vpc)
        subnets = wanted.subnets or ()
        new = [subnet for subnet in subnets if isinstance(subnet, Address)]
        # a subnet in use gets the table only with its routes; a subnet that this run makes isn't in use yet
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
            have = {route.destination: route for route in before.routes or ()}
            want = {route.destination: route for route in wanted.routes or ()}
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
            # if another table of the stack takes a subnet, that table's step moves it in one call, so that it never follows the main table
            leaving = (own - wished).difference(run.step.detail(HandOver).moving)
            associations = observed.detail(Associations).by_subnet
            calls += [_disassociate(run, associations[str(subnet)]) for subnet in leaving]
            await all_of(*calls)

    async def delete(self, run: Run, observed: Observed) -> None:
        moving = run.step.detail(HandOver).moving
        associations = observed.detail(Associations).by_subnet
        await all_of(*(_disassociate(run, item) for subnet, item in associations.items() if subnet not in moving))
        await super().delete(run, observed)


async def ways_out(reader: Reader, subnets: Sequence[Row]) -> dict[str, bool]:
    """By id of a subnet, whether its answers reach clients on the internet, as far as the stack's route tables show it.

    A subnet that should have a table of the stack's, but hasn't, follows another table or its VPC's main table. Only then these are read.
    """
    found: dict[str, Row] = {}
    with ignoring(*DENIED):  # route tables' own reads report it
        own = await reader.tagged("describe_route_tables", "RouteTables")
        found = {item.get("SubnetId", ""): table for table in own for item in table.get("Associations", ())}
        given = {ref for _, table in each_of(reader.desired.values(), RouteTable) for ref in table.subnets or ()}
        named = ((row, tags.own_address(tags.from_list(row.get("Tags")), "subnet", "")) for row in subnets)
        lost = [row for row, name in named if name in given and row["SubnetId"] not in found]
        where = {"vpc-id": sorted({row["VpcId"] for row in lost})}
        rows = await reader.aws.pages("ec2", "describe_route_tables", "RouteTables", where=where) if lost else []
        mains = {row["VpcId"]: row for row in rows if any(item.get("Main") for item in row.get("Associations", ()))}
        there = {item.get("SubnetId"): row for row in rows for item in row.get("Associations", ())}
        found |= {row["SubnetId"]: there.get(row["SubnetId"]) or mains.get(row["VpcId"]) or {} for row in lost}
    return {
        subnet: any(leads_out(_read(row)) for row in table["Routes"] if row.get("State") != "blackhole")
        for subnet, table in found.items()
        if table
    }


def leads_out(route: Route) -> bool:
    """Whether answers reach the internet by a route: to a gateway, or by default to a target that may inspect traffic before one."""
    ways = ("igw-", "cagw-", "lgw-", "internet_gateway.")
    inspecting = ("vpce-", "eni-", "i-", "vpc_endpoint.") if route.destination in ("0.0.0.0/0", "::/0") else ()
    return str(route.target).startswith((*ways, *inspecting))


def _read(route: Mapping[str, Any]) -> Route:
    """A route from AWS's description."""
    return Route(next((str(route[key]) for key in _DESTINATIONS if route.get(key)), ""), _target(route))


async def _create_route(run: Run, table: str, route: Route) -> None:
    with ignoring("RouteAlreadyExists"):
        await _set_route(run, "create_route", table, route)
        return
    await _set_route(run, "replace_route", table, route)


async def _set_route(run: Run, operation: str, table: str, route: Route) -> None:
    target = await run.others.made(route.target)
    params: dict[str, Any] = {_destination_key(route.destination): route.destination, _target_key(target): target}
    await run.aws.call("ec2", operation, retry=waits.NAT_UNKNOWN, RouteTableId=table, **params)


async def _delete_route(run: Run, table: str, destination: str) -> None:
    params: dict[str, Any] = {"RouteTableId": table, _destination_key(destination): destination}
    await run.gone("ec2", "delete_route", missing=("InvalidRoute.NotFound",), **params)


async def _associate(run: Run, table: str, ref: Ref) -> None:
    subnet = await run.others.made(ref)
    association = run.step.detail(HandOver).associations.get(subnet)
    if association and await run.gone(
        "ec2", "replace_route_table_association", missing=_UNASSOCIATED, AssociationId=association, RouteTableId=table
    ):
        return
    with ignoring("Resource.AlreadyAssociated"):
        await run.aws.call("ec2", "associate_route_table", RouteTableId=table, SubnetId=subnet)
        return
    where = {"association.subnet-id": subnet}
    for other in await run.aws.pages("ec2", "describe_route_tables", "RouteTables", where=where):
        for item in other["Associations"]:
            if item.get("SubnetId") == subnet and other["RouteTableId"] != table:
                own = item["RouteTableAssociationId"]
                await run.aws.call("ec2", "replace_route_table_association", AssociationId=own, RouteTableId=table)


async def _disassociate(run: Run, association: str) -> None:
    await run.gone("ec2", "disassociate_route_table", missing=_UNASSOCIATED, AssociationId=association)


def _read_route(item: Mapping[str, str]) -> Route:
    """A route from an entry, which has one destination and one target."""
    (key, target), *_ = ((key, value) for key, value in item.items() if not key.startswith("destination_"))
    block = item.get("destination_ipv6_cidr_block")
    destination = str(ip_network(block)) if block else item.get("destination_cidr_block")  # as AWS writes it
    return Route(
        destination or item["destination_prefix_list_id"], refer(key, target) if key in load_kinds() else target
    )


def _write_route(route: Route, named: Named) -> dict[str, str]:
    """The inverse of `_read_route`."""
    return {
        snake(_destination_key(route.destination)): route.destination,
        str(_key_of(route)): named.name_of(str(route.target)),
    }


def _key_of(route: Route) -> str | None:
    """The key of a route's target in a spec; None for a type of target that a spec can't say."""
    return next((key for mark, key in _KEYS.items() if mark in str(route.target)), None)


def _destination_key(destination: str) -> str:
    """CreateRoute's parameter for a destination."""
    cidr, ipv6, prefix_list = _DESTINATIONS
    return ipv6 if ":" in destination else prefix_list if destination.startswith("pl-") else cidr


def _target_key(target: str) -> str:
    """CreateRoute's parameter for a target."""
    return next(key for mark, key in _TARGETS.items() if mark in target)


def _target(route: Mapping[str, Any]) -> Ref:
    """The target in AWS's description of a route. Some targets have another key there than in CreateRoute."""
    return next((str(route[key]) for key in dict.fromkeys(_TARGETS.values()) if route.get(key)), "")


_UNASSOCIATED: Final = ("InvalidAssociationID.NotFound",)
_DESTINATIONS: Final = ("DestinationCidrBlock", "DestinationIpv6CidrBlock", "DestinationPrefixListId")
_TARGETS: Final = {
    "eigw-": "EgressOnlyInternetGatewayId",
    "lgw-": "LocalGatewayId",
    "cagw-": "CarrierGatewayId",
    "tgw-": "TransitGatewayId",
    "nat-": "NatGatewayId",
    "pcx-": "VpcPeeringConnectionId",
    "eni-": "NetworkInterfaceId",
    "vpce-": "VpcEndpointId",
    ":networkmanager:": "CoreNetworkArn",
    ":odb:": "OdbNetworkArn",
    "gw-": "GatewayId",  # an internet gateway's, or a virtual private one's
    "i-": "InstanceId",  # perhaps given outside of this tool; AWS also shows the instance's interface
}
"""CreateRoute's parameter for a target, by a part of the target's id or ARN. The first that fits counts."""
_KEYS: Final = {
    "eigw-": "egress_only_internet_gateway",
    "igw-": "internet_gateway",
    "vgw-": "virtual_private_gateway",
    "nat-": "nat_gateway",
    "tgw-": "transit_gateway",
    "pcx-": "vpc_peering_connection",
    "eni-": "network_interface",
    "vpce-": "vpc_endpoint",
    ":networkmanager:": "core_network",
}
"""An entry's key for a target, by a part of the target's id. An entry can't say other targets."""


KIND: Final = RouteTableKind()
