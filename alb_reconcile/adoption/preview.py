"""Previews the next plan as if some tags were different."""

from collections.abc import Mapping
from dataclasses import dataclass

from alb_reconcile.adoption.hypothetical import HypotheticalReader
from alb_reconcile.adoption.tagging import Tagging
from alb_reconcile.engine.applied_tags import find_unrecorded
from alb_reconcile.engine.discover import discover_by
from alb_reconcile.engine.lookalikes import told_alike
from alb_reconcile.engine.plan.planner import make_plan
from alb_reconcile.engine.plan.situation import situate
from alb_reconcile.model.address import Address
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.errors import PlanError, RefusedError
from alb_reconcile.model.plan import Plan


@dataclass(frozen=True)
class Preview:
    """The plan that comes after a change of tags, or why there would be none."""

    account: str
    plan: Plan | None = None
    refusal: str = ""
    elsewhere: tuple[str, ...] = ()
    """Warnings of resources that look like entries which the plan would make, and that are in another VPC than the stack."""
    applied: tuple[Tagging, ...] = ()
    """The tags that say that the spec is applied, as `apply` would write them, if that plan has nothing to do. These tags are true once all
    others are written: what differs from then on is drift."""

    @property
    def entries(self) -> frozenset[Address]:
        """The entries of which that plan would write the digest again: they aren't as the spec says."""
        found = set()
        for step in self.plan.steps if self.plan else ():
            desired = step.desired
            if desired is not None and step.action in ("create", "update", "replace"):
                found.add(desired.carrier or desired.address)
        return frozenset(found)


async def preview_plan(
    reader: HypotheticalReader, target: DesiredStack, imagined: Mapping[str, Mapping[str, str]]
) -> Preview:
    """Plan as if the resources with these ids carried these tags. Nothing is written.

    Raises RefusedError if the spec names what doesn't exist.
    """
    reader.claims, reader.imagined = False, imagined
    discovery = await discover_by(reader, target.account_ids)
    if discovery.findings:
        raise RefusedError("\n".join(dict.fromkeys(map(str, discovery.findings))))
    own = {item.address for item in discovery.resources}
    made = {address: item for address, item in target.desired.items() if address not in own}
    elsewhere = tuple(line for line in told_alike(made, discovery) if line.endswith("VPC?"))
    try:
        plan = make_plan(situate(target, discovery))
    except (PlanError, RefusedError) as error:
        return Preview(discovery.account, refusal=str(error), elsewhere=elsewhere)
    left = {} if plan.steps else find_unrecorded(target.stack, target.desired, discovery)
    applied = tuple(Tagging(item.address, item.id, left[item.id]) for item in discovery.resources if item.id in left)
    return Preview(discovery.account, plan, elsewhere=elsewhere, applied=applied)
