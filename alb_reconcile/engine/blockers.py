"""What would stop a destroy half-way: looked for before the first delete, all of it at once."""

import asyncio
from collections.abc import Iterator
from functools import partial
from typing import Any, Final, NamedTuple

from alb_reconcile.aws.client import Aws
from alb_reconcile.kinds._ec2 import Interfaces, describe_interface, is_of, read_interfaces
from alb_reconcile.kinds.elastic_ip import Holder
from alb_reconcile.model.discovery import Discovery
from alb_reconcile.model.errors import ignoring
from alb_reconcile.model.resource import Observed
from alb_reconcile.model.text import camel


async def find_blockers(aws: Aws, discovery: Discovery) -> list[str]:
    """Everything that isn't the stack's and holds something of it, in words."""
    live = [item for item in discovery.resources if not item.is_gone]
    own = {item.id for item in discovery.resources}  # of instances that have ended, too: interfaces may outlive them
    own |= {made for item in live for made in getattr(item.details, "made_along", ())}
    own |= {known for item in live if isinstance(item.details, Interfaces) for known in item.details.ids}
    vpcs, groups, subnets = (
        sorted(item.id for item in live if item.address.kind == kind) for kind in ("vpc", "security_group", "subnet")
    )
    found = await asyncio.gather(
        _interfaces(aws, own, live, vpcs, groups, subnets),
        _group_references(aws, own, vpcs, groups),
        _inhabitants(aws, own, vpcs),
    )
    return [*(text for part in found for text in part), *_held_addresses(own, live)]


def _held_addresses(own: set[str], live: list[Observed]) -> Iterator[str]:
    """Addresses of ours at something that isn't."""
    for item in live:
        if isinstance(item.details, Holder) and item.details.interface and not item.details.is_one_of(own):
            holder = item.details.instance or item.details.interface
            yield f"{item.address} ({item.id}) is in use by a resource outside this stack: {holder}; disassociate it first"


async def _interfaces(
    aws: Aws, own: set[str], live: list[Observed], vpcs: list[str], groups: list[str], subnets: list[str]
) -> list[str]:
    names = {getattr(item.state, "name", "") for item in live if item.address.kind == "load_balancer"}
    seen: dict[str, dict[str, Any]] = {}
    named = (("vpc-id", vpcs), ("group-id", groups), ("subnet-id", [] if vpcs else subnets))
    reads = (read_interfaces(aws, name, values) for name, values in named if values)
    for part in await asyncio.gather(*reads):
        seen |= {item["NetworkInterfaceId"]: item for item in part}
    problems = []
    for item in seen.values():
        description = str(item.get("Description", ""))
        # interfaces of load balancers that are gone already, ours or not, go by themselves
        is_part = item["NetworkInterfaceId"] in own or is_of(item, own)
        ours = is_part or (description.startswith("ELB app/") and description.split("/")[1] in names)
        leaving = description.startswith("ELB app/") and not await _load_balancer_exists(aws, description)
        if not ours and not leaving:
            problems.append(
                f"{item.get('SubnetId', item.get('VpcId'))} is in use by a resource outside this stack: {describe_interface(item)}; remove it first"
            )
    return problems


async def _load_balancer_exists(aws: Aws, description: str) -> bool:
    with ignoring("LoadBalancerNotFound"):
        found = await aws.pages("elbv2", "describe_load_balancers", "LoadBalancers", Names=[description.split("/")[1]])
        return any(item["LoadBalancerArn"].endswith(description.removeprefix("ELB ")) for item in found)
    return False


async def _group_references(aws: Aws, own: set[str], vpcs: list[str], groups: list[str]) -> list[str]:
    """Groups of others whose rules name ours. Asked by rule, which finds those in peered VPCs too."""
    if not groups:
        return []
    names = ("ip-permission.group-id", "egress.ip-permission.group-id")
    read = partial(aws.pages, "ec2", "describe_security_groups", "SecurityGroups")
    parts = await asyncio.gather(*(read(where={name: groups}) for name in names))
    found = {item["GroupId"]: item for part in parts for item in part}
    return [
        f"{', '.join(sorted(_names(item).intersection(groups)))}: in use by resources outside this stack, the rules of {group} ({item.get('GroupName')}); remove them first"
        for group, item in sorted(found.items())
        if group not in own and _names(item).intersection(groups)
    ]


def _names(group: dict[str, Any]) -> set[str]:
    permissions = [*group.get("IpPermissions", ()), *group.get("IpPermissionsEgress", ())]
    return {str(pair["GroupId"]) for item in permissions for pair in item.get("UserIdGroupPairs", ())}


class _Sort(NamedTuple):
    """What can be in a VPC: how EC2 lists it, the key of its id, and where it says its VPC; "" where it has no such filter."""

    operation: str
    key: str
    id_key: str
    where: str = "vpc-id"


_SORTS: Final = (
    _Sort("describe_subnets", "Subnets", "SubnetId"),
    _Sort("describe_security_groups", "SecurityGroups", "GroupId"),
    _Sort("describe_route_tables", "RouteTables", "RouteTableId"),
    _Sort("describe_network_acls", "NetworkAcls", "NetworkAclId"),
    _Sort("describe_nat_gateways", "NatGateways", "NatGatewayId"),  # of regional ones no interface tells
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
"""What `find_blockers` calls."""


async def _inhabitants(aws: Aws, own: set[str], vpcs: list[str]) -> list[str]:
    """What others have put into the stack's VPCs."""

    async def read(sort: _Sort) -> list[tuple[str, dict[str, Any]]]:
        # without the right to look, the deletes find out by trying
        with ignoring("UnauthorizedOperation"):
            where = {sort.where: vpcs} if sort.where else None
            rows = await aws.pages("ec2", sort.operation, sort.key, where=where)
            return [(row[sort.id_key], row) for row in rows if sort.where or _is_attached(row, vpcs)]
        return []

    found = await asyncio.gather(*(read(sort) for sort in _SORTS if vpcs))
    strangers = {name: row for part in found for name, row in part if name not in own and not _is_harmless(row)}
    return [
        f"this stack's VPC is in use by a resource outside this stack: {name}{_called(row)}; remove it first"
        for name, row in strangers.items()
    ]


def _is_attached(row: dict[str, Any], vpcs: list[str]) -> bool:
    return any(item.get("VpcId") in vpcs for item in row.get("Attachments", ()))


def _is_harmless(row: dict[str, Any]) -> bool:
    """Whether AWS deletes it with its VPC, or it is over."""
    state = row.get("State") or (row.get("Status") or {}).get("Code")
    main = any(part.get("Main") for part in row.get("Associations", ()))
    return row.get("IsDefault") or row.get("GroupName") == "default" or main or state in _OVER


_OVER: Final = ("deleting", "deleted", "rejected", "expired", "failed")


def _called(row: dict[str, Any]) -> str:
    """What it is called, for whoever has to find out whose it is: GuardDuty leaves an endpoint and a group, for one."""
    name = row.get("GroupName") or row.get("ServiceName")
    return f" ({name})" if name else ""
