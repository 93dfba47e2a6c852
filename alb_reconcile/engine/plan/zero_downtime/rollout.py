"""Instance groups: how many members change at a time, and how many must stay healthy meanwhile."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from alb_reconcile.engine.plan.zero_downtime.capacity import guard_capacity, rollout_of
from alb_reconcile.engine.plan.zero_downtime.forwards import serving_groups
from alb_reconcile.kinds.registration import Registration
from alb_reconcile.model.plan import Step
from alb_reconcile.model.resource import Rollout
from alb_reconcile.model.steps import Deregister, Register, Terminate

if TYPE_CHECKING:
    from alb_reconcile.engine.plan.graph import Draft
    from alb_reconcile.model.address import Address


def add_rollout(draft: Draft) -> None:
    """Pace replacements and restarts, and tell each departure how many targets it must leave behind."""
    _leave_for_restarts(draft)
    _pace(draft)
    guard_capacity(draft)
    _settle(draft)


def _leave_for_restarts(draft: Draft) -> None:
    """An instance that is stopped for a change leaves its target groups before and returns after."""
    registered, serving = draft.registered, serving_groups(draft)
    for step in draft.of_kind("instance", "update"):
        stops = any(
            change.path == "instance_type" or (change.path == "state" and change.after == "stopped")
            for change in step.changes
        )
        if not stops or step.id is None:
            continue
        draft.say(step.key, effects="stops the instance")
        for item in registered[step.id]:
            gone = draft.removers.get(item.id)
            if gone is None:
                gone = f"delete:{item.address}@{item.id}"
                back = f"replace:{item.address}@{item.id}"
                wish = draft.decisions.wishes[item.address].wish
                draft.add(
                    Step(
                        key=back,
                        action="replace",
                        address=item.address,
                        id=item.id,
                        reason="its instance is restarted",
                        desired=wish,
                        state=item.state,
                        observed=item,
                        details=Register(is_checked=getattr(item.state, "target_group", "") in serving),
                    )
                )
                draft.add(
                    Step(
                        key=gone,
                        action="delete",
                        address=item.address,
                        id=item.id,
                        reason="its instance is restarted",
                        part_of=back,
                        observed=item,
                    )
                )
                draft.after(back, step.key)
            draft.after(step.key, gone)


def _pace(draft: Draft) -> None:
    groups: dict[str, list[Step]] = defaultdict(list)
    for step in [*draft.of_kind("instance", "replace"), *draft.of_kind("instance", "update")]:
        group = step.desired.lifecycle.group if step.desired else None
        if group and (step.action == "replace" or "stops the instance" in step.effects):
            groups[group].append(step)
    for steps in groups.values():
        rollout = rollout_of(draft, steps[0].address)
        replaced = [step for step in steps if step.action == "replace"]
        if rollout.max_surge > 0:
            _replace_with_surge(draft, replaced, rollout.max_surge)
        else:
            _replace_in_gaps(draft, replaced, max(rollout.max_unavailable, 1))
        restarted = [step for step in steps if step.action == "update"]
        _one_after_another(draft, restarted, max(rollout.max_unavailable, 1))


def _replace_with_surge(draft: Draft, steps: list[Step], surge: int) -> None:
    """A member is made when the one `surge` places before it has gone.

    Where the target groups are replaced as well, the old members can't go before all traffic has moved: then all new
    capacity comes first.
    """
    if any(_group_is_replaced(draft, step) for step in steps):
        return
    group = steps[0].desired.lifecycle.group if steps and steps[0].desired else None
    # what an interrupted roll has left stands above the count already
    leftovers = [
        draft.removers.get(found.id)
        for found, _ in draft.decisions.leavers.values()
        if found.address.kind == "instance" and _group_of(draft, found.address) == group
    ]
    going = [*leftovers, *(draft.removers.get(str(step.id)) for step in steps)]
    for place, later in enumerate(steps, start=len(leftovers)):
        if place >= surge:
            draft.after(later.key, going[place - surge])


def _group_of(draft: Draft, address: Address) -> str | None:
    decision = draft.decisions.wishes.get(address)
    return decision.wish.lifecycle.group if decision else None


def _replace_in_gaps(draft: Draft, steps: list[Step], unavailable: int) -> None:
    """Without surge the old member goes first, as many at a time as may be missing."""
    for step in steps:
        gone = draft.removers.get(str(step.id))
        if gone is not None:
            draft.edges[gone].discard(step.key)
            draft.soft.discard((gone, step.key))
            draft.after(step.key, gone)
    _one_after_another(draft, steps, unavailable)


def _one_after_another(draft: Draft, steps: list[Step], width: int) -> None:
    """A member leaves its target groups when the one `width` places before it has returned to them."""
    for earlier, later in zip(steps, steps[width:], strict=False):
        returned = [
            key for address, key in draft.makers.items() if _is_registration_of(draft, key, earlier.address)
        ]
        returned += [
            step.key
            for step in draft.of_kind("registration", "replace")
            if _is_registration_of(draft, step.key, earlier.address)
        ]
        leaving = [draft.removers.get(item.id) for item in draft.registered[str(later.id)]]
        for key in leaving or [draft.removers.get(str(later.id), later.key)]:
            for before in returned or [earlier.key]:
                draft.after(key, before)


def _is_registration_of(draft: Draft, key: str, instance: Address) -> bool:
    step = draft.steps.get(key)
    if step is None or step.desired is None or not isinstance(step.desired.state, Registration):
        return False
    return step.desired.state.target == instance


def _group_is_replaced(draft: Draft, step: Step) -> bool:
    return any(
        isinstance(item.state, Registration) and item.state.target_group in draft.deleted
        for item in draft.registered[str(step.id)]
    )


def _settle(draft: Draft) -> None:
    """The pause that the spec asks for: between an old instance's draining and its end, and between the moment when
    requests go to another group and the end of this one's registrations."""
    registered = draft.registered
    for step in draft.of_kind("instance", "delete"):
        if step.id and registered[step.id] and not draft.destroy:
            draft.specify(step.key, Terminate(rollout_of(draft, step.address).settle))
    instances = {item.id: item.address for item in draft.decisions.live if item.address.kind == "instance"}
    for step in draft.of_kind("registration", "delete"):
        how = step.detail(Deregister)
        if how.switched and step.observed:
            target = instances.get(str(getattr(step.observed.state, "target", "")))
            settle = (rollout_of(draft, target) if target else Rollout()).settle
            draft.specify(step.key, replace(how, settle=settle))
