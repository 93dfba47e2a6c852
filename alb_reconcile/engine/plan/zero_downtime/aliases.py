"""DNS names that lead to another load balancer, or make way for other names: not before those serve, and the old load balancer stays
until nobody asks it any more."""

from collections.abc import Iterator
from typing import Final

from alb_reconcile.engine.plan.decide import entrance_of
from alb_reconcile.engine.plan.graph import MAKING, Graph, Strength
from alb_reconcile.kinds.listener import Listener
from alb_reconcile.kinds.load_balancer import LoadBalancer
from alb_reconcile.kinds.record import Record
from alb_reconcile.model.address import Address
from alb_reconcile.model.plan import Step
from alb_reconcile.model.resource import each_of
from alb_reconcile.model.steps import TakeOver

_TTL: Final = 60
"""Seconds for which resolvers keep an alias of a load balancer (Route 53 Developer Guide, "Values specific for simple alias records")."""


_FORGOTTEN: Final = "clients have forgotten where its names led"


def lead_names_late(graph: Graph) -> None:
    """Assumes that it is known with how many healthy targets each load balancer is taken over (`capacity.guard_capacity`)."""
    for step in graph.of_kind("record", "update"):
        wanted, found = step.desired, step.observed
        if wanted is None or found is None or not isinstance(wanted.state, Record):
            continue
        target, before = wanted.state.alias, str(getattr(found.state, "alias", ""))
        if not isinstance(target, Address) or graph.decisions.ids.get(target) == before:
            continue
        for taker in graph.forwarding(*MAKING):
            if entrance_of(graph.decisions, taker.desired) == target:
                # what is only changed answers already
                is_there = taker.action == "update"
                graph.after(step.key, taker.key, Strength.SUGGESTED if is_there else Strength.PREFERRED)
        gone = graph.removers.get(before)
        if gone is not None and graph.steps[gone].address.kind == "load_balancer":
            graph.specify(step.key, graph.steps[gone].detail(TakeOver))
            graph.after(gone, step.key)
            graph.pause(gone, _TTL, _FORGOTTEN)
        for left in _answering(graph, before):
            graph.after(left, step.key, Strength.PREFERRED)
            graph.pause(left, _TTL, _FORGOTTEN)

    for step in graph.of_kind("record", "delete"):
        _leave_late(graph, step)


def _leave_late(graph: Graph, step: Step) -> None:
    """A name goes when the other names of its load balancer, or of the one in its place, lead there and it answers to them. What an
    interrupted run has made of them counts as well: it may not have a certificate yet."""
    before = str(getattr(step.observed.state if step.observed else None, "alias", ""))
    old = next((item.address for item, _ in each_of(graph.decisions.live, LoadBalancer) if item.id == before), None)
    wanted = {
        address: state.alias
        for address, item in graph.decisions.desired.items()
        if isinstance(state := item.desired.state, Record) and isinstance(state.alias, Address)
        if old is not None and (state.alias == old or old not in graph.decisions.desired)
    }
    made = [graph.makers[address] for address in wanted if address in graph.makers]
    for left in _answering(graph, before):
        for key in made:
            if graph.steps[key].action != "update":  # one that is led here comes when it answers
                graph.after(left, key, Strength.PREFERRED)
    takers = [
        taker.key
        for taker in graph.forwarding(*MAKING)
        if entrance_of(graph.decisions, taker.desired) in wanted.values()
    ]
    for key in (*made, *takers):
        graph.after(step.key, key, Strength.PREFERRED)


def _answering(graph: Graph, balancer: str) -> Iterator[str]:
    """The steps after which a load balancer that stays may not answer to a name any more: its listeners, which have the
    certificates, and their rules."""
    listeners = {
        item.id: key
        for key, item in ((step.key, step.observed) for step in graph.of_kind("listener", "update", "delete"))
        if item is not None and getattr(item.state, "load_balancer", None) == balancer
    }
    yield from listeners.values()
    ours = {item.id for item, state in each_of(graph.decisions.live, Listener) if state.load_balancer == balancer}
    for step in graph.of_kind("rule", "update", "delete"):
        if step.observed is not None and step.observed.parent_id in ours:
            yield step.key
