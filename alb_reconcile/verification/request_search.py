"""Finds the request that proves a rule: one that the rule takes, and none of the rules before it."""

import itertools
import re
import string
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from alb_reconcile.model.requests.patterns import UndecidedError, fill, search, split
from alb_reconcile.verification.expressions import samples
from alb_reconcile.verification.matching import EXTRAS, Matcher, Request, comes_from, meets, takes

SAFE_METHODS: Final = ("GET", "OPTIONS", "HEAD")
"""Methods for which a service changes nothing (RFC 9110, 9.2.1); the methods with the most telling answers come first."""
_FILLS: Final = ("", "verify", "x")
_MOST: Final = 200
"""The most combinations of methods, headers and queries that are tried."""
_HOST: Final = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*")
_ANY: Final = ("*",)
_NO_HOSTS: Final = tuple(map(split, ("", "-*", "*-", ".*", "*.", "*..*", "*.-*", "*-.*")))
"""Patterns of texts that are no host names: in DNS, names are labels of letters, digits and inner hyphens, with dots between them."""
_FIELDS: Final = {
    "host-header": partial(search, _ANY, _NO_HOSTS, characters=f"xyzvwqjk{string.ascii_lowercase}{string.digits}-."),
    "path-pattern": partial(
        search, _ANY, start="/", characters=f"xyzvwqjk{string.ascii_letters}{string.digits}_-.$/~\"'@:+&*%=,;()!"
    ),
}
"""The fields of conditions that are searched for exactly, and what their texts can look like."""

Rules = tuple[Matcher, ...]


@dataclass(frozen=True)
class Preferences:
    """What to use where a rule leaves it open, whether methods that may change something are allowed, and where requests come from."""

    host: str
    path: str = "/"
    any_method: bool = False
    source: str = ""


@dataclass(frozen=True)
class FoundRequest:
    """A request; or none, and why. `unreachable`: it is proved that there can't be a request."""

    request: Request | None = None
    reason: str = ""
    unreachable: bool = False


def is_host(text: str) -> bool:
    """Whether a text is a host name as in DNS, at most 253 characters long."""
    return len(text) <= 253 and _HOST.fullmatch(text) is not None


def find_request(own: Rules, earlier: Sequence[Rules], preferences: Preferences) -> FoundRequest:
    """A request that `own` takes and no rule of `earlier` takes. `own` is empty for the default action."""
    for condition in own:
        if condition.field == "source-ip" and (reason := _why_not_from(condition, preferences.source)):
            return FoundRequest(reason=reason)
        if condition.field not in {*_FIELDS, *EXTRAS, "source-ip"}:
            return FoundRequest(reason=f"has a condition that verify doesn't know: {condition.field}")
    methods = _methods(own, preferences)
    if not methods:
        return FoundRequest(
            reason="takes only requests by methods that may change something; allow them with --any-method"
        )
    bases = [
        Request(preferences.host, preferences.path, method, headers, query, preferences.source)
        for method, headers, query in itertools.islice(itertools.product(methods, _headers(own), _queries(own)), _MOST)
    ]
    if not bases:
        return FoundRequest(reason="has a regular expression for which verify finds no text")
    for avoided in (earlier, [rule for rule in earlier if not _is_uncertain(rule)]):
        for base in bases:
            request = _nice(own, avoided, base) or _exact(own, avoided, base)
            if request and avoided is earlier:
                return FoundRequest(request)
            if request:
                return FoundRequest(
                    reason="an earlier rule may take its requests, by something that can't be told here"
                )
    return _explain(own, earlier, bases[0])


def _why_not_from(condition: Matcher, source: str) -> str:
    """Why this machine's requests don't come from where a condition wants them, or nothing."""
    match comes_from(condition.values, source):
        case True:
            return ""
        case False:
            return f"takes requests from {', '.join(condition.values)}, and these come from {source}"
        case _:
            return "takes requests by their source address; say with --source-address which one yours is"


def _explain(own: Rules, earlier: Sequence[Rules], base: Request) -> FoundRequest:
    """Why there is no request. A request that rules by patterns of host and path alone take is taken whatever else it says."""
    plain = [rule for rule in earlier if all(map(_is_plain, rule))]
    bare = tuple(filter(_is_plain, own))
    if not _pairs(bare, plain, base) and all(_search(field, [bare, *plain]).complete for field in _FIELDS):
        return FoundRequest(reason="no request can reach it: the rules before it take all of them", unreachable=True)
    return FoundRequest(reason="no request was found that reaches it; the rules before it seem to take all of them")


def _methods(own: Rules, preferences: Preferences) -> list[str]:
    given = [set(condition.values) for condition in own if condition.field == "http-request-method"]
    if not given:
        return list(SAFE_METHODS)
    allowed = set.intersection(*given)
    return [method for method in SAFE_METHODS if method in allowed] + (
        sorted(allowed.difference(SAFE_METHODS)) if preferences.any_method else []
    )


def _headers(own: Rules) -> list[tuple[tuple[str, str], ...]]:
    """One value for each header condition, in several ways."""
    choices = [
        [(condition.name, text) for text in _texts_of(condition) if text.isprintable()]
        for condition in own
        if condition.field == "http-header"
    ]
    return list(itertools.islice(itertools.product(*choices), _MOST))


def _queries(own: Rules) -> list[tuple[tuple[str, str], ...]]:
    choices = [
        [
            (name, text)
            for key, value in condition.pairs
            for name in (_fill(key, escapes=True) if key else ["verify"])
            for text in _fill(value, escapes=True)
            if name
        ]
        for condition in own
        if condition.field == "query-string"
    ]
    return list(itertools.islice(itertools.product(*choices), _MOST))


def _fill(pattern: str, *, escapes: bool = False) -> list[str]:
    """Texts that fit a pattern."""
    return list(dict.fromkeys(fill(split(pattern, escapes=escapes), star, "x") for star in _FILLS))


def _nice(own: Rules, avoided: Sequence[Rules], base: Request) -> Request | None:
    """A request as a person would choose it."""
    hosts = _texts(own, "host-header", [base.host, "verify.example.com"])
    paths = _texts(own, "path-pattern", [base.path, "/verify"])
    for host, path in itertools.product(filter(is_host, hosts), paths):
        request = replace(base, host=host, path=path)
        if path.startswith("/") and takes(own, request) and all(takes(rule, request) is False for rule in avoided):
            return request
    return None


def _texts(own: Rules, field: str, wished: list[str]) -> list[str]:
    return [*wished, *(text for condition in own if condition.field == field for text in _texts_of(condition))]


def _texts_of(condition: Matcher) -> Iterator[str]:
    """Texts that meet a condition."""
    for value in condition.values:
        yield from _fill(value)
    for expression in condition.expressions:
        yield from samples(expression)


def _exact(own: Rules, avoided: Sequence[Rules], base: Request) -> Request | None:
    """The shortest request. The search knows patterns only, so the request is checked against regular expressions afterwards."""
    patterns = [rule for rule in avoided if not any(condition.expressions for condition in rule)]
    pairs = _pairs(tuple(item for item in own if not item.expressions), patterns, base)
    for host, path in sorted(pairs, key=lambda pair: (len(pair[0]) + len(pair[1]), pair)):
        request = replace(base, host=host, path=path)
        if takes(own, request) and all(takes(rule, request) is False for rule in avoided):
            return request
    return None


def _pairs(own: Rules, avoided: Sequence[Rules], base: Request) -> list[tuple[str, str]]:
    """Hosts and paths that `own` takes and the other rules don't, for a method, headers and a query."""
    if any(condition.field in EXTRAS and not meets(condition, base) for condition in own):
        return []
    rivals = [rule for rule in avoided if _can_take(rule, base)]
    hosts, paths = (_search(field, [own, *rivals]).texts for field in ("host-header", "path-pattern"))
    return [(host, path) for host, those in hosts for path, these in paths if those & these == {0}]


@dataclass(frozen=True)
class _Side:
    """All hosts, or all paths, as far as rules tell them apart: each with the rules (by index) that it meets."""

    texts: Sequence[tuple[str, frozenset[int]]]
    complete: bool


def _search(field: str, rules: Iterable[Rules]) -> _Side:
    fold = field == "host-header"
    asked = [
        [[split(text, fold=fold) for text in part.values] for part in rule if part.field == field] for rule in rules
    ]
    patterns = dict.fromkeys(pattern for conditions in asked for values in conditions for pattern in values)
    texts: list[tuple[str, frozenset[int]]] = []
    try:
        for fitting, text in _FIELDS[field](apart=tuple(patterns)):
            met = (i for i, conditions in enumerate(asked) if not any(map(fitting.isdisjoint, conditions)))
            texts.append((text, frozenset(met)))
    except UndecidedError:
        return _Side(texts, complete=False)
    return _Side(texts, complete=True)


def _can_take(rule: Rules, base: Request) -> bool:
    """Whether a rule may take the request by its conditions on fields other than host and path."""
    return all(meets(condition, base) is not False for condition in rule if condition.field not in _FIELDS)


def _is_plain(condition: Matcher) -> bool:
    """Whether the exact search knows the whole condition."""
    return condition.field in _FIELDS and not condition.expressions


def _is_uncertain(rule: Iterable[Matcher]) -> bool:
    return any(
        condition.expressions or not (condition.field in _FIELDS or condition.field in EXTRAS) for condition in rule
    )
