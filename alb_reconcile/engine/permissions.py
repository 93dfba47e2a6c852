"""Asks EC2 by dry runs which calls of a plan these credentials may not make, before anything is changed."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from alb_reconcile.aws.client import Aws
from alb_reconcile.engine.apply import carry_out
from alb_reconcile.kinds import load_kinds
from alb_reconcile.kinds.context import Run
from alb_reconcile.model.address import Address
from alb_reconcile.model.errors import ReconcileError, RefusedError
from alb_reconcile.model.plan import Plan, Step
from alb_reconcile.model.resource import bind, field_names, references


async def check_permissions(aws: Aws, plan: Plan) -> None:
    """Refuse a plan with calls that these credentials may not make, as far as EC2's dry runs tell: one for each action that the plan calls
    on existing resources. Raises RefusedError with all such calls.

    Only AWS itself is asked: other endpoints, such as emulators, ignore `DryRun` in some calls, and would make the change.
    """
    if aws.endpoint:
        return
    asked: set[str] = set()
    run = Run(aws, plan.stack, ids=dict(plan.ids), marks=plan.applied)
    steps = [step for step in plan.steps if _can_be_tried(step, plan.ids)]
    found = await asyncio.gather(*(_try(step, aws.dry_run(asked), run) for step in steps))
    if any(found):
        raise RefusedError("\n".join(line for lines in found for line in lines))


def _can_be_tried(step: Step, ids: Mapping[Address, str]) -> bool:
    """Whether EC2 carries a step out, and all resources that the step names exist."""
    kind = load_kinds()[step.carried_by].properties
    service = kind.service or load_kinds()[str(kind.parent)].properties.service
    if service != "ec2" or step.action == "delete":
        return service == "ec2"
    late = kind.needed_late if step.action != "update" else ()
    named = (getattr(step.state, name) for name in field_names(kind) if name not in late)
    return not any(address for value in named for address in references(bind(value, ids)))


async def _try(step: Step, aws: Aws, run: Run) -> list[str]:
    """The calls of a step that these credentials may not make, in words."""
    with suppress(ReconcileError):  # other errors can't be known before the run
        await carry_out(replace(step, pause=(0, "")), replace(run, aws=aws), load_kinds()[step.carried_by])
    place = step.desired.at() if step.desired else step.address
    denied = aws.dry.denied if aws.dry else ()
    return [f"{place}: these credentials may not {step.action} it: {error}" for error in denied]
