"""Decides whether to read kinds of which most stacks have no resource: these kinds are not read for a stack that has none."""

import asyncio
from typing import Any, Final

from alb_reconcile.kinds.base import AnyKind
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.kinds.shared_reader import read_ec2_tags
from alb_reconcile.model import tags
from alb_reconcile.model.errors import ignoring

_READ_ANYWAY: Final = (
    ("describe_vpcs", "Vpcs"),
    ("describe_subnets", "Subnets"),
    ("describe_internet_gateways", "InternetGateways"),
    ("describe_route_tables", "RouteTables"),
    ("describe_security_groups", "SecurityGroups"),
)

INDEX: Final = ("tag:GetResources",)
"""The action that finds resources of plain kinds (`kinds.plain`) that no spec declares any more."""
IAM_ACTIONS: Final = ("ec2:DescribeTags", *INDEX)
"""The actions that `may_have` and plain kinds call."""


async def may_have(reader: Reader, kind: AnyKind) -> bool:
    """Whether a stack may have a resource of a kind: its spec declares one, it is being destroyed, or one carries its tag.

    The tags are read (EC2 DescribeTags, once for all such kinds) by an eager reader, and where the reads that are made anyway don't
    say that the spec at hand was applied last: a run that was to delete the resource may have been cut short. So other reads
    miss resources that a user tagged by hand later.
    """
    if reader.everything or reader.declares(kind.name):
        return True
    found = await reader.once(_left_over, reader)
    return found is None or any(item.startswith(kind.id_prefix) for item in found)


async def has(reader: Reader, kind: AnyKind) -> bool:
    """Whether tags say that a stack has a resource of a kind, as far as these credentials may read them."""
    found = await reader.once(_tagged, reader)
    return any(item.startswith(kind.id_prefix) for item in found or ())


async def _left_over(reader: Reader) -> frozenset[str] | None:
    """The ids of all resources with the stack's tag; none where no read is needed; None if these credentials may not read them."""
    if not reader.eager and await is_applied(reader):
        return frozenset()
    return await reader.once(_tagged, reader)


async def _tagged(reader: Reader) -> frozenset[str] | None:
    """The ids of all resources with the stack's tag; None if these credentials may not read them."""
    with ignoring("UnauthorizedOperation"):
        if reader.shared is not None:
            return frozenset(await reader.shared.ec2_ids(reader.stack))
        found = await read_ec2_tags(reader.aws, [reader.stack])
        return frozenset(str(row["ResourceId"]) for row in found)
    return None


async def read_anyway(reader: Reader) -> list[dict[str, Any]]:
    """The stack's EC2 resources that every discovery reads, with tags that describe the whole spec; else the stack's instances."""
    parts = await asyncio.gather(*(reader.tagged(*read) for read in _READ_ANYWAY))
    return [row for part in parts for row in part] or await reader.instances()


async def is_applied(reader: Reader) -> bool:
    """Whether the resources that are read anyway say that the spec at hand was applied last, as a whole."""
    rows = await read_anyway(reader)
    return {tags.from_list(row.get("Tags")).get(tags.APPLIED) for row in rows} == {tags.applied_tag(reader.desired)}
