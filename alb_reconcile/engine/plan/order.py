"""The order of steps, from what they refer to, what they hold and what they follow."""

import json
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from itertools import product
from typing import Final

from alb_reconcile.engine.plan.decide import named_ids
from alb_reconcile.engine.plan.graph import MAKING, Graph, Strength
from alb_reconcile.engine.plan.renames import refuse_successors
from alb_reconcile.kinds.route_table import Associations, RouteTable
from alb_reconcile.kinds.subnet import Subnet
from alb_reconcile.model.abilities import conflicts, is_needy, needs, slots
from alb_reconcile.model.address import Address
from alb_reconcile.model.errors import PlanError, RefusedError
from alb_reconcile.model.plan import Need, Step, plain
from alb_reconcile.model.resource import Observed, bind, each_of, field_names, references, stops
from alb_reconcile.model.steps import HandOver


def add_edges(graph: Graph) -> None:
    """The edges that hold for every kind."""
    _after_what_is_named(graph)
    _after_whoever_names_it(graph)
    _replacements_first(graph)
    _after_whoever_leaves_the_slot(graph)
    _after_what_is_followed(graph)
    _after_what_is_needed(graph)
    _into_complete_networks(graph)
    _hand_over_subnets(graph)


def _after_what_is_named(graph: Graph) -> None:
    for key, step in graph.steps.items():
        if step.action in MAKING and step.desired is not None:
            for address in references(step.desired.state):
                maker = graph.makers.get(address)
                if maker is None or key not in graph.edges[maker]:  # a listener may have to wait for its rules
                    # what is only changed is there already; but nobody registers an instance that doesn't run
                    there = maker is not None and graph.steps[maker].action == "update"
                    mere = there and not _stops(graph.steps[str(maker)])
                    if not (
                        mere and step.takes_away
                    ):  # a VPC's range goes when its subnets have left their tables
                        graph.after(key, maker, Strength.ORDERED if mere else Strength.REQUIRED)


def _stops(step: Step) -> bool:
    """Whether an update of an instance stops or starts it."""
    is_switched = any(change.path == "state" for change in step.changes)
    return step.desired is not None and (is_switched or stops(step.changes, type(step.desired.state)))


def _after_whoever_names_it(graph: Graph) -> None:
    """A delete follows every step that changes or deletes something whose observed state names it."""
    for key, step in graph.steps.items():
        if step.observed is None or step.action in ("create", "replace"):
            continue
        state = step.observed.state
        fields = {change.path.partition(".")[0] for change in step.changes}
        parts = [state] if step.action == "delete" else [getattr(state, name, None) for name in fields]
        for text in (text for part in parts for text in named_ids(part)):
            # what AWS ends with its parent needn't leave it before
            is_parent = step.action == "update" and text == step.observed.parent_id
            graph.after(graph.removers.get(text), key, Strength.PREFERRED if is_parent else Strength.REQUIRED)
    for found in graph.decisions.live:
        if found.id in graph.implied:
            for text in named_ids(found.state):
                _after_what_takes_it_along(graph, graph.removers.get(text), graph.implied[found.id])


def _after_what_takes_it_along(graph: Graph, later: str | None, key: str) -> None:
    """What a listener names is free as soon as its load balancer is deleted; what that names itself, its network interfaces hold."""
    if graph.destroy and later and key not in graph.edges[later]:
        graph.announced[later].add(key)
    graph.after(later, key)


def _replacements_first(graph: Graph) -> None:
    for key, step in graph.steps.items():
        if step.part_of is not None:
            graph.after(key, step.part_of, Strength.PREFERRED)


def _after_whoever_leaves_the_slot(graph: Graph) -> None:
    leaving = _leaving(graph)
    for key, step in graph.steps.items():
        if step.action not in MAKING or step.desired is None or step.state is None:
            continue
        held = set(slots(step.observed.state)) if step.observed and step.action == "update" else set()
        wanted = bind(step.desired.state, graph.decisions.ids)
        for slot in set(slots(wanted)) - held:
            for other, found in leaving[slot]:
                if not conflicts(wanted, found.state):
                    continue
                back = graph.edges[other].get(key)
                if back is not None and back.gives_way:  # it would rather have it the other way round
                    graph.release(other, key)
                graph.after(key, other)


def _leaving(graph: Graph) -> dict[Hashable, list[tuple[str, Observed]]]:
    """Who holds which slot and may leave it, by slot, with the step by which they do."""
    leaving: dict[Hashable, list[tuple[str, Observed]]] = defaultdict(list)
    steps = graph.steps.items()
    goers = [(key, step.observed) for key, step in steps if step.observed and step.action in ("delete", "update")]
    goers += [(graph.implied[found.id], found) for found in graph.decisions.live if found.id in graph.implied]
    for key, found in goers:
        for slot in slots(found.state):
            leaving[slot].append((key, found))
    return leaving


def _after_what_is_followed(graph: Graph) -> None:
    for kind in graph.decisions.kinds:
        for followed in kind.follows:
            made = [step.key for step in graph.of_kind(followed, *MAKING) if not step.takes_away]
            gone = [step.key for step in graph.of_kind(followed, "delete")]
            for step in graph.of_kind(kind.kind, "create", "replace"):
                for key in made:
                    graph.after(step.key, key, Strength.ORDERED)
            for step in graph.of_kind(kind.kind, "delete"):
                for key in gone:
                    # one that has to make room for another, which successors wait for, goes before
                    graph.after(key, step.key, Strength.PREFERRED)


def _after_what_is_needed(graph: Graph) -> None:
    """Of one kind, whoever needs another one comes after it, and goes, or is changed, before."""
    for kind in filter(is_needy, graph.decisions.kinds):
        made = graph.of_kind(kind.kind, "create", "replace")
        for step, other in product(graph.of_kind(kind.kind, *MAKING), made):
            if step.desired and other.desired and needs(step.desired.state, other.desired.state):
                graph.after(step.key, other.key)
        gone = graph.of_kind(kind.kind, "delete")
        for step, other in product([*graph.of_kind(kind.kind, "update"), *gone], gone):
            if step.observed and other.observed and needs(step.observed.state, other.observed.state):
                graph.after(other.key, step.key)


def _into_complete_networks(graph: Graph) -> None:
    """Who moves into a subnet or a security group finds its routes and rules there."""
    network = [*graph.of_kind("route_table", *MAKING), *graph.of_kind("security_group_rules", *MAKING)]
    moving = [*graph.of_kind("load_balancer", "update", "replace"), *graph.of_kind("listener", *MAKING)]
    for step in [*moving, *graph.of_kind("instance", "update")]:
        for complete in network:
            if not complete.takes_away:
                graph.after(step.key, complete.key, Strength.SUGGESTED)


def _hand_over_subnets(graph: Graph) -> None:
    """A subnet that moves to another table is moved by that one, in one call; the old one lets it go without a gap."""
    tables = graph.of_kind("route_table", "create", "replace", "update", "delete")
    if not tables:
        return
    associations = {
        subnet: association
        for found, _ in each_of(graph.decisions.live, RouteTable)
        for subnet, association in found.detail(Associations).by_subnet.items()
    }
    claims = {
        address: {bind(subnet, graph.decisions.ids) for subnet in item.desired.state.subnets or ()}
        for address, item in graph.decisions.desired.items()
        if isinstance(item.desired.state, RouteTable)
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
    """The keys of the steps in an order that keeps all edges, and alike ones in the order of the spec.

    Edges that give way are given up where they contradict others.

    Raises PlanError where only a detour leads there; RefusedError where not even a detour does, since a name is kept.
    """
    while True:
        needs = {key: set(graph.edges.get(key, ())) for key in graph.steps}
        try:
            return list(_stable_order(needs))
        except CycleError as error:
            import os
            if os.environ.get("ACTS") == "2":
                cyc = list(dict.fromkeys(error.args[1]))
                raise PlanError("CYCLE " + " > ".join(f"{k.split('@')[0]}[{graph.steps[k].act[0]}{'E' if k in graph.early else ''}]{'' if n not in graph.edges[k] else '<-'+graph.edges[k][n].name[0]}" for k, n in zip(cyc, cyc[1:]+cyc[:1])))
            if not graph.cut(error.args[1]):
                refuse_successors(steps_of(graph, error.args[1]), graph.decisions.ids)
                _refuse_kept_names(graph, error.args[1])
                _refuse_held(graph, error.args[1])
                names = [str(graph.steps[key].address) for key in dict.fromkeys(error.args[1])]
                import os
                if os.environ.get("ACTS"):
                    cyc = list(dict.fromkeys(error.args[1]))
                    raise PlanError("CYCLE " + " > ".join(f"{k.split('@')[0]}[{graph.steps[k].act[0]}{'E' if k in graph.early else ''}]{'' if n not in graph.edges[k] else '<-'+graph.edges[k][n].name[0]}" for k, n in zip(cyc, cyc[1:]+cyc[:1])))
                raise PlanError(
                    f"dependency cycle: {' → '.join(names)}; make the changes in two steps: apply one of them "
                    "alone first; where a name, address or range moves to another resource, first give the new one a different value, apply, "
                    "then delete the old one"
                ) from None


def _refuse_kept_names(graph: Graph, keys: Iterable[str]) -> None:
    """Refuse replacements of what is in use and has a name that only one can have."""
    problems = []
    for key in sorted(set(keys)):
        item = graph.decisions.desired.get(graph.steps[key].address)
        if item is None or item.found is None or not item.forces or graph.steps[key].action != "replace":
            continue
        name = getattr(item.state, "name", None)
        if name and name == getattr(item.found.state, "name", None) and any(slots(item.state)):
            differs = " and ".join(
                f"{change.path} is {_json(change.before)} and should be {_json(change.after)}"
                for change in item.changes
                if change.path in item.forces
            )
            why = f"{differs}, which can't be changed in place" if differs else item.reason
            problems.append(
                f"{item.desired.address}: {why}; another one can't be named "
                f"{_json(name)} as long as this one is in use: keep what it has, or change name, too"
            )
    if problems:
        raise RefusedError("\n".join(problems))


def _refuse_held(graph: Graph, keys: Iterable[str]) -> None:
    """Refuse to make what is to have something that only one can have, and that its holder can't give up before."""
    problems = []
    cycle = {key: graph.steps[key] for key in sorted(set(keys))}
    for later, earlier in ((cycle[key], cycle[other]) for key in cycle for other in graph.edges[key] if other in cycle):
        wanted, holder = later.desired, earlier.observed
        if later.action not in MAKING or wanted is None or holder is None or earlier.action == "replace":
            continue
        bound = bind(wanted.state, graph.decisions.ids)
        for slot in set(slots(bound)).intersection(slots(holder.state)):
            what, *rest = slot if isinstance(slot, tuple) else (slot,)
            fields = [name for name in wanted.declared if rest and rest[-1] in named_ids(getattr(bound, name, None))]
            if isinstance(bound, Subnet):  # which only overlaps
                parts = {name: Subnet(vpc=bound.vpc, **{name: getattr(bound, name)}) for name in _RANGES}
                fields = [name for name in _RANGES if name in wanted.declared and conflicts(parts[name], holder.state)]
                rest = [getattr(bound, name) for name in fields[:1]]
            if len(rest) == 1 and fields and fields[0] != "vpc":
                known = graph.addresses.get(rest[0], rest[0])
                problems.append(
                    f"{wanted.at(fields[0])}: the new {later.address} can't have {known} as long as {earlier.address} "
                    f"({holder.id}) has it, which can't go before the new one is there; give it another {what}"
                )
    if problems:
        raise RefusedError("\n".join(problems))


_RANGES: Final = ("cidr_block", "ipv6_cidr_block")


def _json(value: object) -> str:
    return json.dumps(plain(value), ensure_ascii=False)


def steps_of(graph: Graph, keys: list[str]) -> tuple[Step, ...]:
    """The steps, with what each of them needs."""
    return tuple(_with_needs(graph, key, sorted(graph.edges.get(key, ()))) for key in keys)


def _with_needs(graph: Graph, key: str, needs: list[str]) -> Step:
    order = {earlier for earlier in needs if graph.edges[key][earlier].is_mere_order}
    how = dict.fromkeys(needs, Need.DONE) | dict.fromkeys(order, Need.ORDER)
    how |= dict.fromkeys(graph.announced[key].intersection(needs), Need.ANNOUNCED)
    how |= dict.fromkeys(_needed_late(graph, graph.steps[key]).intersection(needs), Need.MADE)
    return replace(graph.steps[key], needs=how)


def _needed_late(graph: Graph, step: Step) -> set[str]:
    """The steps that make what a create needs after its first call only."""
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
