"""Who answers which requests: requests that rules tell apart, and for each sort the first rule that takes them, or the listener itself.

A rule takes several sorts, one for each combination of its conditions' values. Where two rules may take the same request, what both take
is a sort of its own (Application Load Balancers, "Listener rules": rules are tried by priority, and the first that matches answers).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from itertools import combinations, product

from alb_reconcile.engine.doors import Asked, Door
from alb_reconcile.kinds._conditions import Condition
from alb_reconcile.kinds.rule import Rule

Sort = frozenset[tuple[str, str, str]]
"""What requests of one sort have: a condition's field, the name of a header, and the value."""
_ANY: Sort = frozenset()
"""Requests of which no rule asks anything."""
_PATTERNS = ("host_header", "path_pattern")
_ONE_EACH = (*_PATTERNS, "http_request_method", "source_ip")
"""The fields of which a request has one value."""


class Answers:
    """Finds the door that answers each sort of requests. Knows the sorts of all doors that it is given, at different times.

    `touched`: the ids and addresses of rules that change. What two of them take both is a sort of its own.
    """

    def __init__(self, *times: Iterable[Door], touched: frozenset[str] = frozenset()) -> None:
        self._sorts: dict[Asked, dict[Sort, None]] = defaultdict(dict)
        self._known: dict[object, Mapping[Sort, int]] = {}
        doors = [door for part in times for door in part]
        for door in doors:
            self._sorts[door.asked[:3]][_ANY] = None
        for listener, rules in _by_listener(doors).items():
            changed = {state.conditions for door, state in rules if not touched.isdisjoint(_names(door))}
            for conditions in dict.fromkeys(state.conditions for _, state in rules):
                self._sorts[listener].update(dict.fromkeys(_sorts_of(conditions)))
            for one, other in combinations(changed, 2):
                both = (a | b for a in _sorts_of(one) for b in _sorts_of(other) if _may_meet(a, b))
                self._sorts[listener].update(dict.fromkeys(both))

    def find(self, doors: Iterable[Door]) -> dict[Asked, Door]:
        """By what is asked for, the door that answers. Of several records of a name it is one that leads to an answer."""
        found: dict[Asked, Door] = {}
        doors = list(doors)
        for door in doors:
            if not isinstance(door.item.state, Rule) and not (door.asked in found and found[door.asked].answers):
                found[door.asked] = door
        for listener, rules in _by_listener(doors).items():
            rules.sort(key=lambda part: part[1].priority)
            for sort, number in self._first(listener, tuple(state.conditions for _, state in rules)).items():
                found[(*listener, sort) if sort else listener] = rules[number][0]
        for listener, sorts in self._sorts.items():
            for sort in sorts.keys() - {_ANY} if listener in found else ():
                found.setdefault((*listener, sort), found[listener])
        return found

    def _first(self, listener: Asked, conditions: tuple[tuple[Condition, ...], ...]) -> Mapping[Sort, int]:
        """By sort, the number of the first of these rules that takes it."""
        key = (listener, conditions)
        if key not in self._known:
            self._known[key] = {
                sort: number
                for sort in self._sorts[listener]
                if (number := next((at for at, rule in enumerate(conditions) if _takes(rule, sort)), None)) is not None
            }
        return self._known[key]


def _by_listener(doors: Iterable[Door]) -> dict[Asked, list[tuple[Door, Rule]]]:
    found: dict[Asked, list[tuple[Door, Rule]]] = defaultdict(list)
    for door in doors:
        if isinstance(door.item.state, Rule):
            found[door.asked[:3]].append((door, door.item.state))
    return found


def _names(door: Door) -> tuple[str, str]:
    return door.item.id, str(door.item.address)


def _sorts_of(conditions: tuple[Condition, ...]) -> tuple[Sort, ...]:
    return tuple(map(frozenset, product(*map(_values, conditions))))


def _values(condition: Condition) -> Iterator[tuple[str, str, str]]:
    for text in (*condition.values, *condition.regex_values, *map("=".join, condition.pairs)):
        yield condition.field, condition.name, text


def _takes(conditions: tuple[Condition, ...], sort: Sort) -> bool:
    """Whether a rule takes all requests of a sort."""
    return all(
        (part.field == "path_pattern" and "/*" in part.values)
        or any(_covers(mine, had) for mine in _values(part) for had in sort)
        for part in conditions
    )


def _covers(one: tuple[str, str, str], other: tuple[str, str, str]) -> bool:
    """Whether what has the other value has the one, too. Hosts and paths have wildcards."""
    if one[:2] != other[:2] or one[0] not in _PATTERNS:
        return one == other
    return one[2] == other[2] or fnmatchcase(other[2].lower(), one[2].lower().replace("[", "[[]"))


def _may_meet(one: Sort, other: Sort) -> bool:
    """Whether a request may be of both sorts: not where it can have one value only, and neither of two covers the other."""
    return not any(
        a[:2] == b[:2] and a[0] in _ONE_EACH and not _covers(a, b) and not _covers(b, a) for a in one for b in other
    )
