"""Checks listeners against Security Hub's controls."""

from collections.abc import Iterator
from typing import Final

from alb_reconcile.kinds.base import Around, Entry, Unmet
from alb_reconcile.model.nodes import Path

_POLICIES: Final = frozenset(
    f"ELBSecurityPolicy-TLS13-1-{name}"
    for name in (
        "3-2021-06", "3-FIPS-2023-04", "2-Res-2021-06", "2-Res-FIPS-2023-04", "2-Res-PQ-2025-09", "3-PQ-2025-09",
        "2-Res-FIPS-PQ-2025-09", "3-FIPS-PQ-2025-09",
    )
)  # fmt: skip
"""The parameter of ELB.17."""
_TO_HTTPS: Final = "redirect: {protocol: HTTPS, port: 443, status_code: HTTP_301}"


def audit(around: Around) -> Iterator[Unmet]:
    """The controls that listeners don't meet."""
    for path, listener in around.all_of("listener"):
        name = f"{path[1]}/{path[3]}"
        if listener["protocol"] == "HTTP":
            plain = [*_plain_actions(path, listener)]
            change = "write protocol: HTTPS"
            if not plain:
                change = f"leave it out (where https makes it: redirect: false), or accept ELB.18 for listener.{name}, as it only redirects"
            yield Unmet("ELB.18", f"listener.{name}", (*path, "protocol"), "is HTTP, which isn't encrypted", change)
            for place, action in plain:
                yield Unmet(
                    "ELB.1", f"load_balancer.{path[1]}", place, f"answers HTTP with {action}", f"write {{{_TO_HTTPS}}}"
                )
        elif "ssl_policy" in listener and listener["ssl_policy"] not in _POLICIES:
            problem = f"{listener['ssl_policy']} isn't one that Security Hub recommends"
            change = "leave it out for ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09 when it is created, or write that"
            yield Unmet("ELB.17", f"listener.{name}", (*path, "ssl_policy"), problem, change)


def _plain_actions(path: Path, listener: Entry) -> Iterator[tuple[Path, str]]:
    """The paths of a default action that isn't a redirect to HTTPS, and of rules that forward."""
    action = listener["default_action"]
    if (action.get("redirect") or {}).get("protocol") != "HTTPS":
        kind = next((key for key in ("forward", "redirect", "fixed_response") if key in action), "another action")
        yield (*path, "default_action"), f"a {kind.replace('_', ' ')}".replace("a another", "another")
    for name, rule in (listener.get("rules") or {}).items():
        if "forward" in rule["action"]:
            yield (*path, "rules", name, "action"), "a forward"
