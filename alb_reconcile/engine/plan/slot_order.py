"""Orders the use of what can't exist twice, such as a name that the spec gave, a port or an address range: its holder gives it up first."""

import json
from collections import defaultdict
from collections.abc import Hashable, Iterable

from alb_reconcile.engine.plan.graph import MAKING, Graph
from alb_reconcile.model.abilities import conflicts, slots
from alb_reconcile.model.decisions import named_ids
from alb_reconcile.model.errors import RefusedError
from alb_reconcile.model.plan import Act, plain
from alb_reconcile.model.resource import Observed, Properties, bind, field_names, with_fields


def make_room(graph: Graph) -> None:
    """Let each step that gives a slot to a resource follow the step by which another resource gives the slot up (`Graph.rooms`).

    Between the two steps no resource has the slot. Slots that AWS moves in one call aren't among these.
    """
    leaving = _leaving(graph)
    for key, step in graph.steps.items() if leaving else ():
        if step.action not in MAKING or step.desired is None or step.state is None or step.takes_away:
            continue
        held = set(slots(step.observed.state)) if step.observed and step.action == "update" else set()
        wanted = bind(step.desired.state, graph.decisions.ids)
        for slot in set(slots(wanted)) - held:
            for other, holder in leaving[slot]:
                if other != key and conflicts(wanted, holder.state):
                    graph.after(key, other)
                    graph.rooms.append((key, other))


def _leaving(graph: Graph) -> dict[Hashable, list[tuple[str, Observed]]]:
    """The holders of slots that may give them up, by slot; each with the key of the step by which it does."""
    leaving: dict[Hashable, list[tuple[str, Observed]]] = defaultdict(list)
    steps = graph.steps.items()
    goers = [(key, step.observed) for key, step in steps if step.observed and step.action in ("delete", "update")]
    goers += [(graph.implied[found.id], found) for found in graph.decisions.live if found.id in graph.implied]
    for key, found in goers:
        for slot in slots(found.state):
            leaving[slot].append((key, found))
    return leaving


def go_first(graph: Graph) -> None:
    """Note, in `Graph.early`, the steps that give a slot up before another resource gets it, and all steps before them that take something
    away.

    Assumes the edges that AWS asks for, and those of instances that have no surge.
    """
    early = {holder for _, holder in graph.rooms if graph.steps[holder].action in ("delete", "update")}
    early |= {
        key for key, step in graph.steps.items() if step.part_of is not None and key in graph.before(step.part_of)
    }
    for key in [*early]:
        early |= {other for other in graph.before(key) if graph.steps[other].takes_away}
    graph.early = early


def keep_gaps_short(graph: Graph) -> None:
    """Let a step that gives a slot up, and the early steps before it, wait for everything that the steps after it wait for: so the time
    without a holder is short.

    Assumes all other edges.
    """
    for _, holder in graph.rooms:
        going = {holder, *graph.before(holder)} & graph.early
        behind = graph.behind(going) | going
        for other in {key for later in behind for key in graph.edges[later]} - behind:
            for key in going if graph.steps[other].act is Act.PREPARE else ():
                found = graph.steps[key].observed
                # a VPC's range is removed after the subnet in it
                if found is None or graph.steps[other].id not in set(named_ids(found.state)):
                    graph.rather_after(key, other)


def refuse_kept_names(graph: Graph, keys: Iterable[str]) -> None:
    """Refuse replacements of resources that are in use and keep a name that only one can have."""
    problems = []
    for key in sorted(set(keys)):
        item = graph.decisions.desired.get(graph.steps[key].address)
        if item is None or item.found is None or not item.forces or graph.steps[key].action != "replace":
            continue
        name = item.state.own_name
        if name and name == item.found.state.own_name and any(slots(item.state)):
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


def refuse_held(graph: Graph, keys: Iterable[str]) -> None:
    """Refuse to make a resource with a slot that its holder can't give up before."""
    problems = []
    cycle = {key: graph.steps[key] for key in sorted(set(keys))}
    for later, earlier in ((cycle[key], cycle[other]) for key in cycle for other in graph.edges[key] if other in cycle):
        wanted, holder = later.desired, earlier.observed
        if later.action not in MAKING or wanted is None or holder is None or earlier.action == "replace":
            continue
        bound = bind(wanted.state, graph.decisions.ids)
        for slot in set(slots(bound)).intersection(slots(holder.state)):
            what, *rest = slot if isinstance(slot, tuple) else (slot,)
            names = [name for name in wanted.declared if name in field_names(type(bound)) and name != bound.in_vpc]
            if len(rest) != 1:
                continue
            said = [(name, rest[0]) for name in names if rest[0] in named_ids(getattr(bound, name))]
            only = [
                (name, str(getattr(bound, name))) for name in names if _conflicts_by(bound, name, slot, holder.state)
            ]
            for field, held in (said or only)[:1]:
                known = graph.addresses.get(held, held)
                problems.append(
                    f"{wanted.at(field)}: the new {later.address} can't have {known} as long as {earlier.address} "
                    f"({holder.id}) has it, which can't go before the new one is there; give it another {what}"
                )
    if problems:
        raise RefusedError("\n".join(problems))


def _conflicts_by(wanted: Properties, field: str, slot: Hashable, holder: Properties) -> bool:
    """Whether the field alone, with the resource's VPC, causes the conflict over a slot: also for ranges that only overlap."""
    others = {name: None for name in field_names(type(wanted)) if name not in (field, wanted.in_vpc)}
    alone = with_fields(wanted, **others)
    return slot in slots(alone) and conflicts(alone, holder)


def _json(value: object) -> str:
    return json.dumps(plain(value), ensure_ascii=False)
