"""Checks the rules of security groups against Security Hub's controls."""

from collections.abc import Iterator
from typing import Final

from alb_reconcile.kinds.base import Around, Entry, Unmet
from alb_reconcile.kinds.networks import ANYWHERE
from alb_reconcile.kinds.security_group.reach import ports_of

_ALLOWED: Final = (80, 443)
"""The default of EC2.18's parameter: the ports that may be open to everybody."""
_RISKY: Final = (
    20, 21, 22, 23, 25, 110, 135, 143, 445, 1433, 1434, 3000, 3306, 3389, 4333, 5000, 5432, 5500, 5601, 8080, 8088, 8888,
    9200, 9300,
)  # fmt: skip
"""EC2.19's ports, which mustn't be open to everybody."""
_REMOTE: Final = (22, 3389)
"""The ports of EC2.53 and EC2.54."""


def audit(around: Around) -> Iterator[Unmet]:
    """The controls that ingress rules of the spec don't meet."""
    for path, rule in around.mappings("security_groups", ..., "ingress", ...):
        for control in _open_to_everybody(rule):
            source = rule.get("cidr_block") or rule["ipv6_cidr_block"]
            problem = f"lets everybody ({source}) in on {_ports_in_words(rule)}"
            change = "name the addresses that need it, or a security_group"
            yield Unmet(control, f"security_group.{path[1]}", path, problem, change)


def _open_to_everybody(rule: Entry) -> Iterator[str]:
    """The controls that a rule doesn't meet."""
    source = next((rule[key] for key in ("cidr_block", "ipv6_cidr_block") if rule.get(key) in ANYWHERE), "")
    protocol = rule.get("protocol")
    if not source or protocol not in ("tcp", "udp", "all"):
        return
    first, last = ports_of(rule)
    if protocol != "udp":
        for control, port in (("EC2.13", 22), ("EC2.14", 3389)):
            if first <= port <= last:
                yield control
    if protocol != "tcp" or first != last or first not in _ALLOWED:
        yield "EC2.18"
    if protocol != "udp" and any(first <= port <= last for port in _RISKY):
        yield "EC2.19"
    if any(first <= port <= last for port in _REMOTE):
        yield "EC2.53" if source == ANYWHERE[0] else "EC2.54"


def _ports_in_words(rule: Entry) -> str:
    first, last = ports_of(rule)
    if rule["protocol"] == "all":
        return "every port"
    return f"{rule['protocol']} {first}" + (f"-{last}" if last != first else "")
