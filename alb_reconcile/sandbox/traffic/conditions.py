"""Converts conditions of listener rules to Envoy's: regular expressions (RE2) over headers."""

import re
from collections.abc import Iterable, Mapping
from ipaddress import ip_address, ip_network
from typing import Any, Final

from alb_reconcile.sandbox.traffic.ports import HOST

_CONFIG: Final = {
    "host-header": "HostHeaderConfig",
    "path-pattern": "PathPatternConfig",
    "http-request-method": "HttpRequestMethodConfig",
    "query-string": "QueryStringConfig",
    "http-header": "HttpHeaderConfig",
    "source-ip": "SourceIpConfig",
}
Matcher = dict[str, Any]


def match_path(conditions: Iterable[Mapping[str, Any]]) -> Matcher:
    """Envoy's RouteMatch for path conditions with regular expressions. It leaves the query out, since `$` in an expression means the end of
    the path. `match_headers` compares path conditions that have only patterns."""
    for condition in conditions:
        if condition.get("Field") == "path-pattern" and (expressions := _regex_values(condition)):
            patterns = [translate(value, "[^?]") for value in _values(condition)]
            return {"safe_regex": {"regex": f"(?s){_any_of(f'(?:{item})' for item in (*patterns, *expressions))}"}}
    return {"prefix": "/"}


def match_headers(conditions: Iterable[Mapping[str, Any]]) -> list[Matcher] | None:
    """Envoy's HeaderMatchers, all of which must hold; None if no request can meet the conditions.

    AWS ELB, 'Condition types for listener rules': values of a condition are alternatives; `*` stands for any
    characters, `?` for one, and a backslash takes that meaning away; only paths and methods are
    case-sensitive. Whether a regular expression has to match a whole text isn't documented; here it has to. It is compared with the whole
    Host header, including the port, and with the path without the query. A condition of an unknown kind is never met.
    """
    matchers = []
    for condition in conditions:
        matcher = _match(condition)
        if matcher is None:
            return None
        matchers += matcher
    return matchers


def _match(condition: Mapping[str, Any]) -> list[Matcher] | None:
    field, values, expressions = str(condition.get("Field", "")), _values(condition), _regex_values(condition)
    if field == "source-ip":
        return [] if any(_is_local(value) for value in values) else None
    if field == "http-request-method":
        return [compare(":method", _any_of(re.escape(value) for value in values))]
    if field == "query-string":
        pairs = [value if isinstance(value, dict) else {"Value": value} for value in values]
        return [compare(":path", f"(?i)[^?]*\\?(?:.*&)?(?:{_any_of(map(_pair, pairs))})(?:&.*)?")]
    if field == "path-pattern":
        patterns = [translate(value, "[^?]") for value in values]
        return [] if expressions else [compare(":path", f"(?:{_any_of(patterns)})(?:\\?.*)?")]
    if field == "host-header":
        patterns = [f"{translate(value)}(?::[0-9]+)?" for value in values]
        return [compare(":authority", f"(?i)(?:{_any_of([*patterns, *expressions])})")]
    if field == "http-header":
        patterns = [*map(translate, values), *expressions]
        return [compare(str(_config(condition).get("HttpHeaderName", "")), f"(?i)(?:{_any_of(patterns)})")]
    return None


def _config(condition: Mapping[str, Any]) -> Mapping[str, Any]:
    return condition.get(_CONFIG.get(str(condition.get("Field", "")), "")) or {}


def _values(condition: Mapping[str, Any]) -> list[Any]:
    return list(_config(condition).get("Values") or condition.get("Values") or [])


def _regex_values(condition: Mapping[str, Any]) -> list[str]:
    return list(_config(condition).get("RegexValues") or condition.get("RegexValues") or [])


def compare(header: str, expression: str) -> Matcher:
    """Envoy's HeaderMatcher of a header that an expression matches as a whole."""
    return {"name": header, "string_match": {"safe_regex": {"regex": f"(?s){expression}"}}}


def translate(pattern: str, anything: str = ".") -> str:
    """A pattern with wildcards as a regular expression. `anything` is the expression for a character that a wildcard matches."""
    found = re.findall(r"\\[*?\\]|.", pattern, re.DOTALL)
    wild = {"*": f"{anything}*", "?": anything}
    return "".join(wild.get(part) or re.escape(part[-1]) for part in found)


def _pair(pair: Mapping[str, str]) -> str:
    key = translate(pair["Key"], "[^&=]") if pair.get("Key") else "[^&=]*"
    return f"{key}={translate(pair.get('Value', ''), '[^&]')}"


def _any_of(expressions: Iterable[str]) -> str:
    return "|".join(expressions)


def _is_local(block: str) -> bool:
    """Whether a range contains the address of the sandbox's clients, which are all on this machine."""
    try:
        return ip_address(HOST) in ip_network(block, strict=False)
    except ValueError:
        return False
