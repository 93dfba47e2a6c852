"""Changes behind a load balancer: who may leave when, so that no request meets a gap."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from alb_reconcile.actions import Action, Forward
from alb_reconcile.errors import RefusedError
from alb_reconcile.kind import Observed, bind, diff
from alb_reconcile.kinds.listener import Listener
from alb_reconcile.kinds.registration import Registration
from alb_reconcile.kinds.rule import Rule
from alb_reconcile.kinds.security_group_rules import SecurityGroupRules
from alb_reconcile.plan.draft import MAKING, Draft
from alb_reconcile.plan.model import Step
from alb_reconcile.values import Address, Change, Ref

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from alb_reconcile.kind import Kind
    from alb_reconcile.plan.decide import Decision

_MOST_GROUPS = 5
_LAST_PRIORITY = 50_000


def add_traffic(draft: Draft) -> None:
    """Rule order, new groups beside old ones at weight 0, and who waits for whose health."""
    _order_rules(draft)
    _attach_new_groups(draft)
    _wait_for_capacity(draft)
    _revoke_late(draft)
    _keep_old_entrance(draft)


def action_of(state: Kind | None) -> Action:
    """What a listener or rule does."""
    if isinstance(state, Listener):
        return state.default_action
    return state.action if isinstance(state, Rule) else Action()


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
                notes={"priorities": tuple((arn, after) for arn, (_, _, after) in sorted(moved.items()))},
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
    free = iter(number for number in range(_LAST_PRIORITY, 0, -1) if number not in used)
    for other in found:
        if other.id in stay or _priority(other) not in wanted:
            continue
        if other.id not in draft.deleted:
            raise RefusedError(
                f"{wanted[_priority(other)]}: priority {_priority(other)} is held by {other.address}, which isn't this stack's; choose another"
            )
        moved[other.id] = (other.address, _priority(other), next(free))
    return moved


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


def _attach_new_groups(draft: Draft) -> None:
    """A group that is made now is put beside the old one at weight 0, so that its targets are checked before they serve."""
    joining: dict[Address, list[str]] = defaultdict(list)
    for step in draft.of_kind("registration", "create", "replace"):
        if (
            step.desired
            and isinstance(step.desired.state, Registration)
            and isinstance(step.desired.state.target_group, Address)
        ):
            joining[step.desired.state.target_group].append(step.key)
    attached: set[Address] = set()
    serving = serving_groups(draft)
    for step in [*draft.of_kind("listener", "update"), *draft.of_kind("rule", "update")]:
        before = action_of(step.observed.state if step.observed else None).forward
        after = action_of(step.desired.state if step.desired else None).forward
        new = [
            item.target_group
            for item in after
            if _joins(draft, item.target_group, serving, joining) and item.target_group not in attached
        ]
        if not before or not new or step.observed is None or step.desired is None or step.state is None:
            continue
        if len(before) + len(new) > _MOST_GROUPS:
            raise RefusedError(
                f"{step.address} forwards to {len(before)} groups, and AWS takes five, so {len(new)} more can't be put beside them to be checked "
                "before they serve; remove groups of weight 0 first, or move over in two steps"
            )
        key = f"attach:{step.address}@{step.id}"
        beside = (*before, *(Forward(group, 0) for group in new))
        path = "default_action.forward" if isinstance(step.state, Listener) else "action.forward"
        draft.add(
            Step(
                key=key, action="update", address=step.address, id=step.id, reason="the new group beside the old one at weight 0, to be checked",
                changes=(Change(path, before, beside),), desired=replace(step.desired, state=_with_forward(step.observed.state, beside)),
                state=_with_forward(step.observed.state, beside), observed=step.observed, notes={"attach": True},
            )
        )  # fmt: skip
        for group in new:
            attached.add(Address(*group))
            draft.after(key, draft.makers.get(Address(*group)))
            for registration in joining[Address(*group)]:
                draft.after(registration, key)
                draft.note(registration, checked=True)
        draft.after(step.key, key)


def _joins(draft: Draft, group: Ref, serving: set[str], joining: Mapping[Address, list[str]]) -> bool:
    """Whether a group of ours has targets, or gets them, that nobody checks because nothing forwards to it yet."""
    if not isinstance(group, Address) or group not in draft.decisions.wishes:
        return False
    known = draft.decisions.ids.get(group)
    if known is None or group in joining:
        return known not in serving
    registered = any(
        isinstance(item.state, Registration) and item.state.target_group == known
        for item in draft.decisions.live
    )
    return registered and known not in serving


def taken_up(draft: Draft, step: Step) -> list[Ref]:
    """The groups to which a step of a listener or rule gives a larger share of the requests, by address if ours."""
    before = action_of(step.observed.state).forward if step.observed and step.action == "update" else ()
    had, shares = _shares(before), _shares(action_of(step.state).forward)
    return [
        draft.addresses.get(str(group), group)
        for group, share in shares.items()
        if share > had.get(bind(group, draft.decisions.ids), 0)
    ]


def _shares(forward: tuple[Forward, ...]) -> dict[Ref, Fraction]:
    if len(forward) == 1:
        return {forward[0].target_group: Fraction(1)}
    total = sum(item.weight for item in forward)
    return {item.target_group: Fraction(item.weight, total) for item in forward if item.weight}


def _with_forward(state: Kind, forward: tuple[Forward, ...]) -> Kind:
    action = replace(action_of(state), forward=forward)
    if isinstance(state, Listener):
        return replace(state, default_action=action)
    assert isinstance(state, Rule)  # noqa: S101 (for mypy: only listeners and rules have actions)
    return replace(state, action=action)


def _wait_for_capacity(draft: Draft) -> None:
    """Listeners and rules take up a group after its registrations; registrations go after those who leave their group."""
    joining: dict[Ref, list[str]] = defaultdict(list)
    serving = serving_groups(draft)
    for other in draft.of_kind("registration", "create", "replace"):
        if other.desired and isinstance(other.desired.state, Registration):
            joining[other.desired.state.target_group].append(other.key)
            if bind(other.desired.state.target_group, draft.decisions.ids) in serving:
                draft.note(other.key, checked=True)
    for step in [*draft.of_kind("listener", *MAKING), *draft.of_kind("rule", *MAKING)]:
        if step.notes.get("attach") or step.desired is None or _is_behind_new_entrance(draft, step):
            continue
        for group in taken_up(draft, step):
            for key in joining[group]:
                draft.after(step.key, key)
    _leave_before_draining(draft)


def _leave_before_draining(draft: Draft) -> None:
    """The targets of a group that goes are deregistered when no listener or rule gives it requests any more."""
    leaving: dict[str, list[str]] = defaultdict(list)
    for step in [*draft.of_kind("listener", "update"), *draft.of_kind("rule", "update")]:
        if step.observed and not step.notes.get("attach"):
            for item in action_of(step.observed.state).forward:
                leaving[str(item.target_group)].append(step.key)
    for gone in draft.of_kind("registration", "delete"):
        state = gone.observed.state if gone.observed else None
        if isinstance(state, Registration) and state.target_group in draft.deleted:
            for key in leaving[str(state.target_group)]:
                draft.after(gone.key, key)


def _revoke_late(draft: Draft) -> None:
    """What a security group no longer allows is cut off only after the traffic that needs it has moved."""
    moves = [
        *draft.of_kind("registration", "delete"),
        *draft.of_kind("listener", "update", "delete"),
        *draft.of_kind("load_balancer", "update", "delete"),
        *draft.of_kind("instance", "update", "delete"),
    ]
    for step in draft.of_kind("security_group_rules", "update") if moves else ():
        wish, found = step.state, step.observed
        if (
            not isinstance(wish, SecurityGroupRules)
            or found is None
            or not isinstance(found.state, SecurityGroupRules)
        ):
            continue
        both = wish.with_others(found.state)
        added, removed = diff(both, found.state), diff(wish, both)
        if not added or not removed:
            late = step.key if removed else None
        else:
            late = step.key.replace("update:", "revoke:", 1)
            draft.add(
                replace(
                    step,
                    key=late,
                    changes=removed,
                    reason="after the traffic has moved",
                    notes={"late": True},
                )
            )
            draft.add(replace(step, changes=added, state=both, refresh=None))
            draft.after(late, step.key)
        for move in moves:
            draft.after(late, move.key, soft=True)


def _keep_old_entrance(draft: Draft) -> None:
    """A load balancer that is replaced goes when the new one answers."""
    for gone in draft.of_kind("load_balancer", "delete"):
        for step in draft.of_kind("listener", "create", "replace"):
            if (
                step.desired
                and isinstance(step.desired.state, Listener)
                and step.desired.state.load_balancer == gone.address
            ):
                draft.after(gone.key, step.key, soft=True)
                draft.note(gone.key, successor=gone.address)


def _is_behind_new_entrance(draft: Draft, step: Step) -> bool:
    """Whether nobody asks yet, since the load balancer is made in this very plan and replaces none."""
    state = step.desired.state if step.desired else None
    if isinstance(state, Rule) and isinstance(state.listener, Address):
        state = draft.decisions.wishes[state.listener].wish.state
    if not isinstance(state, Listener) or not isinstance(state.load_balancer, Address):
        return False
    return draft.makers.get(state.load_balancer, "").startswith("create:")


def serving_groups(draft: Draft) -> set[str]:
    """The groups that a listener or rule forwards to, so that their targets are checked."""
    return {
        str(item.target_group)
        for found in draft.decisions.live
        if found.id not in draft.deleted
        for item in action_of(found.state).forward
    }
