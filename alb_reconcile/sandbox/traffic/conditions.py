"""Conditions of listener rules, as what Envoy compares: regular expressions (RE2) over headers."""

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


def match_headers(conditions: Iterable[Mapping[str, Any]]) -> list[Matcher] | None:
    """Envoy's HeaderMatchers, all of which must hold; None if no request can meet the conditions.

    AWS ELB, 'Condition types for listener rules': values of a condition are alternatives; `*` stands for any
    characters, `?` for one, and a backslash takes that meaning away; only paths and methods tell upper from lower
    case. Raises nothing: a condition of a kind that isn't known is never met.
    """
    matchers = []
    for condition in conditions:
        matcher = _match(condition)
        if matcher is None:
            return None
        matchers += matcher
    return matchers


def _match(condition: Mapping[str, Any]) -> list[Matcher] | None:
    field = str(condition.get("Field", ""))
    config = condition.get(_CONFIG.get(field, ""), {}) or {}
    values = config.get("Values") or condition.get("Values") or []
    if field == "source-ip":
        return [] if any(_is_local(value) for value in values) else None
    if field == "http-request-method":
        return [compare(":method", _any_of(re.escape(value) for value in values))]
    if field == "query-string":
        pairs = [value if isinstance(value, dict) else {"Value": value} for value in values]
        return [compare(":path", f"(?i)[^?]*\\?(?:.*&)?(?:{_any_of(map(_pair, pairs))})(?:&.*)?")]
    patterns = [translate(value) for value in values]
    if field == "path-pattern":
        patterns = [translate(value, "[^?]") for value in values] + list(config.get("RegexValues") or [])
        return [compare(":path", f"(?:{_any_of(patterns)})(?:\\?.*)?")]
    patterns += config.get("RegexValues") or []
    if field == "host-header":
        return [compare(":authority", f"(?i)(?:{_any_of(patterns)})(?::[0-9]+)?")]
    if field == "http-header":
        return [compare(str(config.get("HttpHeaderName", "")), f"(?i)(?:{_any_of(patterns)})")]
    return None


def compare(header: str, expression: str) -> Matcher:
    """A header that an expression describes as a whole."""
    return {"name": header, "string_match": {"safe_regex": {"regex": f"(?s){expression}"}}}


def translate(pattern: str, anything: str = ".") -> str:
    """A pattern with wildcards as a regular expression. `anything` is what a wildcard stands for."""
    found = re.findall(r"\\[*?\\]|.", pattern, re.DOTALL)
    wild = {"*": f"{anything}*", "?": anything}
    return "".join(wild.get(part) or re.escape(part[-1]) for part in found)


def _pair(pair: Mapping[str, str]) -> str:
    key = translate(pair["Key"], "[^&=]") if pair.get("Key") else "[^&=]*"
    return f"{key}={translate(pair.get('Value', ''), '[^&]')}"


def _any_of(expressions: Iterable[str]) -> str:
    return "|".join(expressions)


def _is_local(block: str) -> bool:
    """Whether the sandbox's clients are in it: they all come from this machine."""
    try:
        return ip_address(HOST) in ip_network(block, strict=False)
    except ValueError:
        return False
