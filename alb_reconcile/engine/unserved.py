"""Where nobody can come in."""

from collections.abc import Collection, Iterable

from alb_reconcile.kinds.listener import Listener
from alb_reconcile.kinds.registration import Registration
from alb_reconcile.kinds.target_group import ServedBy
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.resource import Observed, each_of
from alb_reconcile.model.text import printable


def unserved(resources: Iterable[Observed]) -> list[str]:
    """Load balancers without a listener, and groups with targets to which nothing forwards, in words."""
    live = [item for item in resources if not item.is_gone]
    doors = {str(state.load_balancer) for _, state in each_of(live, Listener)}
    asked = {str(part.target_group) for item in live for part in action_of(item.state).forward}
    filled = {str(state.target_group) for item, state in each_of(live, Registration) if not item.is_leaving}
    shut = [f"{item.address} has no listener, so it serves nobody" for item in live if _is_shut(item, doors)]
    idle = [
        f"{item.address} has targets, but no listener or rule forwards to it, so it serves nobody"
        for item in live
        if item.address.kind == "target_group" and item.id in filled - asked
        if not item.detail(ServedBy).load_balancers
    ]
    return [printable(line) for line in shut + idle]


def is_down(health: Collection[str]) -> bool:
    """Whether none of a group's targets answers requests, nor may soon, since its health checks have just begun."""
    return {"healthy", "initial"}.isdisjoint(health)


def _is_shut(item: Observed, doors: Collection[str]) -> bool:
    return item.address.kind == "load_balancer" and not item.is_leaving and item.id not in doors
