"""A subnet's range, where the spec says how long its netmask is and nothing else: a free one of its VPC."""

import asyncio
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.polling import repeat_until
from alb_reconcile.kinds import waits
from alb_reconcile.kinds.base import Intent
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.vpc.ranges import associations, wait_while_associating
from alb_reconcile.model import tags
from alb_reconcile.model.advice import advised
from alb_reconcile.model.discovery import Finding
from alb_reconcile.model.errors import AwsError, RefusedError, ignoring

Network = ipaddress.IPv4Network


@dataclass
class Room:
    """A VPC's IPv4 ranges, its first one first, and what of them is taken."""

    around: Sequence[Network] = ()
    taken: list[Network] = field(default_factory=list)

    def take(self, length: int, besides: Iterable[str] = ()) -> str:
        """A free range with a netmask of that length, taken from now on; empty where there is none.

        It is in the first range that has room, in the smallest gap that it fits into, so that large ones stay. `besides` are
        ranges that others are to have.
        """
        taken = [*self.taken, *map(Network, besides)]
        for around in self.around:
            if gaps := [gap for gap in _gaps(around, taken) if gap.prefixlen <= length]:
                gap = max(gaps, key=lambda item: (item.prefixlen, -int(item.network_address)))
                found = next(gap.subnets(new_prefix=length))
                self.taken.append(found)
                return str(found)
        return ""


def _gaps(around: Network, taken: Sequence[Network]) -> list[Network]:
    """What is free of a range, in parts as large as they can be."""
    inside = [item for item in taken if item.overlaps(around)]
    if any(around.subnet_of(item) for item in inside):
        return []
    if not inside:
        return [around]
    if around.prefixlen >= 28:  # subnets are no smaller
        return []
    return [gap for half in around.subnets() for gap in _gaps(half, inside)]


async def read_room(aws: Aws, vpc: str) -> Room:
    """A VPC's room as AWS shows it; none while it doesn't show the VPC."""
    with ignoring("InvalidVpcID.NotFound"):
        rows = await aws.pages("ec2", "describe_vpcs", "Vpcs", VpcIds=[vpc])
        around = [
            Network(name)
            for row in rows
            for name, item in sorted(associations(row), key=lambda found: found[0] != row["CidrBlock"])
            if ":" not in name and (item.get("CidrBlockState") or {}).get("State") == "associated"
        ]
        subnets = await aws.pages("ec2", "describe_subnets", "Subnets", where={"vpc-id": vpc})
        return Room(around, [Network(row["CidrBlock"]) for row in subnets if row.get("CidrBlock")])
    return Room()


async def choose_range(run: Run, vpc: str, length: int, besides: Sequence[str]) -> str:
    """A free range, which nobody else of this run gets. Raises RefusedError where there is none."""

    async def read() -> Room:
        return await repeat_until(run.aws, partial(read_room, run.aws, vpc), lambda room: bool(room.around), waits.LAG)

    room: Room = await run.shared.once(f"room in {vpc}", read)
    if found := room.take(length, besides):
        return found
    if await wait_while_associating(run, vpc):
        room.around = (await read()).around
    if found := room.take(length, besides):
        return found
    raise RefusedError(_no_room(vpc, length))


async def find_in(run: Run, vpc: str, cidr: str) -> Mapping[str, Any]:
    """The subnet that holds a part of a range; empty while none is shown."""
    rows = await run.aws.pages("ec2", "describe_subnets", "Subnets", where={"vpc-id": vpc})
    held = ((row, Network(row["CidrBlock"])) for row in rows if row.get("CidrBlock"))
    return next((row for row, block in held if block.overlaps(Network(cidr))), {})


async def full_vpcs(aws: Aws, intents: Sequence[Intent]) -> list[Finding]:
    """The subnets for whose length a VPC that is there has no range left."""
    made = [one for one in intents if one.fields is None and one.wanted.is_chosen and isinstance(one.wanted.vpc, str)]
    vpcs = sorted({item.wanted.vpc for item in made})
    rooms = dict(zip(vpcs, await asyncio.gather(*(read_room(aws, vpc) for vpc in vpcs)), strict=True))
    return [
        Finding(item.desired, "ipv4_netmask_length", _no_room(item.wanted.vpc, item.wanted.ipv4_netmask_length))
        for item in made
        if not rooms[item.wanted.vpc].take(item.wanted.ipv4_netmask_length, item.wanted.besides or ())
    ]


async def lost_subnets(aws: Aws, intents: Sequence[Intent]) -> list[Finding]:
    """Those without an owner that have the very range of one that is to be made in their VPC: somebody has removed the tags."""
    made = {(item.wanted.vpc, item.wanted.cidr_block): item.desired for item in intents if item.fields is None}
    vpcs = sorted({vpc for vpc, block in made if block and isinstance(vpc, str)})
    rows = await aws.pages("ec2", "describe_subnets", "Subnets", where={"vpc-id": vpcs}) if vpcs else []
    there = [(row, made.get((row["VpcId"], row.get("CidrBlock") or ""))) for row in rows]
    return [Finding(item, "cidr_block", told) for row, item in there if item and (told := ownerless(row, item.file))]


def ownerless(row: Mapping[str, Any], file: str) -> str:
    """That no stack owns a subnet, and what to do; empty for one that somebody has."""
    told = f"{row['SubnetId']} has {row['CidrBlock']} in {row['VpcId']}, and no stack owns it"
    is_owned = tags.STACK in tags.from_list(row.get("Tags"))
    return "" if is_owned else f"{told}: {advised('adopt', file)} takes it over"


async def taken(run: Run, vpc: str, cidr: str, file: str, error: AwsError) -> RefusedError:
    """Who holds a range that AWS refuses, and what to do."""
    row = await find_in(run, vpc, cidr) if cidr else {}
    if row.get("CidrBlock") == cidr and (told := ownerless(row, file)):
        return RefusedError(told)
    clash = f"{cidr or 'its range'} overlaps {row.get('SubnetId', 'a subnet')} in {vpc}, outside this stack"
    return RefusedError(f"{clash}; choose a free range ({error.code})")


def _no_room(vpc: str, length: int) -> str:
    return f"{vpc} has no free range of /{length}; give it a further range, or a longer netmask to its subnets"
