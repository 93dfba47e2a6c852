"""Checks load balancers against Security Hub's controls."""

from collections.abc import Iterator
from typing import Final

from alb_reconcile.kinds.base import Around, Unmet

_ATTRIBUTES: Final = (
    ("ELB.4", "routing.http.drop_invalid_header_fields.enabled", ("true",), "false"),
    ("ELB.5", "access_logs.s3.enabled", ("true",), "false"),
    ("ELB.6", "deletion_protection.enabled", ("true",), "false"),
    ("ELB.12", "routing.http.desync_mitigation_mode", ("defensive", "strictest"), "defensive"),
)
"""For each attribute: its control, its key, the values that meet the control, and AWS's default value."""


def audit(around: Around) -> Iterator[Unmet]:
    """The controls that load balancers of the spec don't meet."""
    for name, entry in around.entries("load_balancers").items():
        address, path = f"load_balancer.{name}", ("load_balancers", name)
        for control, key, good, default in _ATTRIBUTES:
            given = (entry.get("attributes") or {}).get(key)
            value = default if given is None else str(given).lower()
            if value not in good:
                problem = f"isn't set, and AWS's default is {value}" if given is None else f"is {value}"
                more = ", and access_logs.s3.bucket" if control == "ELB.5" else ""
                yield Unmet(control, address, (*path, "attributes", key), problem, f"write {key}: {good[0]}{more}")
        acl = entry.get("web_acl", "")
        if acl in ("", "none"):
            problem = f"{'is none' if acl else 'is missing'}, so no web ACL is in front of it"
            yield Unmet("ELB.16", address, (*path, "web_acl"), problem, "write the ARN of one")
