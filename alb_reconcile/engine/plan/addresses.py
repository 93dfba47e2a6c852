"""Moves Elastic IP addresses to instances: from which holder, and when."""

from collections.abc import Hashable
from dataclasses import dataclass

from alb_reconcile.engine.plan.graph import MAKING, Graph
from alb_reconcile.kinds import names_of
from alb_reconcile.kinds.identifiers import is_id_of
from alb_reconcile.model.abilities import conflicts, slots
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.decisions import Decision, Decisions, named_ids
from alb_reconcile.model.discovery import Discovery, Finding
from alb_reconcile.model.plan import Step
from alb_reconcile.model.resource import Properties, bind, field_names
from alb_reconcile.model.service import Holder, Member, PublicAddress, Server
from alb_reconcile.model.steps import Associate


@dataclass(frozen=True)
class _Held:
    """The holder of an address, an instance or a network interface, and whether it is, or was, the stack's."""

    by: str = ""
    is_ours: bool = True
    is_server: bool = False


def _holder_of(address: Ref | None, decisions: Decisions, discovery: Discovery) -> _Held:
    allocation = str(address)
    place = discovery.foreign.get(allocation)
    holder = place.holder if place else ""
    for item in decisions.live:
        if item.id == allocation and isinstance(item.details, Holder):
            holder = item.details.instance or item.details.interface
    own = [item for item in discovery.resources if item.owner == decisions.stack]
    is_ours = any(item.id == holder or (item.id != allocation and allocation in named_ids(item.state)) for item in own)
    return _Held(holder, is_ours or not holder, any(is_id_of(name, holder) for name in names_of(Server)))


def new_slots(item: Decision) -> set[Hashable]:
    """The slots, each of which only one resource can have at a time, that an entry is going to get."""
    return {*slots(item.state)}.difference(slots(item.found.state) if item.found and not item.forces else ())


def field_of(wanted: Properties, known: str) -> str:
    """The property that names an id."""
    return next(name for name in sorted(field_names(type(wanted))) if known in named_ids(getattr(wanted, name)))


def held_elsewhere(decisions: Decisions, discovery: Discovery) -> list[Finding]:
    """Findings about addresses that a resource outside the stack holds. For an instance, AWS would take such an address
    away from its holder; a plan does that only with the stack's own addresses, and says so. A NAT gateway never gets such an address, which
    AWS shows only minutes after the call. Nor does it get the address of an instance that is being terminated, before the termination."""
    findings = []
    own = {*decisions.ids.values()}
    leaving = {item.id for item in decisions.live if item.is_leaving}
    for item in decisions.desired.values():
        moves = not conflicts(item.state, item.state)
        for known in named_ids(tuple(new_slots(item))):
            held = _Held() if moves and known in own else _holder_of(known, decisions, discovery)
            if not held.is_ours and (moves or held.is_server):
                text = f"{known} is associated with {held.by}, which isn't this stack's; disassociate it there first, or choose another address"
                findings.append(Finding(item.desired, field_of(item.state, known), text))
            elif held.by in leaving and not moves:
                text = f"{known} is still associated with {held.by}, which is being terminated; apply again when it has gone"
                findings.append(Finding(item.desired, field_of(item.state, known), text))
    return findings


def move_addresses(graph: Graph) -> None:
    """Move each address in one call when its new instance serves; if the old instance is deleted first, when the new one runs.

    Assumes all other edges. Guarantees that an address of the stack is taken from a resource outside the stack only if the plan says so.
    """
    for step in graph.of(PublicAddress, "create", "update"):
        wanted = bind(step.desired.state, graph.decisions.ids) if step.desired else None
        if not isinstance(wanted, PublicAddress):
            continue
        held = _holder_of(wanted.elastic_ip, graph.decisions, graph.discovery)
        if not held.is_ours:
            graph.specify(step.key, Associate(taken_from=held.by))
            graph.say(step.key, effects=f"takes it from {held.by}, which isn't this stack's")
        elif held.by and held.by != wanted.instance:
            _follow(graph, step, wanted, held.by)


def _follow(graph: Graph, step: Step, wanted: PublicAddress, old: str) -> None:
    maker = graph.makers.get(wanted.instance) if isinstance(wanted.instance, Address) else None
    goes = graph.removers.get(old)
    if maker and goes in graph.edges[maker]:
        graph.say(step.key, effects=f"{old} goes first, so nobody has the address until its successor runs")
        return
    arrivals = [
        item.key
        for item in graph.of(Member, *MAKING)
        if maker and item.desired and isinstance(item.desired.state, Member)
        if item.desired.state.target == wanted.instance
    ]
    # an earlier run's successor is registered, and may fail: the old instance leaves its groups only if the successor is healthy
    departures = [] if maker else [key for item in graph.registered[old] if (key := graph.removers.get(item.id))]
    for key in (*arrivals, *departures):
        graph.rather_after(step.key, key)
    graph.rather_after(goes, step.key)  # if AWS refuses to move the address, it stays with the old instance
    moment = "its successor is healthy" if arrivals else "its successor runs" if maker else ""
    when = f" when {moment}" if moment else f" when {old} has left its target groups" if departures else ""
    graph.say(step.key, effects=f"moves the address from {old}{when}; {old} then has another public address, or none")
