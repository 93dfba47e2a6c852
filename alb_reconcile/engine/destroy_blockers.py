"""What would stop a destroy half-way: looked for before the first delete, all of it at once."""

import asyncio
from typing import Any

from alb_reconcile.aws.client import Aws
from alb_reconcile.kinds._ec2 import describe_interface
from alb_reconcile.model.discovery import Discovery
from alb_reconcile.model.errors import ignoring


async def find_blockers(aws: Aws, discovery: Discovery) -> list[str]:
    """Everything that isn't the stack's and holds something of it, in words."""
    live = [item for item in discovery.resources if not item.is_gone]
    own = {item.id for item in discovery.resources}  # of instances that have ended, too: interfaces may outlive them
    vpcs, groups, subnets = (
        sorted(item.id for item in live if item.address.kind == kind) for kind in ("vpc", "security_group", "subnet")
    )
    found = await asyncio.gather(
        _interfaces(aws, own, live, vpcs, groups, subnets),
        _group_references(aws, own, vpcs, groups),
        _inhabitants(aws, own, vpcs),
    )
    return [text for part in found for text in part]


async def _interfaces(
    aws: Aws, own: set[str], live: list[Any], vpcs: list[str], groups: list[str], subnets: list[str]
) -> list[str]:
    names = {item.state.name for item in live if item.address.kind == "load_balancer"}
    seen: dict[str, dict[str, Any]] = {}
    named = (("vpc-id", vpcs), ("group-id", groups), ("subnet-id", [] if vpcs else subnets))
    reads = (
        aws.pages("ec2", "describe_network_interfaces", "NetworkInterfaces", where={name: values})
        for name, values in named
        if values
    )
    for part in await asyncio.gather(*reads):
        seen |= {item["NetworkInterfaceId"]: item for item in part}
    problems = []
    for item in seen.values():
        description = str(item.get("Description", ""))
        # interfaces of load balancers that are gone already, ours or not, go by themselves
        ours = (item.get("Attachment") or {}).get("InstanceId") in own or (
            description.startswith("ELB app/") and description.split("/")[1] in names
        )
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
    found: dict[str, dict[str, Any]] = {}
    for name in ("ip-permission.group-id", "egress.ip-permission.group-id"):
        rows = await aws.pages("ec2", "describe_security_groups", "SecurityGroups", where={name: groups})
        found |= {item["GroupId"]: item for item in rows}
    return [
        f"{', '.join(sorted(_names(item).intersection(groups)))}: in use by resources outside this stack, the rules of {group} ({item.get('GroupName')}); remove them first"
        for group, item in sorted(found.items())
        if group not in own and _names(item).intersection(groups)
    ]


def _names(group: dict[str, Any]) -> set[str]:
    permissions = [*group.get("IpPermissions", ()), *group.get("IpPermissionsEgress", ())]
    return {str(pair["GroupId"]) for item in permissions for pair in item.get("UserIdGroupPairs", ())}


async def _inhabitants(aws: Aws, own: set[str], vpcs: list[str]) -> list[str]:
    """What others have put into the stack's VPCs."""
    if not vpcs:
        return []
    subnets, groups, tables = await asyncio.gather(
        aws.pages("ec2", "describe_subnets", "Subnets", where={"vpc-id": vpcs}),
        aws.pages("ec2", "describe_security_groups", "SecurityGroups", where={"vpc-id": vpcs}),
        aws.pages("ec2", "describe_route_tables", "RouteTables", where={"vpc-id": vpcs}),
    )
    strangers = [item["SubnetId"] for item in subnets]
    strangers += [item["GroupId"] for item in groups if item["GroupName"] != "default"]
    strangers += [
        item["RouteTableId"] for item in tables if not any(part.get("Main") for part in item.get("Associations", ()))
    ]
    return [
        f"this stack's VPC is in use by a resource outside this stack: {item}; remove it first"
        for item in strangers
        if item not in own
    ]
