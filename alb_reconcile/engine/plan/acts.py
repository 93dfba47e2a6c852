"""Assigns each step to a part of a run: new resources are prepared, requests move, and resources that no longer serve are deleted.

An update that adds members to a collection and takes others away is two steps, one of the first part and one of the last: in between the
collection has both.
"""

from dataclasses import replace

from alb_reconcile.engine.plan.graph import Graph
from alb_reconcile.model.abilities import expanded
from alb_reconcile.model.plan import Act, Step
from alb_reconcile.model.resource import Change, Properties, diff
from alb_reconcile.model.service import Balancer

WORN: str = "security_groups"
"""The collection that is always changed in two steps, since a rule that names a security group is for all resources that have the group."""


def split(graph: Graph) -> None:
    """Split updates that add members to collections and remove others: the update only adds, and a step of its own removes.

    An update stays one step if no other step moves requests or removes a target, and no version that stands by uses the resource: then the
    removal has nothing to wait for.
    """
    moving = {
        key
        for key, step in graph.steps.items()
        if step.action in ("update", "delete") and not step.attaches and _leads(step)
    }
    for step in [
        step for step in graph.steps.values() if step.action == "update" and step.state and step.state.removed_late
    ]:
        fields = step.state.removed_late if step.state else ()
        if moving <= {step.key} and step.id not in graph.used:
            fields = tuple(name for name in fields if name == WORN)
        _split(graph, step, fields)


def _leads(step: Step) -> bool:
    """Whether requests pass through the resource that a step changes."""
    state = step.state or (step.observed.state if step.observed else None)
    return state is not None and (bool(state.moves) or state.is_target or isinstance(state, Balancer))


def _split(graph: Graph, step: Step, fields: tuple[str, ...]) -> None:
    removed, both = removed_by(graph, step, fields)
    if not removed or both is None or step.observed is None:
        return
    added = tuple(change for change in diff(both, step.observed.state) if change.top in fields)
    early = (*(change for change in step.changes if change.top not in fields), *added)
    late = replace(step, changes=removed, reason="after the traffic has moved", act=Act.CLEAN_UP)
    if not early:
        graph.steps[step.key] = late
        return
    graph.add(replace(late, key=step.key.replace("update:", "revoke:", 1)))
    graph.add(replace(step, changes=early, state=both, refresh=None))
    graph.after(step.key.replace("update:", "revoke:", 1), step.key)


def removed_by(graph: Graph, step: Step, fields: tuple[str, ...]) -> tuple[tuple[Change, ...], Properties | None]:
    """The changes by which an update removes members from these collections, and the desired properties that still have those members."""
    wanted, found = step.state, step.observed
    if wanted is None or found is None or step.tops.isdisjoint(fields):
        return (), None
    union = expanded(wanted, found.state, lambda subnet: graph.decisions.location_of(subnet, graph.discovery).zone)
    both = replace(wanted, **{name: getattr(union, name) for name in fields})
    return tuple(change for change in diff(wanted, both) if change.top in fields), both


def set_acts(graph: Graph) -> None:
    """Give each step its act. An update that only removes members has its act already.

    If the stack answers no requests yet, listeners, rules and names are prepared like everything else; in a destroy, everything is cleaned
    up.
    """
    serves = any(item.state.action_field for item in graph.decisions.live)
    for key, step in graph.steps.items():
        if graph.destroy or (step.takes_away and not _moves(step)) or (serves and _is_last(step)):
            act = Act.CLEAN_UP
        else:
            act = Act.MOVE if serves and _moves(step) else Act.PREPARE
        if act is not step.act:
            graph.steps[key] = replace(step, act=act)


def _is_last(step: Step) -> bool:
    """Whether AWS refuses a change while other resources share the requests of the changed resource."""
    late = step.state.set_last if step.state and step.action == "update" else ()
    return any(change.path == path and change.after == value for change in step.changes for path, value in late)


def _moves(step: Step) -> bool:
    """Whether a step moves requests: an update does if it changes a field that decides what answers them."""
    if step.attaches or (step.takes_away and step.action == "update"):
        return False
    state = step.state or (step.observed.state if step.observed else None)
    if state is None:
        return step.sets_order
    return bool(state.moves) and (step.action != "update" or not state.moves.isdisjoint(step.tops))
