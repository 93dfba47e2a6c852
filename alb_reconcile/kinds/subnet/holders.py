"""Finds the subnet that already has the range that a new subnet is to have: one outside of the stack, or one that has lost its tags."""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from alb_reconcile.aws.client import Aws
from alb_reconcile.kinds.base import Intent
from alb_reconcile.kinds.context import Run
from alb_reconcile.model import tags
from alb_reconcile.model.advice import advised
from alb_reconcile.model.discovery import Finding
from alb_reconcile.model.errors import AwsError, RefusedError


async def _find_in(run: Run, vpc: str, cidr: str) -> Mapping[str, Any]:
    """The subnet of a VPC that holds a part of a range; empty while AWS shows none."""
    rows = await run.aws.pages("ec2", "describe_subnets", "Subnets", where={"vpc-id": vpc})
    held = ((row, ipaddress.IPv4Network(row["CidrBlock"])) for row in rows if row.get("CidrBlock"))
    return next((row for row, block in held if block.overlaps(ipaddress.IPv4Network(cidr))), {})


async def lost_subnets(aws: Aws, intents: Sequence[Intent]) -> list[Finding]:
    """Subnets without an owner with exactly the range of a subnet that is to be made in their VPC: a user has removed their tags."""
    made = {(item.wanted.vpc, item.wanted.cidr_block): item.desired for item in intents if item.fields is None}
    vpcs = sorted({vpc for vpc, block in made if block and isinstance(vpc, str)})
    rows = await aws.pages("ec2", "describe_subnets", "Subnets", where={"vpc-id": vpcs}) if vpcs else []
    there = [(row, made.get((row["VpcId"], row.get("CidrBlock") or ""))) for row in rows]
    return [Finding(item, "cidr_block", told) for row, item in there if item and (told := ownerless(row, item.file))]


def ownerless(row: Mapping[str, Any], file: str) -> str:
    """That no stack owns a subnet, and what to do; empty for a subnet that a stack owns."""
    told = f"{row['SubnetId']} has {row['CidrBlock']} in {row['VpcId']}, and no stack owns it"
    is_owned = tags.STACK in tags.from_list(row.get("Tags"))
    return "" if is_owned else f"{told}: {advised('adopt', file)} takes it over"


async def taken(run: Run, vpc: str, cidr: str, file: str, error: AwsError) -> RefusedError:
    """The error for a range that AWS refuses: which subnet holds it, and what to do."""
    row = await _find_in(run, vpc, cidr) if cidr else {}
    if row.get("CidrBlock") == cidr and (told := ownerless(row, file)):
        return RefusedError(told)
    clash = f"{cidr or 'its range'} overlaps {row.get('SubnetId', 'a subnet')} in {vpc}, outside this stack"
    return RefusedError(f"{clash}; choose a free range ({error.code})")
