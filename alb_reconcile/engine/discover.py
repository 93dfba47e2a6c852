"""Reads what exists of a stack, found by its tags, and what else a plan needs to know of the account."""

import asyncio
from collections.abc import Awaitable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from alb_reconcile.aws.client import Aws, batches
from alb_reconcile.aws.hints import DENIED
from alb_reconcile.engine.plan.situation import Situation, situate
from alb_reconcile.kinds import load_kinds, names_of
from alb_reconcile.kinds.base import AnyKind, Listing, NamedInAccount
from alb_reconcile.kinds.images import PARAMETER, RESOLVE, SEARCH, explain_lost
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.kinds.shared_reader import SharedReads
from alb_reconcile.model import tags
from alb_reconcile.model.address import Address
from alb_reconcile.model.discovery import Discovery, Finding, Other
from alb_reconcile.model.errors import AwsError, RefusedError, ignoring
from alb_reconcile.model.resource import Desired, Observed, each_of
from alb_reconcile.model.service import Foreign, Server

_T = TypeVar("_T")


async def discover(
    aws: Aws,
    stack: str,
    desired: Mapping[Address, Desired],
    *,
    account_ids: Collection[str] = (),
    everything: bool = False,
    shared: SharedReads | None = None,
    eager: bool = False,
    lenient: bool = False,
) -> Discovery:
    """Read the stack. With `everything`, all target groups of the account are looked at, as destroy must. `shared` has the reads that
    several stacks share. With `eager`, everything that a creation needs is read at once, without waiting for answers that may make a read
    needless. With `lenient`, kinds that the credentials may not read are left out (`unread`), for commands that show the rest.

    Raises RefusedError in an account other than `account_ids`, if any are given.
    """
    if eager:
        usual = ("ec2", "elbv2", "sts", "ssm", "service-quotas")
        aws.expect(*((service, False) for service in usual), ("ec2", True))
    reader = Reader(aws, stack, desired, everything=everything, shared=shared)
    reader.eager = eager
    reader.lenient = lenient
    return await discover_by(reader, account_ids)


async def discover_by(reader: Reader, account_ids: Collection[str] = ()) -> Discovery:
    """Discover with a given reader; its reads are cancelled if one of them fails."""
    unread: dict[str, AwsError] = {}

    async def allowed(name: str, read: Awaitable[_T], nothing: _T) -> _T:
        try:
            return await read
        except AwsError as error:
            if not reader.lenient or error.code not in DENIED:
                raise
            unread[name] = error
            return nothing

    def begin(name: str, read: Awaitable[_T], nothing: _T) -> asyncio.Future[_T]:
        return asyncio.ensure_future(allowed(name, read, nothing))

    elsewhere = begin("what the spec names by id", _read_foreign(reader), ({}, []))
    own = {name: begin(name, discover_kind(reader, kind), []) for name, kind in load_kinds().items()}
    # if one of these depends on another answer, it waits for that answer alone
    account = read_account(reader.aws, account_ids) if reader.eager else _account(reader, account_ids)
    identity = asyncio.ensure_future(account)
    servers = None if reader.eager else [own[name] for name in sorted(names_of(Server))]
    images = begin("images", _images(reader.aws, tuple(reader.desired.values()), servers), ({}, []))
    tasks: list[asyncio.Future[Any]] = [identity, elsewhere, images, *own.values()]
    try:
        await asyncio.gather(*tasks)
        resources = tuple(item for task in own.values() for item in task.result())
        foreign, missing = elsewhere.result()
        taken = {} if unread else await _taken(reader)
    except BaseException:  # also for an interruption: no read may continue after it
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await reader.cancel()
        raise
    if unread:
        await reader.cancel()  # reads that were begun for kinds that couldn't be read
        if not resources:
            raise next(iter(unread.values()))
    return Discovery(
        identity.result(),
        resources,
        images.result()[0],
        taken,
        foreign=foreign,
        findings=(*missing, *images.result()[1]),
        warnings=tuple(reader.warnings),
        kept={key: (item.id, item.zone) for key, item in reader.kept.items()},
        unread={name: str(error) for name, error in sorted(unread.items())},
    )


async def _taken(reader: Reader) -> dict[tuple[str, str], Other]:
    """Others' resources of the kinds that have unique names in account and region, by kind and name."""
    kinds = [kind for kind in load_kinds().values() if isinstance(kind, NamedInAccount)]
    found = await asyncio.gather(*(kind.others(reader) for kind in kinds))
    return {
        (kind.name, name): other for kind, others in zip(kinds, found, strict=True) for name, other in others.items()
    }


async def _account(reader: Reader, allowed: Collection[str]) -> str:
    """Like `read_account`, without a call if the account has a load balancer or a target group: their ARNs contain the account's number."""
    with ignoring(*DENIED):  # if it is denied, the kinds' own reads report that
        arns = await asyncio.gather(reader.load_balancer_arns(), reader.target_group_arns())
        for arn in [arn for part in arns for arn in part][:1]:
            reader.aws.learn_account(arn)
    return await read_account(reader.aws, allowed)


async def discover_kind(reader: Reader, kind: AnyKind) -> list[Observed]:
    """The stack's resources of a kind. A kind that isn't always read is looked for if the spec declares one, if everything is looked at, or
    if something hints at one."""
    is_due = kind.is_always_read or reader.everything or reader.declares(kind.name) or await kind.is_hinted(reader)
    return await kind.discover(reader) if is_due else []


async def read_account(aws: Aws, allowed: Collection[str]) -> str:
    """The account's number. Raises RefusedError if some accounts are allowed, and this one isn't."""
    account = await aws.account()
    if allowed and account not in allowed:
        raise RefusedError(
            f"these are the credentials of account {account}, but the spec's account_ids allow only {', '.join(allowed)}"
        )
    return account


async def _read_foreign(reader: Reader) -> tuple[dict[str, Foreign], list[Finding]]:
    """The resources that the spec names by id, as far as they exist, read kind by kind; and findings about those that don't."""
    found: dict[str, Foreign] = {}
    findings: list[Finding] = []

    async def read(kind: AnyKind, listing: Listing) -> None:
        ids = reader.literal_ids(kind.id_prefix)
        if not ids:
            return
        for item in await reader.by_ids(kind.id_prefix, listing.operation, listing.key, listing.id_filter):
            found[item[listing.id_key]] = kind.locate(item)
        name = kind.noun.partition(" ")[2]
        for missing in [item for item in ids if item not in found]:
            text = f"there is no {name} {missing} in this account and region; correct the id"
            findings.extend(Finding(item, path, text) for item, path in reader.users(missing))

    listed = [(kind, kind.listing) for kind in load_kinds().values() if kind.listing and kind.listing.needs_foreign]
    await asyncio.gather(*(read(kind, listing) for kind, listing in listed))
    return found, findings


async def _images(
    aws: Aws, desired: Collection[Desired], servers: Iterable[Awaitable[list[Observed]]] | None
) -> tuple[dict[str, str], list[Finding]]:
    """Resolve the image references of instances that may be made or replaced, given the instances that exist."""
    found = [item for part in await asyncio.gather(*servers or ()) for item in part]
    settled = {item.address: item.tags.get(tags.IMAGE) for item in found if not item.is_gone}
    wanted = {
        state.image_id
        for item, state in each_of(desired, Server)
        if state.image_id.startswith(RESOLVE)
        and (settled.get(item.address) != state.image_id or item.lifecycle.image_update == "replace")
    }
    return await resolve_images(aws, wanted, desired)


async def resolve_further_images(aws: Aws, situation: Situation) -> Situation:
    """The situation, decided again with the images of instances that are replaced for another reason than their image."""
    discovery, decided = situation.discovery, situation.decisions.desired.values()
    made = each_of([item.desired for item in decided if not item.found or item.forces], Server)
    lost = {state.image_id for _, state in each_of([item.desired for item in discovery.findings], Server)}
    needed = {state.image_id for _, state in made if state.image_id.startswith(RESOLVE)} - {*discovery.images, *lost}
    if not needed:
        return situation
    images, findings = await resolve_images(aws, needed, situation.target.desired.values())
    known = replace(discovery, images={**discovery.images, **images}, findings=(*discovery.findings, *findings))
    return situate(situation.target, known, situation.now)


async def resolve_images(
    aws: Aws, references: Collection[str], desired: Iterable[Desired]
) -> tuple[dict[str, str], list[Finding]]:
    """The AMI ids of the references; and findings, at their places in the spec, about references to no image."""
    parameters = sorted(item for item in references if item.startswith(PARAMETER))
    searches = sorted(item for item in references if item.startswith(SEARCH))
    newest = asyncio.gather(*(_newest(aws, item) for item in searches))
    found, ids = await asyncio.gather(_from_parameters(aws, parameters), newest)
    found |= {reference: image for reference, image in zip(searches, ids, strict=True) if image}
    lost = [(item, state.image_id) for item, state in each_of(desired, Server) if state.image_id in references]
    return found, [Finding(item, *explain_lost(image)) for item, image in lost if image not in found]


async def _from_parameters(aws: Aws, references: Sequence[str]) -> dict[str, str]:
    """The AMI ids of these SSM parameters, without those that don't exist (SSM GetParameters, ten a call)."""
    found: dict[str, str] = {}
    for batch in batches(references, 10):
        names = {reference.removeprefix(PARAMETER): reference for reference in batch}
        answer = await aws.call("ssm", "get_parameters", Names=list(names))
        for item in answer["Parameters"]:
            name = item["Name"] + (item.get("Selector") or "")
            found[names.get(name, PARAMETER + name)] = item["Value"]
    return found


async def _newest(aws: Aws, reference: str) -> str:
    """The newest available image that matches a reference; empty if there is none (EC2 DescribeImages)."""
    owner, architecture, name = reference.removeprefix(SEARCH).split(":", 2)
    where = {"name": name, "architecture": architecture, "state": "available"}
    rows: list[dict[str, Any]] = await aws.pages("ec2", "describe_images", "Images", where=where, Owners=[owner])
    newest = max(rows, key=lambda row: (str(row.get("CreationDate", "")), row["ImageId"]), default=None)
    return str(newest["ImageId"]) if newest else ""
