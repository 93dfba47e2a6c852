"""New target groups beside others at weight 0, so that their targets are checked before they serve."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from alb_reconcile.actions import Forward
from alb_reconcile.errors import RefusedError
from alb_reconcile.kinds.listener import Listener
from alb_reconcile.kinds.registration import Registration
from alb_reconcile.kinds.rule import Rule
from alb_reconcile.plan.forwards import action_of, serving_groups, shares_of
from alb_reconcile.plan.model import Step
from alb_reconcile.values import Address, Change, Ref

if TYPE_CHECKING:
    from collections.abc import Iterable

    from alb_reconcile.kind import Kind
    from alb_reconcile.plan.decide import Decision
    from alb_reconcile.plan.draft import Draft

_MOST_GROUPS: Final = 5


def attach_new_groups(draft: Draft) -> None:
    """A group that is made now, or that nobody has checked yet, stands at weight 0 beside one that serves until its
    targets are healthy."""
    joining: dict[Address, list[str]] = defaultdict(list)
    for step in draft.of_kind("registration", "create", "replace"):
        if (
            step.desired
            and isinstance(step.desired.state, Registration)
            and isinstance(step.desired.state.target_group, Address)
        ):
            joining[step.desired.state.target_group].append(step.key)
    serving = serving_groups(draft)
    new = {
        group
        for group in draft.decisions.wishes
        if group.kind == "target_group" and _is_unchecked(draft, group, serving, group in joining)
    }
    new -= _beside_the_old(draft, new, joining)
    _beside_the_default(draft, new, joining)


def _is_unchecked(draft: Draft, group: Address, serving: set[str], joined: bool) -> bool:
    """Whether a group of ours has targets, or gets them, that nobody checks because nothing forwards to it yet."""
    known = draft.decisions.ids.get(group)
    if known is None or joined:
        return known not in serving
    registered = any(
        isinstance(item.state, Registration) and item.state.target_group == known
        for item in draft.decisions.live
    )
    return registered and known not in serving


def _beside_the_old(draft: Draft, new: set[Address], joining: dict[Address, list[str]]) -> set[Address]:
    """In the very listener or rule that is going to forward to it. Returns the groups for which that was done.

    Raises RefusedError where there is no room.
    """
    attached: set[Address] = set()
    for step in [*draft.of_kind("listener", "update"), *draft.of_kind("rule", "update")]:
        before = action_of(step.observed.state if step.observed else None).forward
        after = action_of(step.desired.state if step.desired else None).forward
        groups = _addresses((item.target_group for item in after), new - attached)
        if not before or not groups or step.desired is None:
            continue
        if len(before) + len(groups) > _MOST_GROUPS:
            raise RefusedError(
                f"{step.address} forwards to {len(before)} groups, and AWS takes five, so {len(groups)} more can't be put beside them to be checked "
                "before they serve; remove groups of weight 0 first, or move over in two steps"
            )
        key = _attach(draft, draft.decisions.wishes[step.address], groups, joining)
        draft.after(step.key, key)
        attached.update(groups)
    return attached


def _beside_the_default(draft: Draft, new: set[Address], joining: dict[Address, list[str]]) -> None:
    """For a rule that is made, beside what another forward of its listener has, and taken away from there afterwards.

    Where there is none with room that stays as it is, nobody can check the group before.
    """
    guests: dict[Address, list[tuple[str, tuple[Address, ...]]]] = defaultdict(list)
    for step in draft.of_kind("rule", "create"):
        wish = step.desired.state if step.desired else None
        groups = _addresses(shares_of(action_of(wish).forward), new)
        if groups and isinstance(wish, Rule) and isinstance(wish.listener, Address):
            host = _host(draft, wish.listener, len(groups))
            if host is not None:
                guests[host].append((step.key, groups))
    attached: set[Address] = set()
    for host, visits in guests.items():
        decision = draft.decisions.wishes[host]
        wanted = tuple(dict.fromkeys(group for _, groups in visits for group in groups))
        groups = tuple(group for group in wanted if group not in attached)
        if not groups or decision.found is None:
            continue
        before = action_of(decision.found.state).forward
        if len(before) + len(groups) > _MOST_GROUPS:
            continue
        attached.update(groups)
        attach = _attach(draft, decision, groups, joining)
        detach = attach.replace("attach:", "detach:", 1)
        draft.add(
            Step(
                key=detach, action="update", address=host, id=decision.found.id, reason="the new group is in its own place",
                changes=(Change(_path(decision.state), (*before, *(Forward(group, 0) for group in groups)), before),),
                desired=decision.wish, state=decision.state, observed=decision.found, notes={"late": True},
            )
        )  # fmt: skip
        for rule, _ in visits:
            draft.after(rule, attach)
            draft.after(detach, rule)


def _host(draft: Draft, listener: Address, count: int) -> Address | None:
    """A forward of the listener that stays as it is, and has room."""
    options = [listener]
    options += [
        address
        for address, item in draft.decisions.wishes.items()
        if isinstance(item.wish.state, Rule) and item.wish.state.listener == listener
    ]
    for address in options:
        item = draft.decisions.wishes[address]
        forward = action_of(item.found.state if item.found else None).forward
        if (
            forward
            and not item.forces
            and address not in draft.makers
            and len(forward) + count <= _MOST_GROUPS
        ):
            return address
    return None


def _addresses(groups: Iterable[Ref], among: set[Address]) -> tuple[Address, ...]:
    return tuple(group for group in groups if isinstance(group, Address) and group in among)


def _attach(
    draft: Draft, host: Decision, groups: tuple[Address, ...], joining: dict[Address, list[str]]
) -> str:
    """Put groups at weight 0 beside what a listener or rule forwards to now. Returns the step's key."""
    found = host.found
    assert found is not None  # noqa: S101 (for mypy: callers look)
    before = action_of(found.state).forward
    beside = (*before, *(Forward(group, 0) for group in groups))
    key = f"attach:{host.wish.address}@{found.id}"
    state = _with_forward(found.state, beside)
    draft.add(
        Step(
            key=key, action="update", address=host.wish.address, id=found.id, reason="the new group beside the old one at weight 0, to be checked",
            changes=(Change(_path(found.state), before, beside),), desired=replace(host.wish, state=state),
            state=state, observed=found, notes={"attach": True},
        )
    )  # fmt: skip
    for group in groups:
        draft.after(key, draft.makers.get(group))
        for registration in joining[group]:
            draft.after(registration, key)
            draft.note(registration, checked=True)
    return key


def _path(state: Kind) -> str:
    return "default_action.forward" if isinstance(state, Listener) else "action.forward"


def _with_forward(state: Kind, forward: tuple[Forward, ...]) -> Kind:
    action = replace(action_of(state), forward=forward)
    if isinstance(state, Listener):
        return replace(state, default_action=action)
    assert isinstance(state, Rule)  # noqa: S101 (for mypy: only listeners and rules have actions)
    return replace(state, action=action)
