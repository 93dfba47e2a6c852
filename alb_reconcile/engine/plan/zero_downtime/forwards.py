"""Who forwards to which target group, now and as desired."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple

from alb_reconcile.engine.plan.decide import entrance_of
from alb_reconcile.engine.plan.graph import Graph
from alb_reconcile.kinds.listener import Listener
from alb_reconcile.kinds.registration import Registration
from alb_reconcile.kinds.rule import Rule
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.actions import Action, Forward
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.plan import Step
from alb_reconcile.model.resource import bind, each_of
from alb_reconcile.model.steps import Register


def forward_before(step: Step) -> tuple[Forward, ...]:
    """To which groups what a step changes forwards now."""
    return action_of(step.observed.state if step.observed else None).forward


def forward_after(step: Step) -> tuple[Forward, ...]:
    """To which groups it is to forward, by address if they are the stack's."""
    return action_of(step.desired.state if step.desired else None).forward


def joining(graph: Graph) -> dict[Ref, list[str]]:
    """The steps that register targets, by group."""
    found: dict[Ref, list[str]] = defaultdict(list)
    for step in graph.of_kind("registration", "create", "replace"):
        if step.desired and isinstance(step.desired.state, Registration):
            found[step.desired.state.target_group].append(step.key)
    return found


def started(graph: Graph) -> dict[Ref, list[str]]:
    """The steps that start instances which are targets already, by group (by address, if ours) without a healthy one."""
    registered = list(each_of(graph.decisions.live, Registration))
    serving = {state.target_group for item, state in registered if item.status == "healthy"}
    found: dict[Ref, list[str]] = defaultdict(list)
    for step in graph.of_kind("instance", "update"):
        if any(change.path == "state" and change.after == "running" for change in step.changes):
            for item in graph.registered[str(step.id)]:
                group = getattr(item.state, "target_group", "")
                if group not in serving:
                    found[graph.addresses.get(group, group)].append(step.key)
    return found


def wait_for_health(graph: Graph, key: str) -> None:
    """Have a registration wait for its target's health, unless the target fails in the group that goes, too."""
    step = graph.steps[key]
    own = bind(getattr(step.state, "target", None), graph.decisions.ids)
    ill = [item.state for item in graph.registered.get(str(own), ()) if item.status == "unhealthy"]
    if not any(getattr(state, "target_group", None) in graph.deleted for state in ill):
        graph.specify(key, replace(step.detail(Register), is_checked=True))


def serving_groups(graph: Graph) -> set[str]:
    """The groups that a listener or rule forwards to, so that their targets are checked; also those that others take up before it goes."""
    return _staying(graph, lambda action: action.forward)


def receiving_groups(graph: Graph) -> set[str]:
    """Those of them that get requests now."""
    return _staying(graph, lambda action: action.receiving)


def _staying(graph: Graph, forwards: Callable[[Action], Iterable[Forward]]) -> set[str]:
    found: set[str] = set()
    handed = handed_on(graph)
    for item in graph.decisions.live:
        groups = {str(part.target_group) for part in forwards(action_of(item.state))}
        found |= groups if item.id not in graph.deleted else groups & handed.get(item.id, {}).keys() - graph.deleted
    return found


def dropped(graph: Graph) -> Iterator[tuple[str, str]]:
    """Of the groups, by ARN, to which nothing forwards at the end, those to which something does now; with the keys of the steps that
    let go of each."""
    kept = [item.state for item in graph.decisions.desired.values()]
    known = {item.found.id for item in graph.decisions.desired.values() if item.found}
    kept += [item.state for item in graph.decisions.live if item.id not in known | graph.deleted]
    used = {bind(part.target_group, graph.decisions.ids) for state in kept for part in action_of(state).forward}
    ends = [(step.key, forward_before(step)) for step in graph.forwarding("update", "delete") if not step.attaches]
    ends += [
        (graph.implied[item.id], action_of(item.state).forward)
        for item in graph.decisions.live
        if item.id in graph.implied
    ]
    for key, forward in ends:
        yield from ((key, group) for group in {str(part.target_group) for part in forward} - used)


class Taker(NamedTuple):
    """A step by which a listener or rule begins to forward to a target group."""

    key: str
    is_made: bool
    listener: Ref | None
    """Of a rule, the one that it belongs to."""
    needs_port_of: str | None
    """The listener that has to leave its port first."""


def handed_on(graph: Graph) -> dict[str, dict[str, list[Taker]]]:
    """By the id of a listener or rule that goes, or that forwards to others, and by target group: who takes up the group, or what
    replaces it, on the same load balancer.

    For what only changes, that is neither other changes nor, for a rule, rules of its own listener (`traffic` has their order).
    """
    found: dict[str, dict[str, list[Taker]]] = {}
    takers, live = takers_of(graph), {item.id: item for item in graph.decisions.live}
    changed = {step.id: step for step in graph.forwarding("update") if not step.attaches}
    for item in live.values() if takers else ():
        listener = item if isinstance(item.state, Listener) else live.get(item.parent_id or "")
        step = changed.get(item.id)
        if listener is None or (step is None and item.id not in graph.deleted):
            continue
        kept = {group_address(graph, part.target_group) for part in forward_after(step)} if step else set()
        for part in action_of(item.state).forward:
            group = group_address(graph, part.target_group)
            for taker in takers.get((listener.parent_id, group), ()) if group not in kept else ():
                if step is None or (taker.is_made and taker.listener != item.parent_id):
                    found.setdefault(item.id, {}).setdefault(str(part.target_group), []).append(taker)
    return found


def takers_of(graph: Graph) -> dict[tuple[str | None, Ref], list[Taker]]:
    """By load balancer that stays and by target group (by address, if ours): who begins to forward to it, and not only to have it
    checked for a while (`attach`)."""
    found: dict[tuple[str | None, Ref], list[Taker]] = defaultdict(list)
    rooms: dict[str | None, str | None] = {}
    for step in graph.forwarding("create", "update"):
        entrance, maker = entrance_of(graph.decisions, step.desired), listener_of(graph, step)
        balancer = graph.decisions.ids.get(entrance) if entrance else None
        if balancer is None or step.attaches or step.takes_away:
            continue
        if maker not in rooms:
            room = leaving_port(graph, graph.steps[maker]) if maker else None
            rooms[maker] = room.id if room else None
        listener = getattr(bind(step.desired.state, graph.decisions.ids), "listener", None) if step.desired else None
        had = {group_address(graph, part.target_group) for part in forward_before(step)}
        for group in {group_address(graph, item) for item in taken_up(graph, step)} - had:
            found[balancer, group].append(Taker(step.key, step.action == "create", listener, rooms[maker]))
    return found


def leaving_port(graph: Graph, comes: Step) -> Step | None:
    """The step by which a listener leaves the port to which another one comes."""
    wanted, had = comes.state, comes.observed.state if comes.observed else None
    if not isinstance(wanted, Listener) or (isinstance(had, Listener) and had.port == wanted.port):
        return None
    for step in graph.of_kind("listener", "update"):
        found = step.observed.state if step.observed else None
        if (
            isinstance(found, Listener)
            and (found.load_balancer, found.port) == (wanted.load_balancer, wanted.port)
            and isinstance(step.state, Listener)
            and step.state.port != found.port
        ):
            return step
    return making_room(graph, comes)


def group_address(graph: Graph, group: Ref) -> Ref:
    """A target group by what it shares with the one that replaces it: its address, if it is the stack's."""
    found = graph.groups.get(str(group))
    return found.address if found else group


def making_room(graph: Graph, made: Step) -> Step | None:
    """The delete of a listener that has the port of one that is made."""
    wanted = made.state
    if not isinstance(wanted, Listener):
        return None
    for step in graph.of_kind("listener", "delete"):
        found = step.observed.state if step.observed else None
        if isinstance(found, Listener) and (found.load_balancer, found.port) == (wanted.load_balancer, wanted.port):
            return step
    return None


def listener_of(graph: Graph, step: Step) -> str | None:
    """The step that makes or changes the listener which a step of a listener or of one of its rules is about."""
    state = step.desired.state if step.desired else None
    listener = state.listener if isinstance(state, Rule) else step.address
    return graph.makers.get(listener) if isinstance(listener, Address) else None


def taken_up(graph: Graph, step: Step) -> list[Ref]:
    """The groups to which a step of a listener or rule gives a larger share of the requests, by address if ours."""
    before = forward_before(step) if step.action == "update" else ()
    had, shares = shares_of(before), shares_of(action_of(step.state).forward)
    return [
        graph.addresses.get(str(group), group)
        for group, share in shares.items()
        if share > had.get(bind(group, graph.decisions.ids), 0)
    ]


def shares_of(forward: tuple[Forward, ...]) -> dict[Ref, Fraction]:
    """Each group's part of the requests; those that get none are left out."""
    if len(forward) == 1:
        return {forward[0].target_group: Fraction(1)}
    total = sum(item.weight for item in forward)
    return {item.target_group: Fraction(item.weight, total) for item in forward if item.weight}
