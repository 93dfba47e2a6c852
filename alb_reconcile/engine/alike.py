"""What a plan would make though the account has it already, and no stack owns it: `adopt` is what was meant, perhaps."""

import re
from collections.abc import Mapping

from alb_reconcile.aws.client import Aws
from alb_reconcile.kinds.vpc import Vpc
from alb_reconcile.model import tags
from alb_reconcile.model.address import Address
from alb_reconcile.model.discovery import Discovery
from alb_reconcile.model.resource import Desired, each_of
from alb_reconcile.model.text import printable

_MOST = 3
"""Resources that the line names."""


async def find_alike(
    aws: Aws, made: Mapping[Address, Desired], discovery: Discovery, desired: Mapping[Address, Desired]
) -> tuple[str, ...]:
    """One line about what is like an entry that is to be made: by name, and of VPCs by name and range (EC2 DescribeVpcs); and one
    about a stack of another name to which the very same spec was applied."""
    vpcs, renamed = await _vpcs(aws, made, desired)
    found = [*vpcs, *_balancing(made, discovery)]
    if not found:
        return renamed
    more = f" and {len(found) - _MOST} more" if len(found) > _MOST else ""
    are, them = ("exist", "them") if len(found) > 1 else ("exists", "it")
    what = f"{', '.join(found[:_MOST])}{more} {are} already, and no stack owns {them}"
    adopt = f"alb-reconcile adopt {next(iter(made.values())).file}"
    return (
        *renamed,
        f"{what}: this plan makes new ones; {adopt} takes over what exists, by tags alone",
    )


async def _vpcs(
    aws: Aws, made: Mapping[Address, Desired], desired: Mapping[Address, Desired]
) -> tuple[list[str], tuple[str, ...]]:
    wanted = [(item, state.cidr_block) for item, state in each_of(made.values(), Vpc) if state.cidr_block]
    if not wanted:
        return [], ()
    rows = await aws.pages("ec2", "describe_vpcs", "Vpcs", where={"cidr": sorted({block for _, block in wanted})})
    there = [(row, tags.from_list(row.get("Tags"))) for row in rows]
    said = tags.spec_digest_of(desired)
    olds = sorted({own[tags.STACK] for _, own in there if own.get(tags.APPLIED, "").partition(" ")[0] == said})
    found = [
        f"{item.address} ({row['VpcId']})"
        for item, block in wanted
        for row, own in there
        if row["CidrBlock"] == block and own.get("Name") == item.tags["Name"] and tags.STACK not in own
    ]
    return found, tuple(
        f"the stack {printable(old)} was made from this very spec, and this plan makes everything a second time; if only stack: was "
        f"changed, let {printable(old)} release it, and adopt it here"
        for old in olds
    )


def _balancing(made: Mapping[Address, Desired], discovery: Discovery) -> list[str]:
    """Load balancers and target groups, by the name that this tool would give them."""
    return [
        f"{address} ({name})"
        for address, item in made.items()
        for kind, name in sorted(discovery.taken)
        if kind == address.kind
        and discovery.taken[kind, name] in discovery.unowned
        and re.fullmatch(re.escape(item.tags["Name"]) + "(-[0-9a-f]{8})?", name)
    ]
