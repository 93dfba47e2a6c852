"""Orders steps so that forwards move when their targets are there, and a load balancer is deleted when its replacement answers."""

from collections.abc import Collection, Iterator, Mapping
from itertools import chain

from alb_reconcile.engine.plan.graph import MAKING, Graph
from alb_reconcile.engine.plan.zero_downtime.capacity import keeping_some
from alb_reconcile.engine.plan.zero_downtime.forwards import (
    forward_after,
    joining,
    listener_of,
    making_room,
    serving_groups,
    shares_of,
    started,
    taken_up,
    wait_for_health,
)
from alb_reconcile.engine.plan.zero_downtime.requests import Turns
from alb_reconcile.engine.plan.zero_downtime.rollout import RESTARTED, STOPS
from alb_reconcile.kinds._health import is_unasked
from alb_reconcile.kinds._targets import as_address
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.plan import Step
from alb_reconcile.model.resource import Desired, Observed, bind, each_of
from alb_reconcile.model.service import Balancer, Member, Pool, ServedBy, Server
from alb_reconcile.model.steps import Shift, TakeOver


def wait_for_targets(graph: Graph, turns: Turns) -> None:
    """Let listeners and rules take a group into use after the registration of its new targets, unless these wait for the forward. How many
    must be healthy is decided elsewhere (`capacity`)."""
    members, coming, serving = joining(graph), started(graph), serving_groups(graph)
    for group in members:
        for key in members[group] if bind(group, graph.decisions.ids) in serving else ():
            wait_for_health(graph, key)
    for step in graph.forwarding(*MAKING):
        if step.attaches or step.desired is None or _is_behind_new_entrance(graph, step):
            continue
        groups = dict.fromkeys((*taken_up(graph, step), *_won(graph, step, turns)))
        waiting = graph.behind([step.key])
        for group in groups:
            if not _answers_at_once(graph, step, group):
                for key in (*members.get(group, ()), *coming.get(group, ())):
                    stop = _stop_of(graph, key)
                    if stop and _turns_first(graph, step, group, turns):
                        graph.after(stop, step.key)
                    elif key not in waiting:
                        graph.after(step.key, key)
    _arrive_before_addresses_leave(graph, members)


def _stop_of(graph: Graph, key: str) -> str | None:
    """For the step that registers a restarted instance again, the step that stops the instance; None for any other step."""
    is_back = graph.steps[key].reason == RESTARTED
    return next((other for other in graph.edges[key] if STOPS in graph.steps[other].effects), None) if is_back else None


def _turns_first(graph: Graph, step: Step, group: Ref, turns: Turns) -> bool:
    """Whether requests move to a group before its instances restart: the group has targets that may serve, and the targets that answer now
    restart, too. If all targets of the group may be missing at once, groups that restart in turns count as if they didn't restart."""
    registered = list(each_of(graph.decisions.live, Member))
    healthy = [state for item, state in registered if item.status == "healthy"]
    restarting = {other.id for other in graph.of(Server, "update") if STOPS in other.effects}
    known, paced = bind(group, graph.decisions.ids), keeping_some(graph)
    meanwhile = {str(state.target_group) for state in healthy if state.target not in restarting}
    givers = (found.state for found in turns.givers(step))
    asked = (step.observed.state if step.observed else None, *givers)
    now = {str(other) for state in asked for other in shares_of(action_of(state).forward)}
    others = meanwhile if known in paced else meanwhile | paced
    able = any(state.target_group == known and _may_serve(item) for item, state in registered)
    return able and not others & now - {str(known)}


def _may_serve(item: Observed) -> bool:
    """Whether a target is healthy, or may be healthy when it is checked."""
    return item.status in ("healthy", "initial") or is_unasked(item.reason, item.description)


def _won(graph: Graph, step: Step, turns: Turns) -> Iterator[Ref]:
    """The groups that get requests by a step which they don't get now."""
    givers = [shares_of(action_of(found.state).forward) for found in turns.givers(step)]
    for group in shares_of(forward_after(step)):
        if not all(bind(group, graph.decisions.ids) in shares for shares in givers):
            yield group


def _answers_at_once(graph: Graph, step: Step, group: Ref) -> bool:
    """Whether a new listener on a port without one, or a rule of it, has targets that can serve already and stay, as after a user has
    deleted the listener by hand: then it needn't wait for new targets."""
    maker = listener_of(graph, step)
    if maker is None or graph.steps[maker].action != "create" or making_room(graph, graph.steps[maker]):
        return False
    known = bind(group, graph.decisions.ids)
    decision = graph.decisions.desired.get(group) if isinstance(group, Address) else None
    moved = {step.id for step in graph.of(Server, "update", "replace", "delete")} | graph.deleted
    ready = [
        item
        for item, registered in each_of(graph.decisions.live, Member)
        if registered.target_group == known and moved.isdisjoint({item.id, registered.target}) and _may_serve(item)
    ]
    return len(ready) >= ((decision.desired.lifecycle.min_healthy if decision else None) or 1)


def _arrive_before_addresses_leave(graph: Graph, members: Mapping[Ref, list[str]]) -> None:
    """Let a target by address leave a group after the registration of the group's new targets: one of them may be an instance that has got
    the address."""
    for gone in graph.of(Member, "delete"):
        state = gone.observed.state if gone.observed else None
        if isinstance(state, Member) and as_address(str(state.target)):
            for key in members.get(graph.addresses.get(str(state.target_group), state.target_group), ()):
                graph.rather_after(gone.key, key)


def keep_old_entrance(graph: Graph) -> None:
    """Let a load balancer be deleted when the listeners and rules that take over from it answer: those at its own address, or those that
    forward to the successors of its target groups. Ones that an interrupted run has made count as well."""
    groups, members = _going_groups(graph), joining(graph)
    for gone in graph.of(Balancer, "delete"):
        moved = {item.address for item in groups if gone.id in item.detail(ServedBy).load_balancers}
        takeover: set[Ref] = set()
        successors: set[Address] = set()
        keys: set[str] = set()
        for step in graph.forwarding(*MAKING) if gone.key not in graph.early else ():
            if _takes_over(graph, step.desired, gone, moved):
                graph.after(gone.key, step.key)
                keys.add(step.key)
        for desired in (item.desired for item in graph.decisions.desired.values()):
            entrance = graph.decisions.entrance_of(desired)
            if entrance and _takes_over(graph, desired, gone, moved):
                successors.add(entrance)
                takeover.update(moved.intersection(shares_of(action_of(desired.state).forward)))
        if gone.key in graph.early:  # only its successor may exist before
            behind, takeover = graph.behind([gone.key]), set()
            successors = {address for address in successors if graph.makers.get(address) not in behind}
        if successors:
            serving = tuple(item.id for item in groups if gone.id in item.detail(ServedBy).load_balancers)
            ordered = tuple(sorted(takeover, key=str))
            for key in chain.from_iterable(members.get(group, ()) for group in ordered):
                graph.after(gone.key, key)
            takes = TakeOver(tuple(sorted(successors)), ordered, frozenset(keys), Shift(serving=serving))
            graph.specify(gone.key, takes)


def _going_groups(graph: Graph) -> list[Observed]:
    """The target groups that others replace, or that an interrupted run has replaced."""
    desired = graph.decisions.desired
    replaced = [item.found for item in desired.values() if item.found and item.forces]
    going = [found for found, _ in graph.decisions.to_delete.values() if found.address in desired]
    found = [item for item in (*replaced, *going) if isinstance(item.state, Pool)]
    return sorted(found, key=lambda item: (item.address, item.id))


def _takes_over(graph: Graph, desired: Desired | None, gone: Step, moved: Collection[Address]) -> bool:
    """Whether a listener or rule takes over from a load balancer that is deleted."""
    entrance = graph.decisions.entrance_of(desired)
    shares = shares_of(action_of(desired.state if desired else None).forward)
    return entrance is not None and (entrance == gone.address or not shares.keys().isdisjoint(moved))


def _is_behind_new_entrance(graph: Graph, step: Step) -> bool:
    """Whether no requests come yet, since this plan makes the load balancer, and it replaces none."""
    entrance = graph.decisions.entrance_of(step.desired)
    return entrance is not None and graph.makers.get(entrance, "").startswith("create:")
