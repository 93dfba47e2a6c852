"""Surveys the resources that a spec may mean: all in the VPCs in question, whatever their owner."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from alb_reconcile.adoption.hypothetical import HypotheticalReader
from alb_reconcile.aws.client import Aws
from alb_reconcile.engine.discover import discover_kind
from alb_reconcile.kinds import kind_of, load_kinds
from alb_reconcile.kinds.recognition import Candidate
from alb_reconcile.model import tags
from alb_reconcile.model.address import Address
from alb_reconcile.model.resource import Observed
from alb_reconcile.model.service import Network, Segment

Survey = dict[str, list[Candidate]]
"""Candidates by kind, including those of kinds without tags."""


async def told_place(aws: Aws) -> str:
    """The region and account that were searched, for a user who may have meant others."""
    return f"{aws.region}, account {await aws.account()}"


async def survey_vpcs(reader: HypotheticalReader) -> list[Candidate]:
    """All VPCs of the account."""
    reader.claims, reader.vpcs = True, None
    found = await kind_of(Network).discover(reader)
    return [_candidate(reader, item) for item in found if not item.is_gone]


async def survey_rest(reader: HypotheticalReader, vpcs: set[str]) -> tuple[Survey, dict[str, str]]:
    """All other resources in these VPCs and in those that the spec names; and the VPC of each subnet."""
    literal = reader.literal_ids("subnet-")
    theirs: list[dict[str, Any]] = []
    if literal:
        theirs = await reader.aws.pages("ec2", "describe_subnets", "Subnets", where={"subnet-id": literal})
    named = set(reader.literal_ids("vpc-"))
    reader.claims, reader.vpcs = True, vpcs | named | {item["VpcId"] for item in theirs}
    rest = [kind for kind in load_kinds().values() if kind is not kind_of(Network)]
    found: Survey = defaultdict(list)
    for kind, part in zip(rest, await asyncio.gather(*(discover_kind(reader, kind) for kind in rest)), strict=True):
        found[kind.name] = [_candidate(reader, item) for item in part if not (item.is_gone or item.is_leaving)]
    subnet_vpcs = {item["SubnetId"]: str(item["VpcId"]) for item in theirs}
    return found, subnet_vpcs | {item.found.id: item.vpc for item in found[kind_of(Segment).name]}


def held(reader: HypotheticalReader, found: list[Candidate]) -> dict[Address, Observed]:
    """The resources that are the stack's already, by address."""
    return {item.found.address: item.found for item in found if item.owner == reader.stack and item.found.state.service}


def _candidate(reader: HypotheticalReader, item: Observed) -> Candidate:
    row = reader.rows.get(item.id, {})
    vpc = "" if isinstance(item.state, Network) else row.get("VpcId") or item.state.network or ""
    owner = reader.tags.get(item.id, {}).get(tags.STACK, "")
    return Candidate(item, owner, str(vpc), _builtin(reader, item, row))


def _builtin(reader: HypotheticalReader, item: Observed, row: Mapping[str, Any]) -> str:
    """Why a candidate isn't matched silently; empty if it may be."""
    if item.id in reader.literal_ids(item.id):
        return "one that the spec refers to by its id"
    return load_kinds()[item.state.kind].why_builtin(row)
