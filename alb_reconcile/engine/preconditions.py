"""What AWS would refuse half-way through a run, asked about before anything is changed: what can't be made, and what is
protected from being deleted until the user lets that be lifted."""

import asyncio
from collections.abc import Awaitable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from alb_reconcile.aws.client import DRY_RUN, Aws
from alb_reconcile.engine.free_addresses import check_free_addresses
from alb_reconcile.engine.plan.decide import Decision, Decisions, location_of
from alb_reconcile.kinds import load_kinds
from alb_reconcile.kinds.base import AnyKind, HasPreconditions, Intent, Protected
from alb_reconcile.kinds.context import Run
from alb_reconcile.model.abilities import settle
from alb_reconcile.model.address import Address
from alb_reconcile.model.discovery import Discovery, Finding
from alb_reconcile.model.errors import AwsError, ReconcileError, RefusedError
from alb_reconcile.model.plan import Plan, Step
from alb_reconcile.model.resource import Lookups, Properties, bind, references
from alb_reconcile.model.steps import Launch

_DENIED: Final = ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException")


async def check_preconditions(
    aws: Aws, decisions: Decisions, discovery: Discovery, *, dry_run: bool = False
) -> Discovery:
    """The discovery, with what stands against the resources that are to be made or changed.

    Nothing is asked where nothing is. `dry_run`: whether these credentials may create it is asked, too. What these credentials can't read isn't found; AWS says it later.
    """
    desired = {address: item.desired for address, item in decisions.desired.items()}
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
        checks.append(_dry_runs(aws, decisions.stack, intents, decisions.ids))
    found = await asyncio.gather(*checks)
    findings = [item for part in found for item in part]
    return replace(discovery, findings=(*findings, *check_free_addresses(decisions, discovery)))


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


async def find_protected(aws: Aws, steps: Iterable[Step]) -> dict[str, str]:
    """By step key, which of those steps need a protection lifted: deletions, replacements, and updates that switch it off.

    Asks AWS only about what goes, and where it wasn't read anyway.
    """
    steps = tuple(steps)
    kinds = {step.key: kind for step in steps if (kind := _protecting(step)) is not None}
    going = [step for step in steps if step.action == "delete" and step.key in kinds]
    answers = await asyncio.gather(*(_is_protected(aws, step, kinds[step.key]) for step in going))
    reasons: dict[str, str] = {}
    for step, protected in zip(going, answers, strict=True):
        if protected:
            text = f"{step.address} ({step.id}) has {kinds[step.key].protection}"
            reasons |= dict.fromkeys(filter(None, (step.key, step.part_of)), text)
    for step in steps:
        kind = kinds.get(step.key)
        if step.action == "update" and kind and any(kind.unprotects(item.path, item.before) for item in step.changes):
            reasons[step.key] = f"{step.address} ({step.id}) would lose its {kind.protection}"
    return reasons


def _protecting(step: Step) -> Protected | None:
    kind = load_kinds().get(step.address.kind)
    return kind if isinstance(kind, Protected) else None


def lift_protection(plan: Plan, protected: Mapping[str, str], allow: Mapping[str, int]) -> Plan:
    """The plan, with steps that lift a protection as far as `allow` has enough of `lift-protection`.

    `protected` is what `find_protected` says of its steps. Raises RefusedError where it hasn't.
    """
    texts = dict.fromkeys(protected.values())
    if len(texts) > allow.get("lift-protection", 0):
        how = f"; allow it once with --allow lift-protection={len(texts)}"
        raise RefusedError("\n".join(f"{text}{how}" for text in texts))
    if not protected:
        return plan
    return replace(plan, steps=tuple(_lifting(step) if step.key in protected else step for step in plan.steps))


def _lifting(step: Step) -> Step:
    kind = _protecting(step)
    if step.action != "delete" or kind is None:
        return step
    return replace(step, lifts_protection=True, effects=(*step.effects, f"lifts its {kind.protection}"))


async def _is_protected(aws: Aws, step: Step, kind: Protected) -> bool:
    found = step.observed
    return found is not None and not found.is_leaving and await kind.is_protected(aws, found)
