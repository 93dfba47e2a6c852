"""Chooses the resources of an account that an export describes."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from alb_reconcile.adoption.hypothetical import HypotheticalReader
from alb_reconcile.adoption.survey import survey_rest, survey_vpcs, told_place
from alb_reconcile.aws.client import Aws
from alb_reconcile.kinds import kind_of, load_kinds
from alb_reconcile.kinds.base import FoundByUse, Used, UsedUnseen
from alb_reconcile.kinds.identifiers import is_id_of
from alb_reconcile.kinds.reader import NO_STACK
from alb_reconcile.kinds.recognition import Candidate
from alb_reconcile.model import tags
from alb_reconcile.model.address import Address
from alb_reconcile.model.advice import advised
from alb_reconcile.model.decisions import named_ids
from alb_reconcile.model.errors import AwsError, RefusedError
from alb_reconcile.model.resource import Properties, field_names
from alb_reconcile.model.service import Associations, Balancer, Network, Routes, Segment
from alb_reconcile.model.text import printable

_SCALED: Final = "aws:autoscaling:groupName"
"""The tag of instances that an Auto Scaling group launches and terminates."""


@dataclass(frozen=True)
class ExportScope:
    """What the user has asked for: load balancers by name or ARN, VPCs by id, and all resources that carry some tags; or a whole `stack` of
    this tool's, and nothing else."""

    load_balancers: tuple[str, ...] = ()
    vpcs: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    stack: str = ""

    def __str__(self) -> str:
        if self.stack:
            return f"the stack {self.stack}"
        parts = [f"load balancer {name}" for name in self.load_balancers]
        parts += [f"VPC {vpc}" for vpc in self.vpcs]
        parts += [f"tag {' and '.join(f'{key}={value}' for key, value in self.tags.items())}"] if self.tags else []
        return printable(", ".join(parts))


@dataclass
class FoundResources:
    """Everything that was read, by id, and the ids of the resources that the export describes."""

    all: dict[str, Candidate]
    tags: dict[str, dict[str, str]]
    chosen: set[str]
    seeds: set[str]
    """The ids among `chosen` of resources that the user has named, or that carry the tags."""
    notes: list[str]
    asides: dict[str, list[str]] = field(default_factory=dict)
    """The comments before the entries of resources, by their ids."""
    outside: dict[str, str] = field(default_factory=dict)
    """Why resources that others use as well stay outside, by id."""
    addresses: Mapping[str, Address] = field(default_factory=dict)
    """The addresses of the stack's resources, by id, if a stack of this tool's is exported."""


async def read_around(aws: Aws, vpcs: set[str]) -> FoundResources:
    """All resources in some VPCs; none is chosen."""
    reader = _reader(aws)
    try:
        found = await survey_vpcs(reader)
        rest, _ = await survey_rest(reader, vpcs)
    except BaseException:  # an interruption too: no read may go on after it
        await reader.cancel()
        raise
    return _found(reader, [*found, *(item for part in rest.values() for item in part)])


def _reader(aws: Aws, stack: str = NO_STACK) -> HypotheticalReader:
    reader = HypotheticalReader(aws, stack, {})
    reader.everything = reader.thorough = True
    return reader


def _found(reader: HypotheticalReader, items: Iterable[Candidate]) -> FoundResources:
    everything = {item.found.id: item for item in items}
    return FoundResources(everything, reader.tags, set(), set(), list(dict.fromkeys(reader.warnings)))


async def find(aws: Aws, scope: ExportScope) -> FoundResources:
    """Read the VPCs in question, and choose the resources to describe. Raises RefusedError if there are none, or if they are another
    stack's."""
    if scope.stack:
        return await _find_stack(aws, scope.stack)
    reader = _reader(aws)
    try:
        vpcs = await survey_vpcs(reader)
        balancers = await _balancers(reader, scope)
        rest, _ = await survey_rest(reader, await _near(aws, scope, balancers, {item.found.id for item in vpcs}))
    except BaseException:  # an interruption too: no read may go on after it
        await reader.cancel()
        raise
    found = _found(reader, [*vpcs, *(item for part in rest.values() for item in part)])
    named = {item["LoadBalancerArn"] for item in balancers}
    _choose(found, scope, named)
    if not scope.vpcs:
        await _leave_to_wearers(aws, found)
    for key in sorted(found.chosen):
        for text in sorted(found.outside.keys() & {*uses(found.all[key].found.state)}):
            found.asides.setdefault(key, []).append(f"{text} stays outside: {found.outside[text]}")
    if not found.chosen:
        raise nothing_left(found, scope, found.notes)
    await _add_used(reader, found)
    return found


def nothing_left(found: FoundResources, scope: ExportScope, why: Iterable[str]) -> RefusedError:
    """The refusal of a spec without an entry, with what became of each resource that was meant."""
    if not found.seeds:
        return RefusedError(f"nothing that a spec could describe was found by {scope}")
    return RefusedError(
        "\n  ".join([f"of {len(found.seeds)} resources found by {scope} nothing is left for a spec", *why])
    )


async def _find_stack(aws: Aws, stack: str) -> FoundResources:
    """All resources that carry a stack's tag, as `destroy` finds them."""
    reader = _reader(aws, stack)
    try:
        vpcs = await survey_vpcs(reader)
        near = {item.found.id for item in vpcs if item.owner == stack}
        near |= {
            item["VpcId"]
            for item in await reader.load_balancers()
            if reader.tags[item["LoadBalancerArn"]].get(tags.STACK) == stack
        }
        rest, _ = await survey_rest(reader, near)
    except BaseException:  # an interruption too: no read may go on after it
        await reader.cancel()
        raise
    everything = [*vpcs, *(item for part in rest.values() for item in part)]
    own = {item.found.id: item.found.address for item in everything if item.owner == stack and item.found.state.service}
    if not own:
        raise RefusedError(
            f"nothing in {await told_place(aws)} belongs to the stack {stack}; {advised('stacks')} lists those that there are"
        )
    found = _found(
        reader, [replace(item, owner="", builtin="") if item.owner == stack else item for item in everything]
    )
    found.addresses, found.chosen, found.seeds = own, {*own}, {*own}
    return found


async def _near(aws: Aws, scope: ExportScope, balancers: Iterable[Mapping[str, str]], vpcs: set[str]) -> set[str]:
    """The VPCs to look into."""
    if lost := sorted(set(scope.vpcs) - vpcs):
        place = await told_place(aws)
        raise RefusedError(f"there is no VPC {printable(lost[0])} in {place}; correct the id, or --region")
    return vpcs if scope.tags else {*scope.vpcs, *(item["VpcId"] for item in balancers)}


async def _balancers(reader: HypotheticalReader, scope: ExportScope) -> list[dict[str, str]]:
    """The load balancers that are named."""
    if not scope.load_balancers:
        return []
    there = await reader.load_balancers()
    rows = []
    for name in scope.load_balancers:
        row = next((item for item in there if name in (item["LoadBalancerName"], item["LoadBalancerArn"])), None)
        if row is None:
            what = "ARN" if is_id_of(kind_of(Balancer).name, name) else "name"
            raise RefusedError(
                f"there is no Application Load Balancer {printable(name)} in {await told_place(reader.aws)}; correct the {what}, or --region"
            )
        rows.append(row)
    return rows


def _choose(found: FoundResources, scope: ExportScope, balancers: set[str]) -> None:
    """Choose the seeds, the resources in them, and those that they lead to (not for seeds found by tags)."""
    tagged = {
        key
        for key, item in found.all.items()
        if scope.tags and item.found.state.service and scope.tags.items() <= found.tags.get(key, {}).items()
    }
    within = {key for key, item in found.all.items() if item.found.id in scope.vpcs or item.vpc in scope.vpcs}
    _refuse_foreign(found, balancers | set(scope.vpcs))
    led = _reach(found, within | balancers)
    found.seeds = balancers | within | tagged
    found.chosen = led | _reach(found, tagged, follow=False)
    _leave_out(found)
    _leave_without_table(found)
    if not scope.vpcs:
        _leave_to_others(found)
    while orphans := {key for key in found.chosen if _above(found, key) not in (None, *found.chosen)}:
        found.chosen -= orphans


def _refuse_foreign(found: FoundResources, named: Iterable[str]) -> None:
    for key in sorted(named):
        if owner := found.all[key].owner:
            raise RefusedError(
                f"{key} belongs to the stack {printable(owner)} already; {printable(advised('export', ('--stack', owner)))} "
                "writes that stack's spec, or let that stack forget it first"
            )


def _above(found: FoundResources, key: str) -> str | None:
    return found.all[key].found.parent_id


def _reach(found: FoundResources, start: Iterable[str], *, follow: bool = True) -> set[str]:
    """The resources in these, and those that they lead to, if `follow` says so."""
    inside: dict[str, list[str]] = defaultdict(list)
    for key in found.all:
        if (parent := _above(found, key)) is not None:
            inside[parent].append(key)
    reached: set[str] = set()
    ahead = list(start)
    while ahead:
        key = ahead.pop()
        if key in reached or key not in found.all:
            continue
        reached.add(key)
        ahead += inside[key]
        if follow and not found.all[key].builtin:
            ahead += uses(found.all[key].found.state)
    return reached


def uses(state: Properties) -> Iterator[str]:
    """The ids of the resources that a resource leads to, or of the security groups that it wears."""
    around = {state.parent, state.in_vpc, state.in_subnets, *state.traffic}
    for name in field_names(type(state)):
        if name not in around:
            yield from named_ids(getattr(state, name))


def _leave_out(found: FoundResources) -> None:
    """Leave out resources that AWS made itself or for another service, and those that another stack has."""
    for item in found.all.values():
        found.chosen.difference_update(getattr(item.found.details, "made_along", ()))
    for key in sorted(found.chosen):
        item = found.all[key]
        if item.owner:
            found.notes.append(
                f"{key} belongs to the stack {printable(item.owner)}: it is left out, and named by its id"
            )
        group = found.tags.get(key, {}).get(_SCALED, "")
        if group:
            found.notes.append(
                f"{key} is left out: the Auto Scaling group {printable(group)} launches and terminates it as it needs"
            )
        if item.owner or item.builtin or group:
            found.chosen.discard(key)
    for key, item in found.all.items():
        if item.owner or item.builtin:
            found.outside[key] = printable(
                f"it belongs to the stack {item.owner}" if item.owner else f"it is {item.builtin}"
            )


def _leave_without_table(found: FoundResources) -> None:
    """Leave out subnets that have their routes in a route table that isn't chosen, and their VPC. A VPC's main table is never chosen: AWS
    deletes it only with the VPC."""
    tables = [item for item in found.all.values() if isinstance(item.found.state, Routes)]
    by_subnet = {subnet: item for item in tables for subnet in item.found.detail(Associations).by_subnet}
    mains = {item.vpc: item for item in tables if item.builtin}
    following: dict[tuple[str, str], list[str]] = defaultdict(list)
    for key in sorted(found.chosen):
        item = found.all[key]
        table = by_subnet.get(key) or mains.get(item.vpc)
        if not isinstance(item.found.state, Segment) or table is None or table.found.id in found.chosen:
            continue
        if isinstance(table.found.state, Routes) and table.found.state.routes:
            following[item.vpc, table.found.id].append(key)
    for (vpc, table_id), named in following.items():
        what, way = f"{table_id}, which is left out", "export it, too (with --tag, give it the tag)"
        if found.all[table_id].builtin:
            what = f"the main route table of {vpc} ({table_id}), which can't be in the spec"
            way = "give them a route table of their own"
        found.notes.append(
            f"{', '.join(named)} follow {what}: they and the VPC are left out, and named by their ids; {way} to bring them in"
        )
        found.chosen.difference_update(named, {vpc})


def _leave_to_others(found: FoundResources) -> None:
    """Leave out resources that others use as well: this stack isn't to change them, let alone to delete them."""
    while True:
        for key, item in sorted(found.all.items()):
            user = key if item.found.state.service else str(_above(found, key))
            if user in found.chosen or item.found.is_leaving:
                continue
            shared = {text for text in uses(item.found.state) if text in found.chosen and text not in found.seeds}
            for text in sorted(shared):
                found.notes.append(f"{text} is used by {user} as well: it is left out, and named by its id")
                found.outside[text] = f"{user} uses it as well"
            found.chosen -= shared
            if shared:
                break
        else:
            return


async def _leave_to_wearers(aws: Aws, found: FoundResources) -> None:
    """Leave out security groups that resources wear which aren't chosen, for example a database."""
    for name, kind in load_kinds().items():
        keys = sorted(key for key in found.chosen - found.seeds if found.all[key].found.state.kind == name)
        if not keys or not isinstance(kind, UsedUnseen):
            continue
        try:
            users = await kind.find_users(aws, keys, found.chosen)
        except AwsError as error:
            found.notes.append(
                f"who else wears {', '.join(keys)} isn't known, since {error.operation} is refused ({error.code})"
            )
            continue
        for told, key in users:
            if key in found.chosen:
                found.notes.append(printable(f"{key} is used by {told} as well: it is left out, and named by its id"))
                found.outside[key] = printable(f"{told} uses it as well")
                found.chosen.discard(key)


async def _add_used(reader: HypotheticalReader, found: FoundResources) -> None:
    """Choose the resources that only chosen ones use, and say of all others why they stay outside."""
    kinds = [(kind.name, kind) for kind in load_kinds().values() if isinstance(kind, FoundByUse)]
    parts = await asyncio.gather(*(_find(reader, name, kind, found) for name, kind in kinds))
    for item in (item for part in parts for item in part):
        owner = item.tags.get(tags.STACK) or (found.all[item.id].owner if item.id in found.all else "")
        why = f"belongs to the stack {printable(owner)}" if owner else item.why
        if not why and item.observed is not None:
            found.all[item.id] = Candidate(item.observed)
            found.tags.setdefault(item.id, dict(item.tags))
            found.chosen.add(item.id)
            continue
        found.chosen.discard(item.id)
        for user in item.users:
            found.asides.setdefault(user, []).append(printable(f"{item.words} {why}"))
        if not item.users:
            found.notes.append(printable(f"{item.words} {why}"))


async def add_acls(aws: Aws, found: FoundResources) -> None:
    """Add a comment to each VPC about its network ACLs other than the default one (EC2 DescribeNetworkAcls)."""
    for vpc in sorted(key for key in found.chosen if isinstance(found.all[key].found.state, Network)):
        where = {"vpc-id": vpc, "default": "false"}
        try:
            rows = await aws.pages("ec2", "describe_network_acls", "NetworkAcls", where=where)
        except AwsError as error:
            found.notes.append(f"network ACLs of {vpc} aren't known, since {error.operation} is refused ({error.code})")
            continue
        subnets = {row["NetworkAclId"]: sorted(item["SubnetId"] for item in row["Associations"]) for row in rows}
        if texts := [f"{acl} ({', '.join(subnets[acl]) or 'of no subnet'})" for acl in sorted(subnets)]:
            text = f"network ACLs that no spec can say stay outside, {len(texts)}: {', '.join(texts)}; a subnet that is replaced gets the default one"
            found.asides.setdefault(vpc, []).append(text)


async def _find(reader: HypotheticalReader, name: str, kind: FoundByUse, found: FoundResources) -> list[Used]:
    """The resources of a kind that the chosen ones use; those that these credentials may not read stay outside."""
    try:
        return await kind.find_used(reader, [found.all[key].found for key in sorted(found.chosen)])
    except AwsError as error:
        what = name.replace("_", " ")
        found.notes.append(f"no {what} is taken along, since {error.operation} is refused ({error.code})")
        return []
