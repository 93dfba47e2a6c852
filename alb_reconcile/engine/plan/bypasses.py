"""Rules that would take requests before one that asks who comes, and ask nobody."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from alb_reconcile.kinds._conditions import Condition
from alb_reconcile.kinds._shadows import split, takes_all
from alb_reconcile.kinds.rule import Rule
from alb_reconcile.model.abilities import keeps_out
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.plan import Step
from alb_reconcile.model.resource import Observed, each_of
from alb_reconcile.model.steps import SetPriorities


class _Placed(NamedTuple):
    """A rule at its place. `id` is empty for one that is still to be made."""

    address: Address
    id: str
    state: Rule


def find_bypasses(steps: Sequence[Step], live: Iterable[Observed]) -> dict[str, str]:
    """By step key, whom a rule that asks nobody would let in: those whom another rule, which stays as it is, keeps out now.

    Only what a rule takes for certain counts, and only what it forwards: nobody gets in by a redirect or a page.
    """
    if not any(step.carried_by == "rule" and step.action != "delete" for step in steps):
        return {}
    before = [_Placed(item.address, item.id, rule) for item, rule in each_of(live, Rule)]
    guards = [item for item in before if keeps_out(item.state)]
    if not guards:
        return {}
    now, then = _by_listener(before), _by_listener(_after(steps, before))
    found: dict[str, str] = {}
    for guard in guards:
        later = next((item for item in then[guard.state.listener] if item.id == guard.id), None)
        for part in split(guard.state.conditions) if later else ():
            taker = _taker(then[guard.state.listener], part)
            if taker is None or not taker.state.action.forward or keeps_out(taker.state):
                continue
            first = _taker(now[guard.state.listener], part)
            if first is not None and keeps_out(first.state) and taker.id != guard.id:
                text = f"{taker.address} would let in whom {guard.address} keeps out now, before it"
                found.setdefault(_blamed(steps, taker, guard), text)
    return found


def _after(steps: Iterable[Step], before: Iterable[_Placed]) -> list[_Placed]:
    rules = {item.id: item for item in before}
    made = []
    for step in steps:
        if step.action in ("delete", "replace"):
            rules.pop(step.id or "", None)
        if step.action in ("create", "replace") and isinstance(step.state, Rule):
            made.append(_Placed(step.address, "", step.state))
        if step.action == "update" and isinstance(step.state, Rule) and step.id in rules:
            place = rules[step.id].state.priority
            rules[step.id] = rules[step.id]._replace(state=replace(step.state, priority=place))
    for step in steps:
        for arn, priority in step.detail(SetPriorities).priorities:
            if arn in rules:
                rules[arn] = rules[arn]._replace(state=replace(rules[arn].state, priority=priority))
    return [*rules.values(), *made]


def _by_listener(rules: Iterable[_Placed]) -> dict[Ref, list[_Placed]]:
    found: dict[Ref, list[_Placed]] = defaultdict(list)
    for item in sorted(rules, key=lambda item: item.state.priority):
        found[item.state.listener].append(item)
    return found


def _taker(rules: Iterable[_Placed], part: tuple[Condition, ...]) -> _Placed | None:
    """The first rule that takes all requests which meet those conditions."""
    return next((item for item in rules if takes_all(item.state.conditions, part)), None)


def _blamed(steps: Iterable[Step], taker: _Placed, guard: _Placed) -> str:
    """The step by which one rule comes to be before the other, or to take more."""
    mine = [step for step in steps if step.address == taker.address and step.action != "delete"]
    moves = [step for step in steps if {taker.id, guard.id} & {arn for arn, _ in step.detail(SetPriorities).priorities}]
    own = [step for step in steps if step.id == guard.id]
    return next((step.key for step in (*mine, *moves, *own)), "")
