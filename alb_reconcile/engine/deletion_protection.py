"""Deletion and termination protection: what of a plan AWS would refuse until it is lifted, which needs the user's word."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from alb_reconcile.kinds import _elb as elb
from alb_reconcile.model.errors import AwsError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from alb_reconcile.aws.client import Aws
    from alb_reconcile.model.plan import Plan, Step

ATTRIBUTE: Final = "deletion_protection.enabled"
_NAMES: Final = {"load_balancer": "deletion protection", "instance": "termination protection"}


async def find_locked(aws: Aws, steps: Iterable[Step]) -> dict[str, str]:
    """By step key, which of those steps need a protection lifted: deletions, replacements, and updates that switch it off.

    Asks only about load balancers and instances that go (DescribeLoadBalancerAttributes, where they weren't read anyway,
    and DescribeInstanceAttribute).
    """
    steps = tuple(steps)
    going = [step for step in steps if step.action == "delete" and step.address.kind in _NAMES]
    answers = await asyncio.gather(*(_is_locked(aws, step) for step in going))
    reasons: dict[str, str] = {}
    for step, locked in zip(going, answers, strict=True):
        if locked:
            text = f"{step.address} ({step.id}) has {_NAMES[step.address.kind]}"
            reasons |= dict.fromkeys(filter(None, (step.key, step.part_of)), text)
    for step in steps:
        if step.action == "update" and any(
            change.path == f"attributes.{ATTRIBUTE}" and change.before == "true" for change in step.changes
        ):
            reasons[step.key] = f"{step.address} ({step.id}) would lose its deletion protection"
    return reasons


async def settle_locks(aws: Aws, plan: Plan, allow: Mapping[str, int]) -> Plan:
    """The plan, with steps that lift a protection as far as `allow` has enough of `lift-protection`.

    Raises RefusedError where it hasn't.
    """
    locked = await find_locked(aws, plan.steps)
    texts = dict.fromkeys(locked.values())
    if len(texts) > allow.get("lift-protection", 0):
        raise RefusedError(
            "\n".join(f"{text}; allow it once with --allow lift-protection={len(texts)}" for text in texts)
        )
    if not locked:
        return plan
    return replace(plan, steps=tuple(_lifting(step) if step.key in locked else step for step in plan.steps))


def _lifting(step: Step) -> Step:
    if step.action != "delete":
        return step
    effect = f"lifts its {_NAMES[step.address.kind]}"
    return replace(step, notes={**step.notes, "lift": True}, effects=(*step.effects, effect))


async def _is_locked(aws: Aws, step: Step) -> bool:
    found = step.observed
    if found is None or found.is_leaving:
        return False
    if step.address.kind == "instance":
        return await _has_termination_protection(aws, found.id)
    attributes: Mapping[str, str] | None = getattr(found.state, "attributes", None)
    if attributes is None:
        attributes = await elb.read_attributes(aws, "load_balancer", found.id)
    return (attributes or {}).get(ATTRIBUTE) == "true"


async def _has_termination_protection(aws: Aws, instance: str) -> bool:
    try:
        answer = await aws.call(
            "ec2", "describe_instance_attribute", InstanceId=instance, Attribute="disableApiTermination"
        )
    except AwsError as error:
        if error.code.startswith("InvalidInstanceID"):
            return False  # gone meanwhile
        raise
    return bool(answer.get("DisableApiTermination", {}).get("Value", False))
