"""Orders steps as AWS asks for: a named resource exists, a deleted one is no longer named, and each kind has what it needs of another."""

from collections.abc import Iterator
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from itertools import product

from alb_reconcile.engine.plan.graph import MAKING, Graph
from alb_reconcile.engine.plan.renames import refuse_successors
from alb_reconcile.engine.plan.slot_order import refuse_held, refuse_kept_names
from alb_reconcile.model.abilities import is_needy, needs
from alb_reconcile.model.address import Address
from alb_reconcile.model.decisions import named_ids
from alb_reconcile.model.errors import PlanError
from alb_reconcile.model.plan import Act, Need, Step
from alb_reconcile.model.resource import bind, each_of, field_names, references, stops
from alb_reconcile.model.service import Associations, Routes
from alb_reconcile.model.steps import HandOver


def add_edges(graph: Graph) -> None:
    """Add the edges without which AWS refuses a step, or does something else."""
    _after_what_is_named(graph)
    _after_whoever_names_it(graph)
    _after_what_is_followed(graph)
    _after_what_is_needed(graph)
    _hand_over_subnets(graph)


def _after_what_is_named(graph: Graph) -> None:
    for key, step in graph.steps.items():
        if step.action in MAKING and step.desired is not None:
            for address in references(step.desired.state):
                maker = graph.makers.get(address)
                if maker is None:
                    continue
                # a resource that is only updated exists already; but AWS registers only instances that run
                if graph.steps[maker].action != "update" or _stops(graph.steps[maker]):
                    graph.after(key, maker)
                elif graph.steps[maker].act is Act.PREPARE and not step.takes_away:
                    graph.after(key, maker, Need.ORDER)


def _stops(step: Step) -> bool:
    """Whether an update of an instance stops or starts it."""
    is_switched = any(change.path == "state" for change in step.changes)
    return step.desired is not None and (is_switched or stops(step.changes, type(step.desired.state)))


def _after_whoever_names_it(graph: Graph) -> None:
    """Let a delete follow every step that changes or deletes a resource which names the deleted one now."""
    for key, step in graph.steps.items():
        if step.observed is None or step.action in ("create", "replace"):
            continue
        state = step.observed.state
        fields = step.tops
        parts = [state] if step.action == "delete" else [getattr(state, name, None) for name in fields]
        for text in (text for part in parts for text in named_ids(part)):
            # a part that AWS deletes with its parent needn't be detached before
            if not (step.action == "update" and text == step.observed.parent_id):
                graph.after(graph.removers.get(text), key)
    for found in graph.decisions.live:
        if found.id in graph.implied:
            for text in named_ids(found.state):
                # resources that a listener names are free when its load balancer's deletion begins; those that the balancer names are held
                # by its network interfaces
                graph.after(
                    graph.removers.get(text), graph.implied[found.id], Need.ANNOUNCED if graph.destroy else Need.DONE
                )


def _after_what_is_followed(graph: Graph) -> None:
    holders = {holder for _, holder in graph.rooms}  # a resource that gives a slot up is deleted first
    for kind in graph.decisions.kinds:
        for followed in kind.follows:
            made = [step.key for step in graph.of_kind(followed, *MAKING) if not step.takes_away]
            gone = [step.key for step in graph.of_kind(followed, "delete")]
            for step in graph.of_kind(kind.kind, "create", "replace"):
                for key in made:
                    graph.after(step.key, key, Need.ORDER)
            for step in graph.of_kind(kind.kind, "delete"):
                for key in gone:
                    if key not in holders:
                        graph.after(key, step.key)


def _after_what_is_needed(graph: Graph) -> None:
    """Let a resource that needs another of its kind be made after that one, and deleted or changed before that one."""
    for kind in filter(is_needy, graph.decisions.kinds):
        made = graph.of_kind(kind.kind, "create", "replace")
        for step, other in product(graph.of_kind(kind.kind, *MAKING), made):
            if step.desired and other.desired and needs(step.desired.state, other.desired.state):
                graph.after(step.key, other.key)
        gone = graph.of_kind(kind.kind, "delete")
        for step, other in product([*graph.of_kind(kind.kind, "update"), *gone], gone):
            if step.observed and other.observed and needs(step.observed.state, other.observed.state):
                graph.after(other.key, step.key)


def _hand_over_subnets(graph: Graph) -> None:
    """Let a subnet's new route table take the subnet over in one call, before the old table is deleted: so the subnet always has a
    table."""
    tables = graph.of(Routes, "create", "replace", "update", "delete")
    if not tables:
        return
    associations = {
        subnet: association
        for found, _ in each_of(graph.decisions.live, Routes)
        for subnet, association in found.detail(Associations).by_subnet.items()
    }
    claims = {
        address: {bind(subnet, graph.decisions.ids) for subnet in item.desired.state.subnets or ()}
        for address, item in graph.decisions.desired.items()
        if isinstance(item.desired.state, Routes)
    }
    for step in tables:
        is_old = step.action == "delete"
        others = [subnets for address, subnets in claims.items() if address != step.address or is_old]
        moving = {subnet for subnets in others for subnet in subnets}
        graph.specify(step.key, HandOver(frozenset(map(str, moving)), associations))
        if is_old and step.observed:
            for taker, subnets in claims.items():
                if subnets.intersection(step.observed.detail(Associations).by_subnet):
                    graph.after(step.key, graph.makers.get(taker))


def sort_keys(graph: Graph) -> list[str]:
    """The keys of the steps in an order that follows all edges; steps that may come in any order are in the order of the spec.

    Raises PlanError if no order exists, but two applies would do; RefusedError if a kept name, or another slot, prevents the change.
    """
    try:
        return list(_stable_order({key: set(graph.edges.get(key, ())) for key in graph.steps}))
    except CycleError as error:
        cycle = error.args[1]
        refuse_successors(steps_of(graph, cycle), graph.decisions.ids)
        refuse_kept_names(graph, cycle)
        refuse_held(graph, cycle)
        names = [str(graph.steps[key].address) for key in dict.fromkeys(cycle)]
        raise PlanError(
            f"dependency cycle: {' → '.join(names)}; make the changes in two steps: apply one of them "
            "alone first; where a name, address or range moves to another resource, first give the new one a different value, apply, "
            "then delete the old one"
        ) from None


def steps_of(graph: Graph, keys: list[str]) -> tuple[Step, ...]:
    """The steps with these keys, each with its needs."""
    return tuple(_with_needs(graph, key, sorted(graph.edges.get(key, ()))) for key in keys)


def _with_needs(graph: Graph, key: str, needs: list[str]) -> Step:
    how = {earlier: graph.edges[key][earlier] for earlier in needs}
    how |= dict.fromkeys(_needed_late(graph, graph.steps[key]).intersection(needs), Need.MADE)
    return replace(graph.steps[key], needs=how)


def _needed_late(graph: Graph, step: Step) -> set[str]:
    """The keys of the steps that make resources which a create needs only after its first call."""
    if step.desired is None or step.action == "update" or not step.desired.state.needed_late:
        return set()
    state = step.desired.state
    named: dict[bool, set[Address]] = {True: set(), False: set()}
    for name in field_names(type(state)):
        named[name in state.needed_late].update(references(getattr(state, name)))
    makers = {graph.makers[address] for address in named[True] - named[False] if address in graph.makers}
    return {key for key in makers if graph.steps[key].action != "update"}


def _stable_order(graph: dict[str, set[str]]) -> Iterator[str]:
    places = {key: index for index, key in enumerate(graph)}
    sorter = TopologicalSorter(graph)
    sorter.prepare()
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=places.__getitem__)
        yield from ready
        sorter.done(*ready)
