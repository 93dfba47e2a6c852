"""Controls of load balancers, listeners and target groups."""

from collections.abc import Iterator
from typing import Final

from alb_reconcile.kinds.base import Entry
from alb_reconcile.model.nodes import Path
from alb_reconcile.spec.outline import Outline
from alb_reconcile.spec.security.findings import Finding

_ATTRIBUTES: Final = (
    ("ELB.4", "routing.http.drop_invalid_header_fields.enabled", ("true",), "false"),
    ("ELB.5", "access_logs.s3.enabled", ("true",), "false"),
    ("ELB.6", "deletion_protection.enabled", ("true",), "false"),
    ("ELB.12", "routing.http.desync_mitigation_mode", ("defensive", "strictest"), "defensive"),
)
"""Attributes: the control, the key, the values that meet it, and AWS's default."""
_POLICIES: Final = frozenset(
    f"ELBSecurityPolicy-TLS13-1-{name}"
    for name in (
        "3-2021-06", "3-FIPS-2023-04", "2-Res-2021-06", "2-Res-FIPS-2023-04", "2-Res-PQ-2025-09", "3-PQ-2025-09",
        "2-Res-FIPS-PQ-2025-09", "3-FIPS-PQ-2025-09",
    )
)  # fmt: skip
"""The parameter of ELB.17."""
_TO_HTTPS: Final = "redirect: {protocol: HTTPS, port: 443, status_code: HTTP_301}"


def find(outline: Outline) -> Iterator[Finding]:
    """What load balancers, listeners and target groups don't meet."""
    for name, entry in outline.entries("load_balancers").items():
        yield from _of_load_balancer(name, entry)
    for path, listener in outline.listeners:
        yield from _of_listener(path, listener)
    for name, entry in outline.entries("target_groups").items():
        if entry.get("target_type") != "lambda":
            yield from _of_target_group(name, entry)


def _of_load_balancer(name: str, entry: Entry) -> Iterator[Finding]:
    address, path = f"load_balancer.{name}", ("load_balancers", name)
    for control, key, good, default in _ATTRIBUTES:
        given = (entry.get("attributes") or {}).get(key)
        value = default if given is None else str(given).lower()
        if value not in good:
            problem = f"isn't set, and AWS's default is {value}" if given is None else f"is {value}"
            more = ", and access_logs.s3.bucket" if control == "ELB.5" else ""
            yield Finding(control, address, (*path, "attributes", key), problem, f"write {key}: {good[0]}{more}")
    acl = entry.get("web_acl", "")
    if acl in ("", "none"):
        problem = f"{'is none' if acl else 'is missing'}, so no web ACL is in front of it"
        yield Finding("ELB.16", address, (*path, "web_acl"), problem, "write the ARN of one")


def _of_listener(path: Path, listener: Entry) -> Iterator[Finding]:
    name = f"{path[1]}/{path[3]}"
    if listener["protocol"] == "HTTP":
        plain = [*_plain_actions(path, listener)]
        change = "write protocol: HTTPS"
        if not plain:
            change = f"leave it out (where https makes it: redirect: false), or accept ELB.18 for listener.{name}, as it only redirects"
        yield Finding("ELB.18", f"listener.{name}", (*path, "protocol"), "is HTTP, which isn't encrypted", change)
        for place, action in plain:
            yield Finding(
                "ELB.1", f"load_balancer.{path[1]}", place, f"answers HTTP with {action}", f"write {{{_TO_HTTPS}}}"
            )
    elif "ssl_policy" in listener and listener["ssl_policy"] not in _POLICIES:
        problem = f"{listener['ssl_policy']} isn't one that Security Hub recommends"
        change = "leave it out for ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09 when it is created, or write that"
        yield Finding("ELB.17", f"listener.{name}", (*path, "ssl_policy"), problem, change)


def _plain_actions(path: Path, listener: Entry) -> Iterator[tuple[Path, str]]:
    """The default action if it isn't a redirect to HTTPS, and rules that forward."""
    action = listener["default_action"]
    if (action.get("redirect") or {}).get("protocol") != "HTTPS":
        kind = next((key for key in ("forward", "redirect", "fixed_response") if key in action), "another action")
        yield (*path, "default_action"), f"a {kind.replace('_', ' ')}".replace("a another", "another")
    for name, rule in (listener.get("rules") or {}).items():
        if "forward" in rule["action"]:
            yield (*path, "rules", name, "action"), "a forward"


def _of_target_group(name: str, entry: Entry) -> Iterator[Finding]:
    address, path = f"target_group.{name}", ("target_groups", name)
    if entry.get("protocol") != "HTTPS":
        yield Finding(
            "ELB.22", address, (*path, "protocol"), "requests go to its targets unencrypted", "write protocol: HTTPS"
        )
    if (entry.get("health_check") or {}).get("protocol", "HTTP") != "HTTPS":
        yield Finding(
            "ELB.21", address, (*path, "health_check", "protocol"), "health checks are HTTP", "write protocol: HTTPS"
        )
