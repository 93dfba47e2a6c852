"""DNS names: one that goes waits for those in its place, and what is behind a name that leads elsewhere waits for its load balancer."""

from collections.abc import Iterator

from alb_reconcile.engine.plan.decide import entrance_of
from alb_reconcile.engine.plan.graph import MAKING, Graph
from alb_reconcile.kinds.listener import Listener
from alb_reconcile.kinds.load_balancer import LoadBalancer
from alb_reconcile.kinds.record import Record
from alb_reconcile.model.address import Address
from alb_reconcile.model.plan import Step
from alb_reconcile.model.resource import each_of
from alb_reconcile.model.steps import TakeOver


def lead_names_late(graph: Graph) -> None:
    """A name leads to the load balancer that takes over when that serves; one goes when the others of its load balancer, or of the one
    in its place, lead there and it answers to them. What an interrupted run has made of them counts as well.

    Assumes that it is known with how many healthy targets each load balancer is taken over (`capacity.guard_capacity`).
    """
    for step in graph.of_kind("record", "update"):
        gone = graph.removers.get(str(getattr(step.observed.state if step.observed else None, "alias", "")))
        is_led_elsewhere = any(change.path == "alias" for change in step.changes)
        if gone is not None and is_led_elsewhere and graph.steps[gone].address.kind == "load_balancer":
            graph.specify(step.key, graph.steps[gone].detail(TakeOver))
    for step in graph.of_kind("record", "delete"):
        made = [key for key in _in_its_place(graph, step) if graph.steps[key].action in MAKING]
        for key in made:
            graph.rather_after(step.key, key)
        for left in _answering(graph, step):
            for key in made:
                if graph.steps[key].address.kind == "record" and graph.steps[key].action != "update":
                    graph.rather_after(left, key)  # one that is led here comes when it answers


def _answering(graph: Graph, step: Step) -> Iterator[str]:
    """The steps after which its load balancer, if it stays, may not answer to a name any more: of listeners, which have the
    certificates, and of their rules."""
    balancer = str(getattr(step.observed.state if step.observed else None, "alias", ""))
    ours = {item.id for item, state in each_of(graph.decisions.live, Listener) if state.load_balancer == balancer}
    for other in graph.forwarding("update", "delete"):
        if other.observed is not None and not {other.observed.id, other.observed.parent_id}.isdisjoint(ours):
            yield other.key


def _in_its_place(graph: Graph, step: Step) -> Iterator[str]:
    """The steps that make other names of its load balancer, or of the one in its place, and let it answer."""
    before = str(getattr(step.observed.state if step.observed else None, "alias", ""))
    old = next((item.address for item, _ in each_of(graph.decisions.live, LoadBalancer) if item.id == before), None)
    wanted = {
        address: state.alias
        for address, item in graph.decisions.desired.items()
        if isinstance(state := item.desired.state, Record) and isinstance(state.alias, Address)
        if old is not None and (state.alias == old or old not in graph.decisions.desired)
    }
    yield from (graph.makers[address] for address in wanted if address in graph.makers)
    for taker in graph.forwarding(*MAKING):
        if entrance_of(graph.decisions, taker.desired) in wanted.values():
            yield taker.key
