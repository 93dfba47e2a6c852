"""Tells sorts of requests apart, and finds the rule, or the listener itself, that answers each sort.

A rule takes several sorts, one for each combination of its conditions' values. Where two rules may take the same request, the requests that
both take are a sort of their own (Application Load Balancers, "Listener rules": rules are tried by priority, and the first that matches
answers).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from functools import lru_cache
from ipaddress import ip_network
from itertools import combinations, product

from alb_reconcile.engine.doors import Asked, Door
from alb_reconcile.model.requests.conditions import Condition
from alb_reconcile.model.requests.patterns import is_included, split
from alb_reconcile.model.service import DnsName, RoutingRule

Value = tuple[str, str, str]
"""The field of a condition, the name of a header, and the value."""
Sort = frozenset[Value]
"""The values that requests of one sort have."""
_Rule = tuple[str, int, tuple[Condition, ...]]
_ANY: Sort = frozenset()
"""The sort of the requests that meet no rule's conditions."""
_PATTERNS = ("host_header", "path_pattern")
_EVERY = {"host_header": frozenset({"*"}), "path_pattern": frozenset({"*", "/*"})}
"""The patterns that every request meets, by field."""
_ONE_EACH = (*_PATTERNS, "http_request_method", "source_ip")
"""The fields of which a request has only one value."""


class Answers:
    """Finds the door that answers each sort of requests. `times` are the doors at several moments, the first of them now; their sorts are
    distinguished. `going` are the load balancers that a plan deletes, by id.

    The requests that two rules both take are a sort of their own if one of the rules is made, is deleted, or gets other conditions or
    another priority.
    """

    def __init__(self, *times: Iterable[Door], going: Container[str]) -> None:
        self._sorts: dict[Asked, dict[Sort, None]] = defaultdict(dict)
        self._known: dict[object, Mapping[Sort, int]] = {}
        found = [list(doors) for doors in times]
        self._going = going
        self._stays = {door.asked[:3] for door in found[0] if door.answers and not self._is_going(door)}
        """The listeners that answer now at load balancers that stay: another one at the same address answers nothing in their place."""
        for door in (door for doors in found for door in doors):
            self._sorts[door.asked[:3]][_ANY] = None
        there = [{door.asked[:3] for door in doors} for doors in found]
        rules: dict[Asked, list[set[_Rule]]] = defaultdict(lambda: [set() for _ in found])
        for number, doors in enumerate(found):
            for listener, parts in _by_listener(doors).items():
                rules[listener][number] = {(door.item.id, state.priority, state.conditions) for door, state in parts}
        for listener, known in rules.items():
            conditions = sorted({rule[2] for part in known for rule in part}, key=str)
            self._sorts[listener].update((sort, None) for found in conditions for sort in _sorts_of(found))
            if all(listener in part for part in there):
                same: set[_Rule] = set.intersection(*known)
                changed = {rule[2] for part in known for rule in part - same}
                pairs = combinations(conditions, 2)
                for one, other in (pair for pair in pairs if not changed.isdisjoint(pair)):
                    both = (a | b for a in _sorts_of(one) for b in _sorts_of(other) if _may_meet(a, b))
                    self._sorts[listener].update(dict.fromkeys(both))

    def find(self, doors: Iterable[Door]) -> dict[Asked, Door]:
        """The door that answers each sort of requests. Where several do, as two records of one name or a load balancer and its successor,
        it is one that leads to an answer."""
        found: dict[Asked, Door] = {}
        parts: dict[str, list[Door]] = defaultdict(list)
        for door in doors:
            if not (self._is_going(door) and door.asked[:3] in self._stays):
                parts[door.balancer].append(door)
        for part in parts.values():
            for asked, door in self._find_at_one(part):
                if asked not in found or not found[asked].answers:
                    found[asked] = door
        return found

    def _is_going(self, door: Door) -> bool:
        """Whether a listener or a rule goes with its load balancer. A name may lead to another one."""
        return door.balancer in self._going and not isinstance(door.item.state, DnsName)

    def _find_at_one(self, doors: list[Door]) -> Iterator[tuple[Asked, Door]]:
        """The doors of one load balancer."""
        own = [(door.asked, door) for door in doors if not isinstance(door.item.state, RoutingRule)]
        listeners, taken = dict(own), set[Asked]()
        for listener, rules in _by_listener(doors).items():
            rules.sort(key=lambda part: part[1].priority)
            for sort, number in self._first(listener, tuple(state.conditions for _, state in rules)).items():
                taken.add(asked := (*listener, sort) if sort else listener)
                yield asked, rules[number][0]
        yield from (pair for pair in own if pair[0] not in taken)
        for listener, sorts in self._sorts.items():
            for sort in sorts.keys() - {_ANY} if listener in listeners else ():
                if (asked := (*listener, sort)) not in taken:
                    yield asked, listeners[listener]

    def _first(self, listener: Asked, conditions: tuple[tuple[Condition, ...], ...]) -> Mapping[Sort, int]:
        """The number of the first rule that takes each sort of requests, by sort."""
        key = (listener, conditions)
        if key not in self._known:
            self._known[key] = {
                sort: number
                for sort in self._sorts[listener]
                if (number := next((at for at, rule in enumerate(conditions) if _takes(rule, sort)), None)) is not None
            }
        return self._known[key]


def _by_listener(doors: Iterable[Door]) -> dict[Asked, list[tuple[Door, RoutingRule]]]:
    found: dict[Asked, list[tuple[Door, RoutingRule]]] = defaultdict(list)
    for door in doors:
        if isinstance(door.item.state, RoutingRule):
            found[door.asked[:3]].append((door, door.item.state))
    return found


def _sorts_of(conditions: tuple[Condition, ...]) -> tuple[Sort, ...]:
    return tuple(map(frozenset, product(*map(_values, conditions))))


def _values(condition: Condition) -> Iterator[Value]:
    for text in (*condition.values, *condition.regex_values, *map("=".join, condition.pairs)):
        yield condition.field, condition.name, text


def _takes(conditions: tuple[Condition, ...], sort: Sort) -> bool:
    """Whether a rule takes all requests of a sort."""
    return all(
        not _EVERY.get(part.field, frozenset()).isdisjoint(part.values)
        or any(_covers(mine, had) for mine in _values(part) for had in sort)
        for part in conditions
    )


def _covers(one: Value, other: Value) -> bool:
    """Whether all requests with the value `other` also meet `one`. A host or path pattern may include another, and so may a range of
    addresses."""
    if one[:2] != other[:2] or one[0] not in _ONE_EACH or one == other:
        return one == other
    if one[0] == "source_ip":
        return _subnet_of(other[2], one[2])
    return one[0] in _PATTERNS and is_included(split(_text(other)), (split(_text(one)),))


def _text(value: Value) -> str:
    return value[2].lower() if value[0] == "host_header" else value[2]


def _subnet_of(one: str, other: str) -> bool:
    networks = ip_network(one, strict=False), ip_network(other, strict=False)
    return (
        networks[0].version == networks[1].version
        and networks[0].overlaps(networks[1])
        and networks[0].prefixlen >= networks[1].prefixlen
    )


def _may_meet(one: Sort, other: Sort) -> bool:
    """Whether a request may be of both sorts: it can't be if a request has only one value of a field, and no value meets both sorts."""
    return not any(a[:2] == b[:2] and a[0] in _ONE_EACH and not _overlap(a, b) for a in one for b in other)


@lru_cache(100_000)
def _overlap(one: Value, other: Value) -> bool:
    """Whether a value may meet both conditions. A value may meet two patterns if their texts before the first wildcard and after the last
    one are compatible; the texts between aren't compared, since a value may be a regular expression, too."""
    if _covers(one, other) or _covers(other, one):
        return True
    begins, ends = zip(
        *((re.split(r"[*?]", text)[0], re.split(r"[*?]", text)[-1]) for text in (_text(one), _text(other))), strict=True
    )
    are_patterns = one[0] in _PATTERNS and all(set("*?") & set(text) for text in (one[2], other[2]))
    return are_patterns and _alike(*begins) and _alike(*(text[::-1] for text in ends))


def _alike(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def describe_sort(asked: Asked) -> str:
    """The hosts and paths of a sort of requests, for a reader; empty for the requests of a listener as a whole."""
    sort = asked[3] if len(asked) > 3 and isinstance(asked[3], frozenset) else _ANY
    return " ".join(sorted(text for field, _, text in sort if field in _PATTERNS))
