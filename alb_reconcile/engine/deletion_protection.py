"""Deletion and termination protection: what of a plan AWS would refuse until it is lifted, which needs the user's word."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace

from alb_reconcile.aws.client import Aws
from alb_reconcile.kinds import load_kinds
from alb_reconcile.kinds.base import Protected
from alb_reconcile.model.errors import RefusedError
from alb_reconcile.model.plan import Plan, Step


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
