"""Finds the rules that take all requests of another rule ("Condition types for listener rules", Elastic Load Balancing)."""

import itertools
from collections.abc import Iterable, Sequence
from functools import cache
from ipaddress import ip_network
from typing import Final, TypeVar

from alb_reconcile.model.requests.conditions import Condition
from alb_reconcile.model.requests.patterns import Tokens, is_included, parse

_T = TypeVar("_T")
_MOST_PARTS: Final = 32
"""AWS takes five values in a rule, which make six parts at most."""
_ALL_PATHS: Final[Tokens] = ("/", "*")


def find_shadows(conditions: Sequence[Condition], earlier: Iterable[tuple[_T, Sequence[Condition]]]) -> list[_T]:
    """The earlier rules that together take each request that meets the conditions; none where a request may be left,
    or where that can't be decided: regular expressions are compared only by their text."""
    rules = list(earlier)
    found: dict[int, _T] = {}
    for part in split(conditions):
        index = next((i for i, (_, theirs) in enumerate(rules) if takes_all(theirs, part)), None)
        if index is None:
            return []
        found[index] = rules[index][0]
    return [found[index] for index in sorted(found)]


def split(conditions: Sequence[Condition]) -> list[tuple[Condition, ...]]:
    """Conditions with one value each, which together the same requests meet; none where there would be too many."""
    alternatives = [_split(item) for item in conditions]
    parts = list(itertools.islice(itertools.product(*alternatives), _MOST_PARTS + 1))
    return parts if len(parts) <= _MOST_PARTS else []


def takes_all(conditions: Iterable[Condition], others: Sequence[Condition]) -> bool:
    """Whether each request that meets the other conditions meets these conditions, too."""
    return all(is_always_met(item) or any(_implies(other, item) for other in others) for item in conditions)


@cache
def is_always_met(condition: Condition) -> bool:
    """Whether every request meets a condition."""
    if condition.field == "path_pattern":
        return is_included(_ALL_PATHS, _patterns(condition), "/")
    if condition.field == "source_ip":
        return {"0.0.0.0/0", "::/0"} <= set(condition.values)
    return False


def _split(condition: Condition) -> list[Condition]:
    """A condition for each of its alternatives."""
    return [
        *(condition._replace(values=(value,), regex_values=(), pairs=()) for value in condition.values),
        *(condition._replace(values=(), regex_values=(value,), pairs=()) for value in condition.regex_values),
        *(condition._replace(values=(), regex_values=(), pairs=(pair,)) for pair in condition.pairs),
    ] or [condition]


@cache
def _implies(part: Condition, whole: Condition) -> bool:
    """Whether a request that meets a condition with one alternative meets another condition."""
    if part == whole:
        return True
    if (part.field, part.name) != (whole.field, whole.name) or part.unsupported:
        return False
    if part.regex_values:
        return part.regex_values[0] in whole.regex_values or (
            whole.field == "http_header" and ("*",) in _patterns(whole)
        )
    if part.pairs:
        return any(_pair_implies(part.pairs[0], pair) for pair in whole.pairs)
    if not part.values:
        return False
    if part.field == "source_ip":
        return _is_inside(part.values[0], whole.values)
    if part.field == "http_request_method":
        return part.values[0] in whole.values
    tokens = _parse(part.field, part.values[0])
    if tokens is None:
        return part.values[0] in whole.values
    return is_included(tokens, _patterns(whole), "/" if part.field == "path_pattern" else "")


def _parse(field: str, text: str) -> Tokens | None:
    """The parts of a field's pattern: hosts and values of headers have no case, and a backslash is documented only in query strings."""
    return parse(text, fold=field != "path_pattern")


@cache
def _patterns(condition: Condition) -> tuple[Tokens, ...]:
    return tuple(tokens for text in condition.values if (tokens := _parse(condition.field, text)) is not None)


def _pair_implies(part: tuple[str, str], whole: tuple[str, str]) -> bool:
    """Whether a query string's pair meets another pair: a value with a key, or with any key."""
    pairs = zip(part, whole, strict=True)
    (key, theirs), (value, wanted) = ((_query(one), _query(other)) for one, other in pairs)
    if part == whole:
        return True
    if key is None or theirs is None or value is None or wanted is None:
        return False
    return (not theirs or (bool(key) and is_included(key, (theirs,)))) and is_included(value, (wanted,))


def _query(text: str) -> Tokens | None:
    return parse(text, escapes=False, fold=True)


@cache
def _is_inside(text: str, ranges: tuple[str, ...]) -> bool:
    try:
        own, *others = (ip_network(item) for item in (text, *ranges))
    except ValueError:
        return text in ranges
    return any(own.version == item.version and own.subnet_of(item) for item in others)  # type: ignore[arg-type]  # both have one version by then
