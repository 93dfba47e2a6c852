"""Answers questions about forwards: which listeners and rules forward to which target group, now and as desired."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from fractions import Fraction

from alb_reconcile.engine.plan.graph import Graph
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.actions import Action, Forward
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.plan import Step
from alb_reconcile.model.resource import bind, each_of
from alb_reconcile.model.service import Frontend, Member, RoutingRule, Server, group_of
from alb_reconcile.model.steps import Register


def forward_before(step: Step) -> tuple[Forward, ...]:
    """The groups that a step's listener or rule forwards to now."""
    return action_of(step.observed.state if step.observed else None).forward


def forward_after(step: Step) -> tuple[Forward, ...]:
    """The groups that a step's listener or rule is to forward to, by address if they are the stack's."""
    return action_of(step.desired.state if step.desired else None).forward


def joining(graph: Graph) -> dict[Ref, list[str]]:
    """The steps that register targets, by group."""
    found: dict[Ref, list[str]] = defaultdict(list)
    for step in graph.of(Member, "create", "replace"):
        if step.desired and isinstance(step.desired.state, Member):
            found[step.desired.state.target_group].append(step.key)
    return found


def started(graph: Graph) -> dict[Ref, list[str]]:
    """The steps that start instances which are registered already, by group (by address, if the stack's); only groups without a healthy
    target."""
    registered = list(each_of(graph.decisions.live, Member))
    serving = {state.target_group for item, state in registered if item.status == "healthy"}
    found: dict[Ref, list[str]] = defaultdict(list)
    for step in graph.of(Server, "update"):
        if any(change.path == "state" and change.after == "running" for change in step.changes):
            for item in graph.registered[str(step.id)]:
                group = group_of(item.state)
                if group not in serving:
                    found[graph.addresses.get(group, group)].append(step.key)
    return found


def wait_for_health(graph: Graph, key: str) -> None:
    """Let a registration wait until its target is healthy, unless the target is unhealthy in a group that is deleted, too."""
    step = graph.steps[key]
    own = bind(step.state.target, graph.decisions.ids) if isinstance(step.state, Member) else None
    ill = [item.state for item in graph.registered.get(str(own), ()) if item.status == "unhealthy"]
    if not any(group_of(state) in graph.deleted for state in ill):
        graph.specify(key, replace(step.detail(Register), is_checked=True))


def serving_groups(graph: Graph) -> set[str]:
    """The groups that a listener or rule forwards to, so that their targets are checked; if the listener or rule is deleted, only groups
    that others take over."""
    return _staying(graph, lambda action: action.forward)


def receiving_groups(graph: Graph) -> set[str]:
    """The groups that get requests now; if their listener or rule is deleted, only groups that others take over."""
    return _staying(graph, lambda action: action.receiving)


def _staying(graph: Graph, forwards: Callable[[Action], Iterable[Forward]]) -> set[str]:
    found: set[str] = set()
    handed_on = {
        str(bind(group, graph.decisions.ids))
        for step in graph.forwarding("create", "update")
        for group in (() if step.attaches or step.takes_away else taken_up(graph, step))
    } - graph.deleted
    for item in graph.decisions.live:
        groups = {str(part.target_group) for part in forwards(action_of(item.state))}
        found |= groups if item.id not in graph.deleted else groups & handed_on
    return found


def dropped(graph: Graph) -> Iterator[tuple[str, str]]:
    """The groups to which a listener or rule forwards now, and none after the plan, by ARN; each with the key of a step that stops
    forwarding to it."""
    kept = [item.state for item in graph.decisions.desired.values()]
    known = {item.found.id for item in graph.decisions.desired.values() if item.found} | graph.deleted
    kept += [item.state for item in graph.decisions.live if item.id not in known]
    used = {bind(part.target_group, graph.decisions.ids) for state in kept for part in action_of(state).forward}
    ends = [(step.key, forward_before(step)) for step in graph.forwarding("update", "delete") if not step.attaches]
    ends += [
        (graph.implied[item.id], action_of(item.state).forward)
        for item in graph.decisions.live
        if item.id in graph.implied
    ]
    for key, forward in ends:
        yield from ((key, group) for group in {str(part.target_group) for part in forward} - used)


def group_address(graph: Graph, group: Ref) -> Ref:
    """The name that a target group shares with the group that replaces it: its address, if it is the stack's."""
    found = graph.groups.get(str(group))
    return found.address if found else group


def making_room(graph: Graph, made: Step) -> Step | None:
    """The delete of a listener that has the port of a new listener."""
    wanted = made.state
    if not isinstance(wanted, Frontend):
        return None
    for step in graph.of(Frontend, "delete"):
        found = step.observed.state if step.observed else None
        if isinstance(found, Frontend) and (found.load_balancer, found.port) == (wanted.load_balancer, wanted.port):
            return step
    return None


def listener_of(graph: Graph, step: Step) -> str | None:
    """The key of the step that makes or changes the listener, for a step of the listener or of one of its rules."""
    state = step.desired.state if step.desired else None
    listener = state.listener if isinstance(state, RoutingRule) else step.address
    return graph.makers.get(listener) if isinstance(listener, Address) else None


def taken_up(graph: Graph, step: Step) -> list[Ref]:
    """The groups to which a step of a listener or rule gives a larger share of the requests, by address if the stack's."""
    before = forward_before(step) if step.action == "update" else ()
    had, shares = shares_of(before), shares_of(action_of(step.state).forward)
    return [
        graph.addresses.get(str(group), group)
        for group, share in shares.items()
        if share > had.get(bind(group, graph.decisions.ids), 0)
    ]


def shares_of(forward: tuple[Forward, ...]) -> dict[Ref, Fraction]:
    """Each group's share of the requests; groups that get none are left out."""
    if len(forward) == 1:
        return {forward[0].target_group: Fraction(1)}
    total = sum(item.weight for item in forward)
    return {item.target_group: Fraction(item.weight, total) for item in forward if item.weight}


def turned_to(graph: Graph) -> set[str]:
    """The groups, by ARN, that get requests after the run."""
    wishes = (decision.desired.state for decision in graph.decisions.desired.values())
    return {
        str(bind(part.target_group, graph.decisions.ids)) for state in wishes for part in action_of(state).receiving
    }
