"""Says whether a rule takes a request ("Condition types for listener rules", Elastic Load Balancing)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network
from typing import Final

from alb_reconcile.model.requests import conditions as rules
from alb_reconcile.model.requests import patterns
from alb_reconcile.model.secrets import HIDDEN, Headers, is_secret_header
from alb_reconcile.verification.expressions import describes


@dataclass(frozen=True)
class Request:
    """The parts of a request that rules look at. `path` is without the query, `host` without a port.

    `source` is the address that the request comes from; empty: unknown.
    """

    host: str
    path: str = "/"
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    query: tuple[tuple[str, str], ...] = ()
    source: str = ""

    def redacted(self, headers: Headers) -> "Request":
        """The request as it may be shown: values of secret headers and of queries are hidden."""
        return replace(
            self,
            headers=tuple((name, HIDDEN if is_secret_header(name, headers) else text) for name, text in self.headers),
            query=tuple((name, HIDDEN) for name, _ in self.query),
        )


@dataclass(frozen=True)
class Matcher:
    """One condition, met by any of `values` or `expressions` (regular expressions). `field` is AWS's name; `name` is the header's name
    in an http-header condition.

    The values of a query-string are (key, value) patterns, and a key may be missing; all others are patterns.
    """

    field: str
    values: tuple[str, ...] = ()
    name: str = ""
    pairs: tuple[tuple[str | None, str], ...] = ()
    expressions: tuple[str, ...] = ()


EXTRAS: Final = frozenset({"http-request-method", "http-header", "query-string"})
"""Conditions on something other than host and path for which a request can be made."""


def read_conditions(conditions: Iterable[rules.Condition]) -> tuple[Matcher, ...]:
    """The conditions of a `Rule`, also of a rule that isn't the stack's."""
    return tuple(map(_read, conditions))


def _read(item: rules.Condition) -> Matcher:
    field = item.field.replace("_", "-")
    if item.unsupported:
        return Matcher(f"unreadable {field}")
    pairs = tuple((key or None, value) for key, value in item.pairs)
    return Matcher(field, item.values, item.name, pairs, item.regex_values)


def takes(conditions: Sequence[Matcher], request: Request) -> bool | None:
    """Whether a rule takes a request. None: that depends on what can't be known here, such as the source address."""
    verdicts = [meets(condition, request) for condition in conditions]
    return False if False in verdicts else None if None in verdicts else True


def meets(condition: Matcher, request: Request) -> bool | None:
    """Whether a request meets one condition. Paths and methods are case-sensitive; hosts, headers and queries aren't."""
    match condition.field:
        case "host-header":
            return _any([fits(value, request.host) for value in condition.values], condition, [request.host])
        case "path-pattern":
            found = [fits(value, request.path, case=True) for value in condition.values]
            return _any(found, condition, [request.path])
        case "http-request-method":
            return request.method in condition.values
        case "http-header":
            texts = [text for name, text in request.headers if name.lower() == condition.name.lower()]
            return _any([fits(value, text) for value in condition.values for text in texts], condition, texts)
        case "query-string":
            return any(
                (key is None or fits(key, name, escapes=True)) and fits(value, text, escapes=True)
                for key, value in condition.pairs
                for name, text in request.query
            )
        case "source-ip":
            return comes_from(condition.values, request.source)
        case _:
            return None


def _any(found: list[bool], condition: Matcher, texts: list[str]) -> bool | None:
    """The result for a condition: `found` for its patterns, and its expressions for `texts`."""
    verdicts = [*found, *(describes(item, text) for item in condition.expressions for text in texts)]
    return True if True in verdicts else None if None in verdicts else False


def comes_from(ranges: Iterable[str], source: str) -> bool | None:
    """Whether an address is in one of some ranges; None where the address isn't known and the ranges aren't everything."""
    try:
        networks = [ip_network(item) for item in ranges]
        if source:
            return any(ip_address(source) in network for network in networks)
    except ValueError:
        return None
    return True if {4, 6} <= {network.version for network in networks if not network.prefixlen} else None


def fits(pattern: str, text: str, *, case: bool = False, escapes: bool = False) -> bool:
    """Whether a text fits a pattern: `*` stands for any number of characters, `?` for exactly one."""
    return patterns.fits((patterns.split(pattern, escapes=escapes, fold=not case),), text if case else text.lower())
