"""Checks target groups against Security Hub's controls."""

from collections.abc import Iterator

from alb_reconcile.kinds.base import Around, Unmet


def audit(around: Around) -> Iterator[Unmet]:
    """The controls that target groups of the spec don't meet."""
    for name, entry in around.entries("target_groups").items():
        if entry.get("target_type") == "lambda":
            continue
        address, path = f"target_group.{name}", ("target_groups", name)
        if entry.get("protocol") != "HTTPS":
            yield Unmet(
                "ELB.22",
                address,
                (*path, "protocol"),
                "requests go to its targets unencrypted",
                "write protocol: HTTPS",
            )
        if (entry.get("health_check") or {}).get("protocol", "HTTP") != "HTTPS":
            yield Unmet(
                "ELB.21",
                address,
                (*path, "health_check", "protocol"),
                "health checks are HTTP",
                "write protocol: HTTPS",
            )
