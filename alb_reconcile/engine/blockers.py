"""Finds what would stop a plan's deletes half-way, and others' resources that would lose their network, before anything is changed."""

import asyncio
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

from alb_reconcile.aws.client import Aws
from alb_reconcile.engine.lost_routes import CutOff, find_cut_off
from alb_reconcile.engine.plan.situation import Situation
from alb_reconcile.kinds._ec2 import Interfaces, describe_interface, is_of, read_interfaces
from alb_reconcile.model.advice import advised
from alb_reconcile.model.decisions import subnets_of
from alb_reconcile.model.discovery import Discovery
from alb_reconcile.model.errors import AwsError, ignoring
from alb_reconcile.model.plan import Plan
from alb_reconcile.model.resource import Properties
from alb_reconcile.model.service import Balancer, Firewall, Holder, Network, Routes, Segment, StaticAddress
from alb_reconcile.model.text import camel

_ONLY_ANSWERS: Final = re.compile("(vpc|gateway_load_balancer)_endpoint")
"""The types of network interfaces that need no route: they only answer to requests from inside the VPC."""


def needs_routes(row: Mapping[str, Any]) -> bool:
    """Whether a network interface needs the routes of its subnet."""
    return not _ONLY_ANSWERS.fullmatch(row.get("InterfaceType", ""))


CUT_OFF: Final = "cut-off"
LIFT: Final = "lift-protection"
_HOW: Final = {
    "": "",
    CUT_OFF: f"; or allow it once with --allow {CUT_OFF}={{}}",
    LIFT: f"; allow it once with --allow {LIFT}={{}}",
}


class Blocker(NamedTuple):
    """An obstacle to a plan, in words, and the keys of the steps that it concerns."""

    keys: frozenset[str]
    text: str
    word: str = ""
    """The word with which a user can allow the step all the same (`--allow`); empty if AWS would refuse it."""


def refused(found: Iterable[Blocker], word: str, allow: Mapping[str, int]) -> list[str]:
    """The texts of the obstacles with this word, with how to allow them; empty if the user has allowed as many."""
    texts = list(dict.fromkeys(item.text for item in found if item.word == word))
    is_allowed = word and len(texts) <= allow.get(word, 0)
    return [] if is_allowed else [text + _HOW[word].format(len(texts)) for text in texts]


def by_key(found: Iterable[Blocker], *words: str) -> dict[str, str]:
    """The obstacles with one of these words, by the keys of the steps."""
    return {key: item.text for item in found if item.word in words for key in item.keys}


async def find_blockers(aws: Aws, situation: Situation, plan: Plan) -> list[Blocker | str]:
    """Every resource outside the stack that uses a resource which the plan deletes, or routes which it removes; and a warning if these
    credentials may not read that. A destroy needs the permission to read it.

    Reads nothing if the plan deletes and removes none. Raises AwsError.
    """
    own, look = [*_find_own_cut_off(plan)], _Look(aws, situation.discovery, plan)
    parts = look.interfaces(), look.group_references(), look.inhabitants(), look.routes_of_others()
    try:
        found = await asyncio.gather(*parts, look.held_addresses())
    except AwsError as error:
        if situation.target.destroy or error.code != "UnauthorizedOperation":
            raise
        text = (
            f"whether others use what this plan takes away isn't known, since these credentials may not look: {error}"
        )
        return [*own, text]
    return [*own, *(item for part in found for item in part)]


def _find_own_cut_off(plan: Plan) -> Iterator[Blocker]:
    """Obstacles for the spec's entries that are in another owner's subnet: its route table is deleted, since no entry declares the table
    any more."""
    own = {item.id for item in plan.live if item.owner == plan.stack}
    going = {step.key for step in plan.steps if step.action == "delete" and step.plays(Routes)}
    for cut in find_cut_off(plan):
        users = [str(key) for key, item in plan.desired.items() if cut.subnet in subnets_of(item.state)]
        if users and cut.subnet not in own and going & cut.keys:
            text = f"{cut.place}: {cut.subnet} loses {cut.loss}, and {', '.join(users)} would be in it; let the stack forget that route table first"
            yield Blocker(cut.keys, text, CUT_OFF)


class _Look:
    def __init__(self, aws: Aws, discovery: Discovery, plan: Plan) -> None:
        self.aws, self.plan, self.account = aws, plan, discovery.account
        self.going = {step.id: step for step in plan.steps if step.action == "delete" and step.id}
        live = [item for item in discovery.resources if not item.is_gone]
        self.own = {item.id for item in discovery.resources}  # also ended resources: their interfaces may outlive them
        self.own |= {made for item in discovery.resources for made in getattr(item.details, "made_along", ())}
        parts = (item.details.ids for item in discovery.resources if isinstance(item.details, Interfaces))
        self.own |= {known for ids in parts for known in ids}
        self.balancers = {item.state.own_name for item in live if isinstance(item.state, Balancer)}

    def ids(self, part: type[Properties]) -> list[str]:
        """The ids of the resources that are deleted and play that part in the service."""
        return sorted(known for known, step in self.going.items() if step.plays(part))

    def keys(self, *ids: str) -> frozenset[str]:
        """The keys of the steps that delete these resources, and of the replacements that these steps are part of."""
        steps = [self.going[known] for known in ids if known in self.going]
        return frozenset(key for step in steps for key in (step.key, step.part_of) if key)

    def name(self, known: str) -> str:
        """A resource that is deleted, with its place in the spec if the spec still has it."""
        address = self.going[known].address
        wanted = self.plan.desired.get(address)
        return f"{wanted.at() if wanted else address} ({known})"

    def used(self, known: str, *by: str, then: str = "", more: frozenset[str] = frozenset()) -> Blocker:
        """An obstacle: resources outside the stack (`by`) use a resource that is deleted."""
        whom, what = ("a resource", "remove it") if len(by) == 1 else ("resources", "remove them")
        address, desired = self.going[known].address, self.plan.desired
        file = next((item.file for item in desired.values()), "SPEC")
        # for example in a network that is split off; of the resources that `destroy` deletes, only an address is useful by itself
        may_stay = address not in desired if desired else self.going[known].plays(StaticAddress)
        keep = f"to leave it there, run: {advised('forget', file, str(address))}; else " * may_stay
        text = f"{self.name(known)} is in use by {whom} outside this stack: {', '.join(by)}; {keep}{then or what} first"
        return Blocker(self.keys(known) | more, text)

    async def held_addresses(self) -> list[Blocker]:
        """The stack's addresses that resources outside the stack hold, for example a NAT gateway of a network that was split off."""
        found = []
        for known, step in self.going.items():
            held = step.observed.details if step.observed else None
            if isinstance(held, Holder) and held.interface and not held.is_one_of(self.own):
                rows = await read_interfaces(self.aws, "network-interface-id", held.interface)
                by = next(map(describe_interface, rows), held.interface)
                found.append(self.used(known, by, then="disassociate it"))
        return found

    async def interfaces(self) -> list[Blocker]:
        """Obstacles: others' network interfaces that are in deleted resources, or in subnets that lose their route out."""
        cut: dict[str, list[CutOff]] = defaultdict(list)
        for item in find_cut_off(self.plan):
            cut[item.subnet].append(item)
        users: dict[str, list[str]] = defaultdict(list)
        more: dict[str, frozenset[str]] = defaultdict(frozenset)
        left: dict[CutOff, list[str]] = defaultdict(list)
        for row in await self._foreign(cut):
            losses = cut.get(row.get("SubnetId", ""), [])
            groups = (item["GroupId"] for item in row.get("Groups", ()))
            used = [known for known in (row.get("SubnetId"), *groups, row.get("VpcId")) if known in self.going]
            if used:
                users[used[0]].append(describe_interface(row))
                more[used[0]] |= self.keys(*used).union(*(item.keys for item in losses))
            elif needs_routes(row):
                for item in losses:
                    left[item].append(describe_interface(row))
        return [
            *(self.used(known, *by, more=more[known]) for known, by in users.items()),
            *(self._cut_off(item, by) for item, by in left.items()),
        ]

    def _cut_off(self, item: CutOff, by: list[str]) -> Blocker:
        address = self.plan.names.get(item.subnet)
        subnet = f"{address} ({item.subnet})" if address else item.subnet
        whom = "a resource outside this stack is" if len(by) == 1 else "resources outside this stack are"
        what = "it" if len(by) == 1 else "them"
        text = f"{item.place}: {subnet} loses {item.loss}, and {whom} in it: {', '.join(by)}; move {what} first, or {item.advice}"
        return Blocker(item.keys, text, CUT_OFF)

    async def _foreign(self, cut: Mapping[str, object]) -> list[dict[str, Any]]:
        vpcs, subnets = self.ids(Network), self.ids(Segment)
        lost = sorted(cut.keys() - set(subnets))
        named = {"vpc-id": vpcs, "group-id": self.ids(Firewall)}
        named["subnet-id"] = lost if vpcs else [*subnets, *lost]
        reads = (read_interfaces(self.aws, name, values) for name, values in named.items() if values)
        seen = {item["NetworkInterfaceId"]: item for part in await asyncio.gather(*reads) for item in part}
        return [item for item in seen.values() if not await self._is_no_matter(item)]

    async def _is_no_matter(self, interface: Mapping[str, Any]) -> bool:
        """Whether an interface is the stack's, or will be deleted by itself, as that of a load balancer that is deleted already."""
        if interface["NetworkInterfaceId"] in self.own or is_of(interface, self.own):
            return True
        if (
            interface.get("OwnerId", self.account) != self.account
        ):  # in a shared subnet, only the owner of a load balancer sees it
            return False
        kind, _, name = str(interface.get("Description", "")).partition("/")
        if kind != "ELB app":
            return False
        return name.split("/")[0] in self.balancers or not await self._load_balancer_exists(f"app/{name}")

    async def _load_balancer_exists(self, name: str) -> bool:
        with ignoring("LoadBalancerNotFound"):
            names = [name.split("/")[1]]
            found = await self.aws.pages("elbv2", "describe_load_balancers", "LoadBalancers", Names=names)
            return any(item["LoadBalancerArn"].endswith(name) for item in found)
        return False

    async def group_references(self) -> list[Blocker]:
        """Obstacles: others' security groups with rules that name the stack's groups. EC2 is asked for rules, which also finds groups in
        peered VPCs."""
        groups = self.ids(Firewall)
        if not groups:
            return []
        names = ("ip-permission.group-id", "egress.ip-permission.group-id")
        read = partial(self.aws.pages, "ec2", "describe_security_groups", "SecurityGroups")
        parts = await asyncio.gather(*(read(where={name: groups}) for name in names))
        found = {item["GroupId"]: item for part in parts for item in part}
        return [
            self.used(ours, f"the rules of {group} ({item.get('GroupName')})", then="remove them")
            for group, item in sorted(found.items())
            for ours in sorted(_names(item).intersection(groups))
            if group not in self.own
        ]

    async def inhabitants(self) -> list[Blocker]:
        """Obstacles: others' resources in VPCs that are deleted."""
        vpcs = self.ids(Network)

        async def read(sort: _Sort) -> list[tuple[str, dict[str, Any]]]:
            # without the permission to read them, the delete calls show it
            with ignoring("UnauthorizedOperation"):
                where = {sort.where: vpcs} if sort.where else None
                rows = await self.aws.pages("ec2", sort.operation, sort.key, where=where)
                return [(row[sort.id_key], row) for row in rows if sort.where or _is_attached(row, vpcs)]
            return []

        found = await asyncio.gather(*(read(sort) for sort in _SORTS if vpcs))
        strangers = {name: row for part in found for name, row in part}
        return [
            self.used(row["VpcId"] if row.get("VpcId") in vpcs else vpcs[0], f"{name}{_called(row)}")
            for name, row in strangers.items()
            if name not in self.own and not _is_harmless(row)
        ]

    async def routes_of_others(self) -> list[Blocker]:
        """Obstacles: others' route tables with routes to a gateway that is deleted. If its VPC is deleted too, `inhabitants` has looked at
        them."""
        asked: dict[str, list[str]] = defaultdict(list)
        for known, step in self.going.items() if not self.ids(Network) else ():
            if step.observed and step.observed.state.route_filter:
                asked[step.observed.state.route_filter].append(known)
        read = partial(self.aws.pages, "ec2", "describe_route_tables", "RouteTables")
        parts = await asyncio.gather(*(read(where={name: sorted(ids)}) for name, ids in asked.items()))
        users: dict[str, list[str]] = defaultdict(list)
        for row in (row for part in parts for row in part if row["RouteTableId"] not in self.own):
            targets = {item.get(key) for item in row["Routes"] for key in ("NatGatewayId", "GatewayId")}
            for known in targets.intersection(self.going):
                users[known].append(f"the routes of {row['RouteTableId']}")
        return [self.used(known, *by, then="change them") for known, by in users.items()]


def _names(group: dict[str, Any]) -> set[str]:
    permissions = [*group.get("IpPermissions", ()), *group.get("IpPermissionsEgress", ())]
    return {str(pair["GroupId"]) for item in permissions for pair in item.get("UserIdGroupPairs", ())}


class _Sort(NamedTuple):
    """A sort of resources in a VPC: how EC2 lists it, the key of its id, and the filter by VPC; "" if it has no such filter."""

    operation: str
    key: str
    id_key: str
    where: str = "vpc-id"


_SORTS: Final = (
    _Sort("describe_subnets", "Subnets", "SubnetId"),
    _Sort("describe_security_groups", "SecurityGroups", "GroupId"),
    _Sort("describe_route_tables", "RouteTables", "RouteTableId"),
    _Sort("describe_network_acls", "NetworkAcls", "NetworkAclId"),
    _Sort("describe_nat_gateways", "NatGateways", "NatGatewayId"),  # regional NAT gateways have no network interface
    _Sort("describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId"),
    _Sort("describe_internet_gateways", "InternetGateways", "InternetGatewayId", "attachment.vpc-id"),
    _Sort("describe_egress_only_internet_gateways", "EgressOnlyInternetGateways", "EgressOnlyInternetGatewayId", ""),
    _Sort("describe_vpn_gateways", "VpnGateways", "VpnGatewayId", "attachment.vpc-id"),
    *(
        _Sort("describe_vpc_peering_connections", "VpcPeeringConnections", "VpcPeeringConnectionId", f"{side}.vpc-id")
        for side in ("requester-vpc-info", "accepter-vpc-info")
    ),
)
IAM_ACTIONS: Final = tuple(
    sorted({
        "ec2:DescribeNetworkInterfaces",
        "elasticloadbalancing:DescribeLoadBalancers",
        *(f"ec2:{camel(sort.operation)}" for sort in _SORTS),
    })
)  # fmt: skip
"""The IAM actions that `find_blockers` needs."""


def _is_attached(row: dict[str, Any], vpcs: list[str]) -> bool:
    return any(item.get("VpcId") in vpcs for item in row.get("Attachments", ()))


def _is_harmless(row: dict[str, Any]) -> bool:
    """Whether AWS deletes a resource with its VPC, or it has ended."""
    state = row.get("State") or (row.get("Status") or {}).get("Code")
    main = any(part.get("Main") for part in row.get("Associations", ()))
    return row.get("IsDefault") or row.get("GroupName") == "default" or main or state in _OVER


_OVER: Final = ("deleting", "deleted", "rejected", "expired", "failed")


def _called(row: dict[str, Any]) -> str:
    """The name of a resource, from which a user may find its owner: GuardDuty, for example, leaves an endpoint and a security group
    behind."""
    name = row.get("GroupName") or row.get("ServiceName")
    return f" ({name})" if name else ""
