"""Which requests a rule takes, as the ALB documents it ("Condition types for listener rules")."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from alb_reconcile.kinds import _conditions as rules


@dataclass(frozen=True)
class Request:
    """A request as far as rules look at it. `path` is without the query, `host` without a port."""

    host: str
    path: str = "/"
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    query: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Condition:
    """One condition: any of `values` meets it. `field` is AWS's name; `name` is the header's, of an http-header.

    The values of a query-string are (key, value) patterns, and a key may be missing; all others are patterns.
    """

    field: str
    values: tuple[str, ...] = ()
    name: str = ""
    pairs: tuple[tuple[str | None, str], ...] = ()


EXTRAS: Final = frozenset({"http-request-method", "http-header", "query-string"})
"""Conditions on something other than host and path that a request can be made for."""


def read_conditions(conditions: Iterable[rules.Condition]) -> tuple[Condition, ...]:
    """The conditions of a `Rule`, also of somebody else's. Those on regular expressions nobody decides here."""
    return tuple(map(_read, conditions))


def _read(item: rules.Condition) -> Condition:
    field = item.field.replace("_", "-")
    if item.unsupported or item.regex_values:
        return Condition(f"unreadable {field}" if item.unsupported else f"{field} with regular expressions")
    return Condition(field, item.values, item.name, tuple((key or None, value) for key, value in item.pairs))


def takes(conditions: Sequence[Condition], request: Request) -> bool | None:
    """Whether a rule takes a request. None: that depends on what can't be known here, such as the source address."""
    verdicts = [meets(condition, request) for condition in conditions]
    return False if False in verdicts else None if None in verdicts else True


def meets(condition: Condition, request: Request) -> bool | None:
    """Whether a request meets one condition. Paths and methods have case, hosts, headers and queries haven't."""
    match condition.field:
        case "host-header":
            return any(fits(value, request.host) for value in condition.values)
        case "path-pattern":
            return any(fits(value, request.path, case=True) for value in condition.values)
        case "http-request-method":
            return request.method in condition.values
        case "http-header":
            found = [text for name, text in request.headers if name.lower() == condition.name.lower()]
            return any(fits(value, text) for value in condition.values for text in found)
        case "query-string":
            return any(
                (key is None or fits(key, name, escapes=True)) and fits(value, text, escapes=True)
                for key, value in condition.pairs
                for name, text in request.query
            )
        case _:
            return None


def fits(pattern: str, text: str, *, case: bool = False, escapes: bool = False) -> bool:
    """Whether a text fits a pattern: `*` stands for any number of characters, `?` for exactly one."""
    return _compile(pattern, case, escapes).fullmatch(text) is not None


@cache
def _compile(pattern: str, case: bool, escapes: bool) -> re.Pattern[str]:
    parts = re.findall(r"\\[*?]|\*+|.", pattern, re.DOTALL) if escapes else re.findall(r"\*+|.", pattern, re.DOTALL)
    texts = [
        ".*" if part[0] == "*" else "." if part == "?" else re.escape(part[-1] if len(part) == 2 else part)
        for part in parts
    ]
    return re.compile("".join(texts), re.DOTALL | (0 if case else re.IGNORECASE))
