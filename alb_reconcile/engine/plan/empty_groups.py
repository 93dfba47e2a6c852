"""Finds target groups that get requests and would have no target after a plan, or that a plan deletes while something forwards to them."""

from collections.abc import Iterator

from alb_reconcile.engine.plan.cascade_deletes import lineage
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.address import Ref
from alb_reconcile.model.advice import advised
from alb_reconcile.model.decisions import DUPLICATE
from alb_reconcile.model.plan import Plan, Step
from alb_reconcile.model.resource import Observed, each_of
from alb_reconcile.model.service import Member, Pool


def find_empty(plan: Plan) -> list[str]:
    """The groups that would get requests and have no target, in words: groups that a plan makes, or to which a listener or rule forwards
    that it makes."""
    makes = [step for step in plan.steps if step.action == "create" and step.address in plan.desired]
    asked = {part.target_group for item in plan.desired.values() for part in action_of(item.state).receiving}
    new = {part.target_group for step in makes for part in action_of(plan.desired[step.address].state).receiving}
    filled = {state.target_group for _, state in each_of(plan.desired.values(), Member)}
    empty = (new | asked.intersection(step.address for step in makes)) - filled
    own = ((address, item.lifecycle) for address, item in plan.desired.items() if address in empty)
    return [_tell_emptied(address) for address, how in own if how.members and not how.keep_others]


def _tell_emptied(name: Ref) -> str:
    return f"{name} would get requests and have no target, so that they are answered with 503"


def find_forsaken(plan: Plan) -> Iterator[tuple[set[str], str]]:
    """The groups that would be deleted while a rule or listener that the plan doesn't change forwards to them: the keys of the steps, and
    why they must not be done."""
    gone = {step.id for step in plan.steps if step.action in ("delete", "replace")}
    going = {step.id: step for step in plan.steps if step.action == "delete" and step.plays(Pool)}
    known = {item.id: item for item in plan.live} if going else {}
    for item in known.values():
        if plan.ids.get(item.address) == item.id or not gone.isdisjoint(lineage(item, known)):
            continue
        for step in (going[part.target_group] for part in action_of(item.state).forward if part.target_group in going):
            inside = {other.key for other in plan.steps if other.observed and other.observed.parent_id == step.id}
            yield {step.key, step.part_of or step.key} | inside, _tell_forsaken(plan, step, item)


def _tell_forsaken(plan: Plan, step: Step, item: Observed) -> str:
    whose, advice = f"which the stack {item.owner} has", ""
    if item.owner is None:
        file = next((wish.file for wish in plan.desired.values()), "")
        whose, advice = "which isn't in the spec", f"declare it and run {advised('adopt', file)}, or "
    if step.reason == DUPLICATE:
        kept = f"{plan.ids.get(step.address, 'the other one')} first, by hand"
        return f"{step.address} exists twice, and {item.address}, {whose}, forwards to {step.id}, which would go: {advice}let it forward to {kept}"
    word = "replaced" if step.part_of else "deleted"
    return (
        f"{step.address} ({step.id}) would be {word}, and {item.address}, {whose}, forwards to it: {advice}let it forward to another "
        "target group first, by hand"
    )
