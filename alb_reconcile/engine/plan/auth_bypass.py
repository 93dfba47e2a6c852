"""Finds rules without authentication that would take requests before a rule, or a default action, that authenticates users."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from alb_reconcile.model.abilities import action_of, keeps_out
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.plan import Step
from alb_reconcile.model.requests.conditions import Condition
from alb_reconcile.model.requests.shadows import split, takes_all
from alb_reconcile.model.resource import Observed
from alb_reconcile.model.service import Frontend, RoutingRule
from alb_reconcile.model.steps import SetPriorities

_LAST: Final = 1_000_000
"""The priority of a default action: after all rules, which have priorities up to 50,000."""


class _Placed(NamedTuple):
    """A rule, or a listener's default action, at its place. `id` is empty for a rule that is still to be made."""

    address: Address
    id: str
    listener: Ref
    priority: int
    conditions: tuple[Condition, ...]
    asks: bool
    forwards: bool


def find_bypasses(steps: Sequence[Step], live: Iterable[Observed]) -> dict[str, str]:
    """Rules without authentication that would let in users of requests that another rule, or a default action, authenticates now; in words,
    by step key.

    Only requests that a rule certainly takes and forwards count: a redirect or a fixed response lets no user in.
    """
    if not any(step.sets_order or (step.plays(RoutingRule) and step.action != "delete") for step in steps):
        return {}
    before = [
        _placed(item.address, item.id, item.state) for item in live if isinstance(item.state, RoutingRule | Frontend)
    ]
    guards = sorted((item for item in before if item.asks), key=lambda item: item.priority)
    if not guards:
        return {}
    now, then = _by_listener(before), _by_listener(_after(steps, before))
    found: dict[str, str] = {}
    for guard in guards:
        stays = any(item.id == guard.id for item in then[guard.listener])
        for part in split(guard.conditions) if stays else ():
            taker, first = _taker(then[guard.listener], part), _taker(now[guard.listener], part)
            if taker is None or not taker.forwards or taker.asks or taker.id == guard.id:
                continue
            if first is not None and first.asks:
                text = f"{taker.address} would let in whom {guard.address} keeps out now, before it"
                found.setdefault(_blamed(steps, taker, guard), text)
    return found


def _placed(address: Address, arn: str, state: RoutingRule | Frontend) -> _Placed:
    listener, priority, conditions = (
        (state.listener, state.priority, state.conditions) if isinstance(state, RoutingRule) else (arn, _LAST, ())
    )
    asks, forwards = "action" in keeps_out(state), bool(action_of(state).forward)
    return _Placed(address, arn, listener, priority, conditions, asks, forwards)


def _after(steps: Iterable[Step], before: Iterable[_Placed]) -> list[_Placed]:
    placed = {item.id: item for item in before}
    made = []
    for step in steps:
        if step.action in ("delete", "replace"):
            placed.pop(step.id or "", None)
        if not isinstance(step.state, RoutingRule | Frontend):
            continue
        if step.action in ("create", "replace"):
            made.append(_placed(step.address, "", step.state))
        elif step.id in placed:
            item = _placed(step.address, step.id, step.state)
            placed[step.id] = item._replace(priority=placed[step.id].priority)
    for step in steps:
        for arn, priority in step.detail(SetPriorities).priorities:
            if arn in placed:
                placed[arn] = placed[arn]._replace(priority=priority)
    return [*placed.values(), *made]


def _by_listener(placed: Iterable[_Placed]) -> dict[Ref, list[_Placed]]:
    found: dict[Ref, list[_Placed]] = defaultdict(list)
    for item in sorted(placed, key=lambda item: item.priority):
        found[item.listener].append(item)
    return found


def _taker(placed: Iterable[_Placed], part: tuple[Condition, ...]) -> _Placed | None:
    """The first rule that takes all requests which meet those conditions."""
    return next((item for item in placed if takes_all(item.conditions, part)), None)


def _blamed(steps: Iterable[Step], taker: _Placed, guard: _Placed) -> str:
    """The key of the step that lets `taker` take requests of `guard`: a step of `taker`, of priorities, or of `guard`; empty if none."""
    mine = [step for step in steps if step.address == taker.address and step.action != "delete"]
    moves = [step for step in steps if {taker.id, guard.id} & {arn for arn, _ in step.detail(SetPriorities).priorities}]
    own = [step for step in steps if step.id == guard.id]
    return next((step.key for step in (*mine, *moves, *own)), "")
