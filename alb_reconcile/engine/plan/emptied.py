"""Target groups that get requests, and that a plan would leave without a target, or take from under who forwards to them."""

from collections.abc import Iterable, Iterator, Mapping

from alb_reconcile.engine.plan.decide import DUPLICATE
from alb_reconcile.engine.plan.implied import lineage
from alb_reconcile.kinds._health import is_unasked
from alb_reconcile.kinds.registration import Registration
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.plan import Plan, Step
from alb_reconcile.model.resource import Desired, Observed, each_of


def find_emptied(plan: Plan, steps: Iterable[Step]) -> dict[str, str]:
    """By step key, which group would get requests and have no target, or no healthy one, where one answers them now.

    Who goes without a successor leaves a group empty, or a listener or rule turns to a group for which the spec has no target.
    """
    steps = tuple(steps)
    registered = [(item, str(state.target_group)) for item, state in each_of(plan.live, Registration)]
    healthy = {group for item, group in registered if item.status == "healthy"}
    asking = [item for item in plan.live if healthy.intersection(_asked(item))] if healthy else []
    leaving = {step.id: step.key for step in steps if step.action == "delete"}
    staying = [(item, group) for item, group in registered if item.id not in leaving and not item.is_leaving]
    # nobody mends what is ill before the others go, unless the spec has it
    filled: set[Ref] = {
        group for item, group in staying if item.status in ("healthy", "initial") or item.address in plan.desired
    }
    filled |= {step.state.target_group for step in steps if isinstance(step.state, Registration)}
    turning = {step.id: step for step in steps if step.state and step.action != "delete" and step.phase != "attach"}
    reasons: dict[str, str] = {}
    for item in (item for item in asking if item.id not in leaving or item.id in turning):
        step, before = turning.get(item.id), set(_asked(item))
        after = {part.target_group for part in action_of(step.state if step else item.state).receiving}
        for group in after - filled - leaving.keys():
            name = plan.names.get(str(group), group)
            keys = [leaving[known.id] for known, its in registered if its == group and known.id in leaving]
            if group in before:
                keys = keys if group in healthy else []
            else:
                is_checked = not any(_is_unchecked(known, steps) for known, its in staying if its == group)
                is_told = keys or _is_filled_by_spec(plan.desired, name)
                keys = [step.key] if step and is_checked and is_told else []
            ill = any(its == group for _, its in staying)
            reasons |= dict.fromkeys(
                keys, f"{name} would get requests and have no healthy target" if ill else _tell_emptied(name)
            )
    return reasons


def find_empty(plan: Plan) -> list[str]:
    """What is made, or what something that is made forwards to, and would get requests and have no target, in words."""
    makes = [step for step in plan.steps if step.action == "create" and step.address in plan.desired]
    asked = {part.target_group for item in plan.desired.values() for part in action_of(item.state).receiving}
    new = {part.target_group for step in makes for part in action_of(plan.desired[step.address].state).receiving}
    filled = {state.target_group for _, state in each_of(plan.desired.values(), Registration)}
    empty = (new | asked.intersection(step.address for step in makes)) - filled
    own = ((address, item.lifecycle) for address, item in plan.desired.items() if address in empty)
    return [_tell_emptied(address) for address, how in own if how.members and not how.keep_others]


def _tell_emptied(name: Ref) -> str:
    return f"{name} would get requests and have no target, so that they are answered with 503"


def _is_unchecked(target: Observed, steps: Iterable[Step]) -> bool:
    """Whether AWS says nothing of its health, since nobody asks its group, or since it is in a zone that the load balancer may get now."""
    if is_unasked(target.reason, target.description):
        return True
    changes = any(step.address.kind == "load_balancer" and step.action != "delete" for step in steps)
    return changes and target.reason == "Target.NotInUse"


def _asked(item: Observed) -> list[str]:
    return [str(part.target_group) for part in action_of(item.state).receiving]


def _is_filled_by_spec(desired: Mapping[Address, Desired], name: Ref) -> bool:
    """Whether the spec says which targets a group has; else others fill it."""
    wanted = desired.get(name) if isinstance(name, Address) else None
    return wanted is not None and wanted.lifecycle.members


def find_forsaken(plan: Plan) -> Iterator[tuple[set[str], str]]:
    """The groups that go while a rule or listener which nothing changes forwards to them: the steps, and why not."""
    gone = {step.id for step in plan.steps if step.action in ("delete", "replace")}
    going = {step.id: step for step in plan.steps if step.action == "delete" and step.address.kind == "target_group"}
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
        whose, advice = "which isn't in the spec", f"declare it and run alb-reconcile adopt {file}, or "
    if step.reason == DUPLICATE:
        kept = f"{plan.ids.get(step.address, 'the other one')} first, by hand"
        return f"{step.address} exists twice, and {item.address}, {whose}, forwards to {step.id}, which would go: {advice}let it forward to {kept}"
    word = "replaced" if step.part_of else "deleted"
    return (
        f"{step.address} ({step.id}) would be {word}, and {item.address}, {whose}, forwards to it: {advice}let it forward to another "
        "target group first, by hand"
    )
