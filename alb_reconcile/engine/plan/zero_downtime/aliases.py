"""DNS names that lead to another load balancer: not before that serves, and the old one stays until nobody asks it any more."""

from typing import Final

from alb_reconcile.engine.plan.decide import entrance_of
from alb_reconcile.engine.plan.graph import MAKING, Graph, Strength
from alb_reconcile.kinds.record import Record
from alb_reconcile.model.address import Address
from alb_reconcile.model.steps import TakeOver

_TTL: Final = 60
"""Seconds for which resolvers keep an alias of a load balancer (Route 53 Developer Guide, "Values specific for simple alias records")."""


def lead_names_late(graph: Graph) -> None:
    """Assumes that it is known with how many healthy targets each load balancer is taken over (`capacity.guard_capacity`)."""
    for step in graph.of_kind("record", "update"):
        wanted, found = step.desired, step.observed
        if wanted is None or found is None or not isinstance(wanted.state, Record):
            continue
        target = wanted.state.alias
        if not isinstance(target, Address):
            continue
        for taker in graph.forwarding(*MAKING):
            if entrance_of(graph.decisions, taker.desired) == target:
                graph.after(step.key, taker.key, Strength.PREFERRED)
        gone = graph.removers.get(str(getattr(found.state, "alias", "")))
        if gone is not None and graph.steps[gone].address.kind == "load_balancer":
            graph.specify(step.key, graph.steps[gone].detail(TakeOver))
            graph.after(gone, step.key)
            graph.pause(gone, _TTL, "clients have forgotten where its names led")
