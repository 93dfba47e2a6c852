"""What AWS would refuse half-way through a run, asked about before anything is changed."""

import asyncio
from collections.abc import Awaitable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from alb_reconcile.aws.client import DRY_RUN, Aws
from alb_reconcile.engine.plan.decide import Decision, Decisions, decide, location_of
from alb_reconcile.kinds import load_kinds
from alb_reconcile.kinds.base import AnyKind, HasPreconditions, Intent
from alb_reconcile.kinds.context import Run
from alb_reconcile.model.abilities import settle
from alb_reconcile.model.address import Address
from alb_reconcile.model.discovery import Discovery, Finding
from alb_reconcile.model.errors import AwsError, ReconcileError
from alb_reconcile.model.resource import Desired, Lookups, Properties, bind, references
from alb_reconcile.model.steps import Launch

_DENIED: Final = ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException")


async def check_preconditions(
    aws: Aws, stack: str, desired: Mapping[Address, Desired], discovery: Discovery, *, dry_run: bool = False
) -> Discovery:
    """The discovery, with what stands against the resources that are to be made or changed.

    Nothing is asked where nothing is. `dry_run`: whether these credentials may create it is asked, too. What these credentials can't read isn't found; AWS says it later.
    """
    decisions = decide(stack, desired, discovery, {})
    facts = Lookups(images=discovery.images, desired=desired)
    intents: dict[str, list[Intent]] = {}
    for address, item in decisions.desired.items():
        if item.found is None or item.changes:
            intents.setdefault(address.kind, []).append(_intent(item, decisions, discovery, facts))
    checks: list[Awaitable[list[Finding]]] = [
        kind.check_preconditions(aws, intents[name], desired, discovery)
        for name, kind in _with_preconditions()
        if name in intents
    ]
    if dry_run:
        checks.append(_dry_runs(aws, stack, intents, decisions.ids))
    found = await asyncio.gather(*checks)
    return replace(discovery, findings=tuple(item for part in found for item in part))


def _with_preconditions() -> Iterator[tuple[str, HasPreconditions]]:
    for name, kind in load_kinds().items():
        able: object = kind
        if isinstance(able, HasPreconditions):
            yield name, able


def _intent(item: Decision, decisions: Decisions, discovery: Discovery, facts: Lookups) -> Intent:
    is_made = item.found is None or bool(item.forces)
    wanted: Properties = item.state
    if is_made:
        wanted = settle(bind(item.desired.creation, decisions.ids), None, facts)
    subnets = getattr(item.state, "subnets", None) or ()
    zones = {zone for subnet in subnets if (zone := location_of(subnet, decisions, discovery).zone)}
    if discovery.zones:  # one that doesn't exist is told elsewhere
        zones.intersection_update(discovery.zones)
    fields = None if is_made else frozenset(change.path.partition(".")[0] for change in item.changes)
    return Intent(item.desired, wanted, fields, bool(item.forces), tuple(sorted(zones)))


async def _dry_runs(
    aws: Aws, stack: str, intents: Mapping[str, list[Intent]], ids: Mapping[Address, str]
) -> list[Finding]:
    """Whether these credentials may create one of each kind, as far as AWS can be asked: what it refers to must exist.

    Only AWS itself is asked: others take no notice of `DryRun` in some calls, and would do it.
    """
    if aws.endpoint:
        return []
    asked: list[tuple[AnyKind, Intent]] = []
    for name, kind in load_kinds().items():
        ready = (item for item in intents.get(name, ()) if item.fields is None and not any(references(item.wanted)))
        first = next(ready, None) if kind.properties.service == "ec2" else None
        if first is not None:
            asked.append((kind, first))
    found = await asyncio.gather(*(_dry_run(aws, stack, kind, item, dict(ids)) for kind, item in asked))
    return [item for item in found if item is not None]


async def _dry_run(aws: Aws, stack: str, kind: AnyKind, item: Intent, ids: dict[Address, str]) -> Finding | None:
    run = Run(aws.dry_run(), stack, ids=ids, details=Launch(generation=DRY_RUN))  # a client token of its own
    try:
        await kind.create(run, item.wanted, item.desired)
    except AwsError as error:
        if error.code in _DENIED:
            return Finding(item.desired, "", f"these credentials may not create it: {error}")
    except ReconcileError:
        pass  # it can't be found out beforehand
    return None
