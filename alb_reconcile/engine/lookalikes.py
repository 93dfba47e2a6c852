"""Finds existing resources that no stack owns and that look like those a plan would make: perhaps the user means `adopt`."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from operator import itemgetter

from alb_reconcile.aws.client import Aws
from alb_reconcile.engine.plan.situation import Situation
from alb_reconcile.kinds import load_kinds
from alb_reconcile.model import tags
from alb_reconcile.model.address import Address
from alb_reconcile.model.advice import advised
from alb_reconcile.model.discovery import Discovery, Other
from alb_reconcile.model.resource import Desired, each_of
from alb_reconcile.model.service import Network
from alb_reconcile.model.text import printable

_MOST = 3
"""How many resources a warning names."""


async def find_alike(aws: Aws, situation: Situation) -> list[str]:
    """Warnings of existing resources that look like entries to be made, by name, VPCs by name and range (EC2 DescribeVpcs); and of stacks
    with another name to which the same spec was applied."""
    made, discovery, desired = situation.made, situation.discovery, situation.target.desired
    wanted = [(item, state.cidr_block) for item, state in each_of(made.values(), Network) if state.cidr_block]
    blocks = sorted({block for _, block in wanted})
    rows = await aws.pages("ec2", "describe_vpcs", "Vpcs", where={"cidr": blocks}) if wanted else []
    there = [(row, tags.from_list(row.get("Tags"))) for row in rows]
    vpcs = [
        f"{item.address} ({row['VpcId']})"
        for item, block in wanted
        for row, own in there
        if row["CidrBlock"] == block and own.get("Name") == item.tags["Name"] and tags.STACK not in own
    ]
    telling = [own for _, own in there]
    if not discovery.resources:
        telling += [dict(item.tags) for item in discovery.taken.values()]
        telling += [] if wanted else await _carriers(aws, made, desired)
    said = tags.spec_digest_of(desired)
    olds = {own.get(tags.STACK, "") for own in telling if own.get(tags.APPLIED, "").partition(" ")[0] == said} - {""}
    renamed = [
        f"the stack {old} was made from this very spec, and this plan makes everything a second time; if only stack: was "
        f"changed, let {old} forget it, and adopt it here"
        for old in map(printable, sorted(olds))
    ]
    return [*renamed, *told_alike(made, discovery, vpcs)]


async def _carriers(aws: Aws, made: Mapping[Address, Desired], all_: Mapping[Address, Desired]) -> list[dict[str, str]]:
    """The tags of EC2 resources that say that the same spec was applied to their stack. Reads only one of the kinds that carry such
    tags."""
    kinds = load_kinds()
    listings = (kinds[item.address.kind].listing for item in made.values() if item.state.carries_applied)
    listing = next(filter(None, listings), None)
    where = {f"tag:{tags.APPLIED}": [tags.applied_tag(all_)]}
    rows = await aws.pages("ec2", listing.operation, listing.key, where=where) if listing else []
    return [tags.from_list(row.get("Tags")) for row in rows]


def fitting(made: Mapping[Address, Desired], discovery: Discovery) -> Iterator[tuple[Desired, str, Other]]:
    """The resources that no stack owns and that have the name which this tool would give to an entry: the entry, the name and the
    resource."""
    for (kind, name), other in sorted(discovery.taken.items(), key=itemgetter(0)):  # load balancers come first
        for address, item in made.items():
            fits = address.kind == kind and re.fullmatch(re.escape(item.tags["Name"]) + "(-[0-9a-f]{8})?", name)
            if fits and tags.STACK not in other.tags:
                yield item, name, other


def told_alike(made: Mapping[Address, Desired], discovery: Discovery, vpcs: Iterable[str] = ()) -> list[str]:
    """Warnings of these VPCs, and of load balancers and target groups that no stack owns and that have the name which this tool would give
    to an entry. Resources in another VPC than the stack get a warning of their own: perhaps the spec names the wrong VPC."""
    by_place = defaultdict(list, {"": [*vpcs]} if vpcs else {})
    for item, name, other in fitting(made, discovery):
        by_place[discovery.elsewhere(other)].append(f"{item.address} ({name})")
    lines = []
    for place, found in by_place.items():
        more = f" and {len(found) - _MOST} more" if len(found) > _MOST else ""
        are, them = ("exist", "them") if len(found) > 1 else ("exists", "it")
        adopt = f"{advised('adopt', next(iter(made.values())).file)} takes over what exists, by tags alone"
        then = "is that the right VPC?" if place else f"this plan makes new ones; {adopt}"
        where = f" {place}" if place else ""
        lines.append(f"{', '.join(found[:_MOST])}{more} {are} already{where}, and no stack owns {them}: {then}")
    return lines
