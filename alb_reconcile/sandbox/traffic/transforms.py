"""Converts a rule's transforms to settings of an Envoy filter, which finds the new host and URL; `balancer.lua` then sets them."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

FILTER: Final = "envoy.filters.http.header_to_metadata"
NAMESPACE: Final = "alb.transforms"
FAILED: Final = "-failed-"
"""The result in place of a transform that can't be carried out."""
_TYPE: Final = "type.googleapis.com/envoy.extensions.filters.http.header_to_metadata.v3.Config"
_PARTS: Final = {
    "host-header-rewrite": ("HostHeaderRewriteConfig", ":authority", "host"),
    "url-rewrite": ("UrlRewriteConfig", ":path", "path"),
}


def http_filter() -> dict[str, Any]:
    """Envoy's filter for transforms. It does nothing on routes without settings of their own (`rewrites`)."""
    return {"name": FILTER, "typed_config": {"@type": _TYPE}}


def rewrites(transforms: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """A route's settings for the filter (`typed_per_filter_config`); empty without transforms.

    AWS ELB, 'Transforms for listener rules': the URL is path and query (aws-load-balancer-controller, issue 4688: it writes
    `^([^?]*)` for the path alone); without a match the request isn't changed; `$1` to `$9` are capture groups. Here all
    matches in a text are replaced, which AWS doesn't document.
    """
    rules = [_rule(*_PARTS[item["Type"]], item) for item in transforms if item.get("Type") in _PARTS]
    return {FILTER: {"@type": _TYPE, "request_rules": rules}} if rules else {}


def _rule(config: str, header: str, key: str, transform: Mapping[str, Any]) -> dict[str, Any]:
    rewrite = transform[config]["Rewrites"][0]
    change = {
        "pattern": {"regex": rewrite["Regex"]},
        "substitution": _substitution(rewrite["Regex"], rewrite["Replace"]),
    }
    return {
        "header": header,
        "on_header_present": {"metadata_namespace": NAMESPACE, "key": key, "regex_value_rewrite": change},
    }


def _substitution(regex: str, replacement: str) -> str:
    """The replacement in RE2's syntax; `FAILED` if it names a capture group that the expression doesn't have."""
    named = [int(digit) for digit in re.findall(r"\$([0-9])", replacement)]
    try:
        groups = re.compile(regex).groups
    except re.error:  # the expression is valid in RE2, not in Python
        groups = 9
    if max(named, default=0) > groups:
        return FAILED
    return re.sub(r"\$([0-9])", r"\\\1", replacement.replace("\\", "\\\\"))
