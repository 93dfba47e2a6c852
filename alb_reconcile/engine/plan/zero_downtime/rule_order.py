"""Moves the rules of a listener to their new priorities in one call."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from itertools import chain

from alb_reconcile.engine.plan.graph import Graph
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.advice import advised
from alb_reconcile.model.decisions import Decision
from alb_reconcile.model.errors import RefusedError
from alb_reconcile.model.plan import Step
from alb_reconcile.model.resource import Change, Observed
from alb_reconcile.model.service import Frontend, RoutingRule
from alb_reconcile.model.steps import SetPriorities

_LAST_PRIORITY = 50_000


def order_rules(graph: Graph) -> None:
    """Let one SetRulePriorities call for each listener move the rules that stay, and rules that will be deleted and are in the way. Rules
    are made and deleted after that call.

    Raises RefusedError if a rule of others has a wanted priority.
    """
    rules: dict[str, list[Observed]] = defaultdict(list)
    for found in graph.decisions.live:
        if isinstance(found.state, RoutingRule):
            rules[str(found.state.listener)].append(found)
    wanted: dict[Ref, list[Decision]] = defaultdict(list)
    for decision in graph.decisions.desired.values():
        if isinstance(decision.desired.state, RoutingRule):
            wanted[decision.desired.state.listener].append(decision)
    for address, decision in graph.decisions.desired.items():
        listener = graph.decisions.ids.get(address)
        if isinstance(decision.state, Frontend) and listener:
            _order_rules_of(graph, address, listener, wanted[address], rules[listener])


def _order_rules_of(
    graph: Graph, address: Address, listener: str, wanted: list[Decision], found: list[Observed]
) -> None:
    moved = _moves(graph, wanted, found)
    _strip_priorities(graph, moved)
    order = f"update:rule_priorities.{address.name}@{listener}" if moved else None
    if order:
        graph.add(
            Step(
                "update", Address("rule_priorities", address.name), listener, order,
                changes=tuple(Change(f"{rule}.priority", before, after) for rule, before, after in sorted(moved.values())),
                details=SetPriorities(
                    tuple((arn, after) for arn, (_, _, after) in sorted(moved.items())), found[0].address.kind
                ),
            )
        )  # fmt: skip
    made = [
        key
        for item in wanted
        if (key := graph.makers.get(item.desired.address)) and graph.steps[key].action != "update"
    ]
    for key in (*made, *(graph.removers.get(item.id) for item in found)):
        graph.after(key, order)


def _moves(graph: Graph, decisions: list[Decision], found: list[Observed]) -> dict[str, tuple[Address, int, int]]:
    """The rules that change their priority: by ARN, with their address and their priority before and after.

    Raises RefusedError if a rule of others that isn't deleted is in the way.
    """
    moved: dict[str, tuple[Address, int, int]] = {}
    wanted: dict[int, Decision] = {}
    stay: set[str] = set()
    used = {_priority(other) for other in found}
    for item in decisions:
        priority = item.state.priority if isinstance(item.state, RoutingRule) else 0
        used.add(priority)
        if item.found and not item.forces:
            stay.add(item.found.id)
            if _priority(item.found) == priority:
                continue
            moved[item.found.id] = (item.desired.address, _priority(item.found), priority)
        wanted[priority] = item
    for other in found:
        if other.id in stay or _priority(other) not in wanted:
            continue
        if other.id not in graph.deleted:
            raise RefusedError(_tell_in_the_way(wanted[_priority(other)], other))
        moved[other.id] = (other.address, _priority(other), _park(_priority(other), used))
    return moved


def _tell_in_the_way(item: Decision, other: Observed) -> str:
    """The message about the rule that has the priority of a new one. If that rule has the same conditions and no stack owns it, it is
    probably the wanted rule."""
    told = f"{item.desired.address}: priority {_priority(other)} is in use by {other.address}"
    wanted, there = (
        state.conditions if isinstance(state, RoutingRule) else None for state in (item.state, other.state)
    )
    if other.owner is None and wanted == there:
        return f"{told}, which has the same conditions, and no stack owns it: {advised('adopt', item.desired.file)} takes it over"
    return f"{told}, which is outside this stack; choose another"


def _park(priority: int, used: set[int]) -> int:
    """A free priority for a rule that will be deleted, and gets requests until then: the next one after its own, else the last before
    it."""
    behind = range(priority + 1, _LAST_PRIORITY + 1)
    number = next(number for number in chain(behind, range(priority, 0, -1)) if number not in used)
    used.add(number)
    return number


def _priority(rule: Observed) -> int:
    return rule.state.priority if isinstance(rule.state, RoutingRule) else 0


def _strip_priorities(graph: Graph, moved: Iterable[str]) -> None:
    """Remove priorities from the rules' own steps, since the listener's step changes them; a step without other changes is dropped."""
    for arn in moved:
        for key, step in list(graph.steps.items()):
            if step.action == "update" and step.id == arn:
                changes = tuple(change for change in step.changes if change.path != "priority")
                if changes:
                    graph.steps[key] = replace(step, changes=changes)
                else:
                    graph.drop(key)
