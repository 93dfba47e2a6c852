"""Changes behind a load balancer: who may leave when, so that no request meets a gap."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

from alb_reconcile.engine.plan.graph import MAKING, Draft
from alb_reconcile.engine.plan.zero_downtime.attach import attach_new_groups
from alb_reconcile.engine.plan.zero_downtime.forwards import (
    action_of,
    entrance_of,
    serving_groups,
    shares_of,
    taken_up,
)
from alb_reconcile.kinds.listener import Listener
from alb_reconcile.kinds.registration import Registration
from alb_reconcile.kinds.rule import Rule
from alb_reconcile.kinds.target_group import ServedBy, TargetGroup
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.diff import Change, bind
from alb_reconcile.model.errors import RefusedError
from alb_reconcile.model.plan import Step
from alb_reconcile.model.steps import Deregister, Register, SetPriorities, Shift, TakeOver

if TYPE_CHECKING:
    from collections.abc import Iterable

    from alb_reconcile.engine.plan.decide import Decision
    from alb_reconcile.model.resource import Observed

_LAST_PRIORITY = 50_000


def add_traffic(draft: Draft) -> None:
    """Rule order, new groups beside old ones at weight 0, and who waits for whose health."""
    _order_rules(draft)
    attach_new_groups(draft)
    _wait_for_capacity(draft)
    _keep_old_entrance(draft)


def _order_rules(draft: Draft) -> None:
    """One SetRulePriorities call a listener moves the survivors and parks the doomed; then modify, create, delete."""
    rules: dict[str, list[Observed]] = defaultdict(list)
    for found in draft.decisions.live:
        if isinstance(found.state, Rule):
            rules[str(found.state.listener)].append(found)
    wishes: dict[Ref, list[Decision]] = defaultdict(list)
    for decision in draft.decisions.wishes.values():
        if isinstance(decision.wish.state, Rule):
            wishes[decision.wish.state.listener].append(decision)
    for address, decision in draft.decisions.wishes.items():
        listener = draft.decisions.ids.get(address)
        if isinstance(decision.state, Listener) and listener:
            _order_rules_of(draft, address, listener, wishes[address], rules[listener])


def _order_rules_of(
    draft: Draft, address: Address, listener: str, wishes: list[Decision], found: list[Observed]
) -> None:
    moved = _moves(draft, wishes, found)
    _strip_priorities(draft, moved)
    order = f"update:rule_priorities.{address.name}@{listener}" if moved else None
    if order:
        draft.add(
            Step(
                key=order, action="update", address=Address("rule_priorities", address.name), id=listener,
                changes=tuple(Change(f"{rule}.priority", before, after) for rule, before, after in sorted(moved.values())),
                details=SetPriorities(tuple((arn, after) for arn, (_, _, after) in sorted(moved.items()))),
            )
        )  # fmt: skip
    changed = [key for item in wishes if (key := draft.makers.get(item.wish.address)) is not None]
    made = [key for key in changed if draft.steps[key].action != "update"]
    for key in changed:
        draft.after(key, order)
        for new in made:
            if key not in made:
                draft.after(new, key, soft=True)
    for other in found:
        if other.id in draft.deleted:
            for key in (order, *changed):
                if key is not None:
                    draft.after(draft.removers.get(other.id), key, soft=True)


def _moves(
    draft: Draft, wishes: list[Decision], found: list[Observed]
) -> dict[str, tuple[Address, int, int]]:
    """Which rules change places: by ARN, with their address and their priority before and after.

    Raises RefusedError where a stranger, who stays, is in the way.
    """
    moved: dict[str, tuple[Address, int, int]] = {}
    wanted: dict[int, Address] = {}
    stay: set[str] = set()
    used = {_priority(other) for other in found}
    for item in wishes:
        priority = item.state.priority if isinstance(item.state, Rule) else 0
        used.add(priority)
        if item.found and not item.forces:
            stay.add(item.found.id)
            if _priority(item.found) == priority:
                continue
            moved[item.found.id] = (item.wish.address, _priority(item.found), priority)
        wanted[priority] = item.wish.address
    for other in found:
        if other.id in stay or _priority(other) not in wanted:
            continue
        if other.id not in draft.deleted:
            raise RefusedError(
                f"{wanted[_priority(other)]}: priority {_priority(other)} is held by {other.address}, which isn't this stack's; choose another"
            )
        moved[other.id] = (other.address, _priority(other), _park(_priority(other), used))
    return moved


def _park(priority: int, used: set[int]) -> int:
    """A free priority for a rule that goes and is still asked meanwhile: right behind its own place, if there is one."""
    behind = range(priority + 1, _LAST_PRIORITY + 1)
    number = next(number for number in chain(behind, range(priority, 0, -1)) if number not in used)
    used.add(number)
    return number


def _priority(rule: Observed) -> int:
    return rule.state.priority if isinstance(rule.state, Rule) else 0


def _strip_priorities(draft: Draft, moved: Iterable[str]) -> None:
    """Priorities are changed by the listener's own step; a rule with nothing else to change has none."""
    for arn in moved:
        for key, step in list(draft.steps.items()):
            if step.action == "update" and step.id == arn:
                changes = tuple(change for change in step.changes if change.path != "priority")
                if changes:
                    draft.steps[key] = replace(step, changes=changes)
                else:
                    draft.drop(key)


def _wait_for_capacity(draft: Draft) -> None:
    """Listeners and rules take up a group after its registrations; registrations go after those who leave their group."""
    joining: dict[Ref, list[str]] = defaultdict(list)
    serving = serving_groups(draft)
    for other in draft.of_kind("registration", "create", "replace"):
        if other.desired and isinstance(other.desired.state, Registration):
            joining[other.desired.state.target_group].append(other.key)
            if bind(other.desired.state.target_group, draft.decisions.ids) in serving:
                draft.specify(other.key, replace(other.detail(Register), is_checked=True))
    for step in [*draft.of_kind("listener", *MAKING), *draft.of_kind("rule", *MAKING)]:
        if step.phase == "attach" or step.desired is None or _is_behind_new_entrance(draft, step):
            continue
        for group in taken_up(draft, step):
            for key in joining[group]:
                draft.after(step.key, key)
    _leave_before_draining(draft)
    _let_go_after_taking_up(draft)


def _let_go_after_taking_up(draft: Draft) -> None:
    """A forward that only keeps a group checked (an interrupted run left it) lets it go when a new rule has taken it up."""
    takers: dict[Ref, list[str]] = defaultdict(list)
    for step in draft.of_kind("rule", "create"):
        for group in taken_up(draft, step):
            takers[bind(group, draft.decisions.ids)].append(step.key)
    for step in [*draft.of_kind("listener", "update"), *draft.of_kind("rule", "update")]:
        if step.observed and step.phase != "attach":
            for item in action_of(step.observed.state).forward:
                for key in takers[item.target_group] if not item.weight else ():
                    draft.after(step.key, key)


def _leave_before_draining(draft: Draft) -> None:
    """The targets of a group that goes are deregistered when no listener or rule gives it requests any more."""
    leaving: dict[str, list[str]] = defaultdict(list)
    for step in [*draft.of_kind("listener", "update", "delete"), *draft.of_kind("rule", "update", "delete")]:
        if step.observed and step.phase != "attach":
            for item in action_of(step.observed.state).forward:
                leaving[str(item.target_group)].append(step.key)
    for found in draft.decisions.live:
        if found.id in draft.implied:
            for item in action_of(found.state).forward:
                leaving[str(item.target_group)].append(draft.implied[found.id])
    for gone in draft.of_kind("registration", "delete"):
        state = gone.observed.state if gone.observed else None
        if isinstance(state, Registration) and state.target_group in draft.deleted:
            for key in leaving[str(state.target_group)]:
                draft.after(gone.key, key)
                draft.specify(gone.key, replace(gone.detail(Deregister), switched=True))


def _keep_old_entrance(draft: Draft) -> None:
    """A load balancer goes when those who take over from it answer: with its listeners, or with its target groups."""
    groups = {
        item.wish.address: item.found
        for item in draft.decisions.wishes.values()
        if item.found and item.forces and isinstance(item.state, TargetGroup)
    }
    takers = [*draft.of_kind("listener", *MAKING), *draft.of_kind("rule", *MAKING)]
    for gone in () if draft.destroy else draft.of_kind("load_balancer", "delete"):
        moved = {
            address for address, found in groups.items() if gone.id in found.detail(ServedBy).load_balancers
        }
        takeover: set[Ref] = set()
        successors: set[Address] = set()
        keys: set[str] = set()
        for step in takers:
            entrance = entrance_of(draft.decisions, step.desired)
            weighted = shares_of(action_of(step.desired.state if step.desired else None).forward)
            if entrance is None or (entrance != gone.address and moved.isdisjoint(weighted)):
                continue
            draft.after(gone.key, step.key, soft=True)
            successors.add(entrance)
            keys.add(step.key)
            takeover.update(moved.intersection(weighted))
        if successors:
            serving = tuple(groups[address].id for address in sorted(moved))
            draft.specify(
                gone.key,
                TakeOver(
                    successors=tuple(sorted(successors)),
                    groups=tuple(sorted(takeover, key=str)),
                    takers=frozenset(keys),
                    shift=Shift(serving=serving),
                ),
            )


def _is_behind_new_entrance(draft: Draft, step: Step) -> bool:
    """Whether nobody asks yet, since the load balancer is made in this very plan and replaces none."""
    entrance = entrance_of(draft.decisions, step.desired)
    return entrance is not None and draft.makers.get(entrance, "").startswith("create:")
