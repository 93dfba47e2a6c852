"""Which requests the rules of a listener take from each other."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Final

from alb_reconcile.engine.plan.graph import Graph
from alb_reconcile.kinds.rule import Rule
from alb_reconcile.model.plan import Step
from alb_reconcile.model.resource import Observed, Properties, bind

Values = set[tuple[str, ...]]
_PATTERNS: Final = ("host_header", "path_pattern")


def wins_requests(step: Step) -> bool:
    """Whether a rule may win requests that others answer now, by other conditions."""
    return bool(moved_requests(step)[0])


def moved_requests(step: Step) -> tuple[Values, Values]:
    """What a change of a rule adds to the requests that meet its conditions, and what it takes away: values of a condition, or all that
    a condition leaves out."""
    if step.action != "update" or step.observed is None or step.desired is None:
        return set(), set()
    before, after = _values_of(step.observed.state), _values_of(step.desired.state)
    return _added(before, after), _added(after, before)


def _values_of(state: Properties) -> Mapping[tuple[str, str], Values]:
    found: dict[tuple[str, str], Values] = defaultdict(set)
    for item in state.conditions if isinstance(state, Rule) else ():
        found[item.field, item.name].update(((text,) for text in (*item.values, *item.regex_values)), item.pairs)
    return found


def _added(before: Mapping[tuple[str, str], Values], after: Mapping[tuple[str, str], Values]) -> Values:
    more = {(*key, *value) for key in before.keys() & after.keys() for value in after[key] - before[key]}
    return more | (before.keys() - after.keys())


def may_meet(one: Properties | None, other: Properties | None) -> bool:
    """Whether a request may meet the conditions of both: not if their hosts or paths begin differently. What is no rule meets all."""
    if not isinstance(one, Rule) or not isinstance(other, Rule):
        return True
    pairs = ((a, b) for a in one.conditions for b in other.conditions if a.field == b.field and a.field in _PATTERNS)
    return not any(
        not (a.regex_values or b.regex_values)
        and not any(x.startswith(y) or y.startswith(x) for x in _beginnings(a.values) for y in _beginnings(b.values))
        for a, b in pairs
    )


def _beginnings(patterns: tuple[str, ...]) -> list[str]:
    return [re.split(r"[*?]", text.lower())[0] for text in patterns]


def given_up_to(graph: Graph, step: Step) -> Iterator[tuple[Observed, bool]]:
    """The rules, and the default action, of its listener that answer now what a step of a listener or rule is going to; with whether
    they go altogether."""
    state = bind(step.desired.state, graph.decisions.ids) if step.desired else None
    listener = state.listener if isinstance(state, Rule) else step.id
    changed = {item.id: item for item in graph.forwarding("update") if not (item.attaches or item.takes_away)}
    for found in graph.decisions.live:
        if listener is None or listener not in (found.id, found.parent_id) or found.id == step.id:
            continue
        change = changed.get(found.id)
        gives = found.id in graph.deleted
        if change is not None and not gives:
            answers = any(item.path.startswith("default_action") for item in change.changes)
            gives = answers if found.id == listener else bool(moved_requests(change)[1])
        if gives and may_meet(state, found.state):
            yield found, found.id in graph.deleted
