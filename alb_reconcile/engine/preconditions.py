"""What AWS would refuse half-way through a run, asked about before anything is changed: what can't be made, and what is
protected from being deleted until the user lets that be lifted."""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace

from alb_reconcile.aws.client import Aws
from alb_reconcile.engine.apply import carry_out
from alb_reconcile.engine.free_addresses import check_free_addresses
from alb_reconcile.engine.plan.decide import Decision, Decisions, location_of
from alb_reconcile.engine.quotas import check_quotas
from alb_reconcile.kinds import load_kinds
from alb_reconcile.kinds.base import HasPreconditions, Intent, Protected
from alb_reconcile.kinds.context import Run
from alb_reconcile.model.abilities import settle
from alb_reconcile.model.address import Address
from alb_reconcile.model.discovery import Discovery
from alb_reconcile.model.errors import ReconcileError, RefusedError
from alb_reconcile.model.plan import Plan, Step
from alb_reconcile.model.resource import Lookups, Properties, bind, references


async def check_preconditions(aws: Aws, decisions: Decisions, discovery: Discovery) -> Discovery:
    """The discovery, with what stands against the resources that are to be made or changed.

    Nothing is asked where nothing is. What these credentials can't read isn't found; AWS says it later.
    """
    desired = {address: item.desired for address, item in decisions.desired.items()}
    facts = Lookups(images=discovery.images, desired=desired)
    intents: dict[str, list[Intent]] = {}
    for address, item in decisions.desired.items():
        if item.found is None or item.changes:
            intents.setdefault(address.kind, []).append(_intent(item, decisions, discovery, facts))
    checks = [
        kind.check_preconditions(aws, intents[name], desired)
        for name, kind in load_kinds().items()
        if name in intents and isinstance(kind, HasPreconditions)
    ]
    found = await asyncio.gather(check_quotas(aws, decisions, discovery, intents), *checks)
    findings = (item for part in found for item in part)
    return replace(discovery, findings=(*findings, *check_free_addresses(decisions, discovery)))


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


async def check_permissions(aws: Aws, plan: Plan) -> None:
    """Refuse what these credentials may not do, as far as EC2 can be asked by dry runs: one for each action that the plan calls
    on what exists. Raises RefusedError with everything found.

    Only AWS itself is asked: others take no notice of `DryRun` in some calls, and would do it.
    """
    if aws.endpoint:
        return
    asked: set[str] = set()
    run = Run(aws, plan.stack, ids=dict(plan.ids), applied=plan.applied)
    steps = [step for step in plan.steps if _can_be_tried(step, plan.ids)]
    found = await asyncio.gather(*(_try(step, aws.dry_run(asked), run) for step in steps))
    if any(found):
        raise RefusedError("\n".join(line for lines in found for line in lines))


def _can_be_tried(step: Step, ids: Mapping[Address, str]) -> bool:
    """Whether EC2 carries it out, and all that it names exists."""
    kind = load_kinds()[step.carried_by].properties
    service = kind.service or load_kinds()[str(kind.parent)].properties.service
    return service == "ec2" and (step.action == "delete" or not any(references(bind(step.state, ids))))


async def _try(step: Step, aws: Aws, run: Run) -> list[str]:
    """What of a step these credentials may not do, in words."""
    with suppress(ReconcileError):  # what else is wrong can't be found out beforehand
        await carry_out(replace(step, pause=(0, "")), replace(run, aws=aws), load_kinds()[step.carried_by])
    place = step.desired.at() if step.desired else step.address
    denied = aws.dry.denied if aws.dry else ()
    return [f"{place}: these credentials may not {step.action} it: {error}" for error in denied]


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
