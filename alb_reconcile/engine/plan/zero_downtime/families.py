"""Addresses that a load balancer gives up (IPv6, or public IPv4): clients have forgotten them before."""

from collections.abc import Mapping
from typing import Final

from alb_reconcile.engine.plan.graph import Graph, Strength
from alb_reconcile.kinds import waits
from alb_reconcile.kinds.record import Record

_GIVEN_UP: Final[Mapping[str, tuple[str, str]]] = {
    "ipv4": ("AAAA", "IPv6"),
    "dualstack-without-public-ipv4": ("A", "public IPv4"),
}
"""What a dual-stack load balancer loses by its next type: the records that lead there, and the addresses."""
_TTL: Final = 60


def forget_addresses_first(graph: Graph) -> None:
    """The records that lead to such addresses go first, and a pause lets resolvers forget them. What an interrupted run has
    deleted a moment ago can't be seen, so that the pause is for every load balancer that has names."""
    for step in graph.of_kind("load_balancer", "update"):
        change = next((item for item in step.changes if item.path == "ip_address_type"), None)
        if change is None or change.before != "dualstack" or change.after not in _GIVEN_UP:
            continue
        kind, addresses = _GIVEN_UP[change.after]
        names = [
            item for item in graph.decisions.live if isinstance(item.state, Record) and item.state.alias == step.id
        ]
        for record in graph.of_kind("record", "delete"):
            if record.observed in names and getattr(record.observed.state, "type", "") == kind:
                graph.after(step.key, record.key, Strength.PREFERRED)
        if names:
            graph.pause(
                step.key, _TTL + int(waits.RECORDS_USUALLY), f"clients have forgotten its {addresses} addresses"
            )
