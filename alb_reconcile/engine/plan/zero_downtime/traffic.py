"""Changes behind a load balancer: who may leave when, so that no request meets a gap."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import replace
from itertools import chain

from alb_reconcile.engine.plan.decide import entrance_of
from alb_reconcile.engine.plan.graph import MAKING, Graph
from alb_reconcile.engine.plan.zero_downtime.forwards import (
    Taker,
    forward_after,
    forward_before,
    group_address,
    handed_on,
    joining,
    listener_of,
    making_room,
    serving_groups,
    shares_of,
    started,
    taken_up,
    takers_of,
    wait_for_health,
)
from alb_reconcile.engine.plan.zero_downtime.requests import wins_requests
from alb_reconcile.engine.plan.zero_downtime.restarts import RESTARTED
from alb_reconcile.kinds._health import is_unasked
from alb_reconcile.kinds._targets import as_address
from alb_reconcile.kinds.registration import Registration
from alb_reconcile.kinds.rule import Rule
from alb_reconcile.kinds.target_group import ServedBy, TargetGroup
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.plan import Act, Step
from alb_reconcile.model.resource import Desired, Observed, bind, each_of
from alb_reconcile.model.steps import Shift, TakeOver


def stick_late(graph: Graph) -> None:
    """A group becomes sticky when each forward of several groups is, or has let go of it (ELBv2 ModifyTargetGroupAttributes)."""
    for step in graph.of_kind("target_group", "update"):
        if any((change.path, change.after) == ("attributes.stickiness.enabled", "true") for change in step.changes):
            for other in graph.forwarding("update"):
                groups = {part.target_group for part in forward_before(other)}
                if step.id in groups and len(groups) > 1:
                    graph.steps[step.key] = replace(graph.steps[step.key], act=Act.CLEAN_UP)
                    graph.after(step.key, other.key)


def wait_for_targets(graph: Graph) -> None:
    """Listeners and rules take up a group after the targets that join it, unless those wait for them. Gates count how many are healthy."""
    members, coming, serving = joining(graph), started(graph), serving_groups(graph)
    healthy = {
        state.target_group for item, state in each_of(graph.decisions.live, Registration) if item.status == "healthy"
    }
    for group in members:
        for key in members[group] if bind(group, graph.decisions.ids) in serving else ():
            wait_for_health(graph, key)
    for step in graph.forwarding(*MAKING):
        if step.attaches or step.desired is None or _is_behind_new_entrance(graph, step):
            continue
        groups = dict.fromkeys(
            (*taken_up(graph, step), *(shares_of(forward_after(step)) if wins_requests(step) else ()))
        )
        waiting = graph.behind([step.key])
        for group in groups:
            if not _answers_at_once(graph, step, group):
                for key in (*members.get(group, ()), *coming.get(group, ())):
                    # where a target is healthy, those that are restarted are counted as they leave (`restarts`)
                    is_counted = graph.steps[key].reason == RESTARTED and bind(group, graph.decisions.ids) in healthy
                    if key not in waiting and not is_counted:
                        graph.after(step.key, key)
    _arrive_before_addresses_leave(graph, members)
    _let_go_after_taking_up(graph)


def _answers_at_once(graph: Graph, step: Step, group: Ref) -> bool:
    """Whether a listener that is made where none answers, or a rule of it, has targets that serve already and stay, as after
    somebody has deleted it by hand: then whoever asks needn't wait for those that join them."""
    maker = listener_of(graph, step)
    if maker is None or graph.steps[maker].action != "create" or making_room(graph, graph.steps[maker]):
        return False
    known = bind(group, graph.decisions.ids)
    decision = graph.decisions.desired.get(group) if isinstance(group, Address) else None
    moved = {step.id for step in graph.of_kind("instance", "update", "replace", "delete")} | graph.deleted
    ready = [
        item
        for item, registered in each_of(graph.decisions.live, Registration)
        if registered.target_group == known
        and moved.isdisjoint({item.id, registered.target})
        and (item.status in ("healthy", "initial") or is_unasked(item.reason, item.description))
    ]
    return len(ready) >= ((decision.desired.lifecycle.min_healthy if decision else None) or 1)


def _let_go_after_taking_up(graph: Graph) -> None:
    """Who hands a group on lets it go when others of its load balancer have taken it up. So does a forward that only keeps a group
    checked (an interrupted run left it), when a new rule has."""
    made: dict[Ref, list[Taker]] = defaultdict(list)
    for (_, group), takers in takers_of(graph).items():
        made[group] += (taker for taker in takers if taker.is_made and taker.listener is not None)
    changed = {step.id: step for step in graph.forwarding("update") if not step.attaches}
    for step in changed.values():
        listener = step.observed.parent_id if step.observed and isinstance(step.state, Rule) else step.id
        for item in forward_before(step):
            for taker in made[group_address(graph, item.target_group)] if not item.weight else ():
                if taker.needs_port_of != listener:
                    graph.after(step.key, taker.key)
    above = {item.id: item.parent_id for item in graph.decisions.live}
    for known, groups in handed_on(graph).items():
        for taker in chain.from_iterable(groups.values()):
            if taker.needs_port_of not in (known, above[known]):
                own = changed[known].key if known in changed else graph.removers.get(known)
                graph.rather_after(own, taker.key)


def _arrive_before_addresses_leave(graph: Graph, members: Mapping[Ref, list[str]]) -> None:
    """An address that no instance of ours has leaves a group after those that join it: one of them may have got it."""
    for gone in graph.of_kind("registration", "delete"):
        state = gone.observed.state if gone.observed else None
        if isinstance(state, Registration) and as_address(str(state.target)):
            for key in members.get(graph.addresses.get(str(state.target_group), state.target_group), ()):
                graph.rather_after(gone.key, key)


def keep_old_entrance(graph: Graph) -> None:
    """A load balancer goes when those who take over from it answer: with its listeners, or with its target groups. What a run
    that was cut short has made of that already counts as well."""
    groups, members = _going_groups(graph), joining(graph)
    for gone in graph.of_kind("load_balancer", "delete"):
        moved = {item.address for item in groups if gone.id in item.detail(ServedBy).load_balancers}
        takeover: set[Ref] = set()
        successors: set[Address] = set()
        keys: set[str] = set()
        for step in graph.forwarding(*MAKING) if gone.key not in graph.early else ():
            if _takes_over(graph, step.desired, gone, moved):
                graph.after(gone.key, step.key)
                keys.add(step.key)
        for desired in (item.desired for item in graph.decisions.desired.values()):
            entrance = entrance_of(graph.decisions, desired)
            if entrance and _takes_over(graph, desired, gone, moved):
                successors.add(entrance)
                takeover.update(moved.intersection(shares_of(action_of(desired.state).forward)))
        if gone.key in graph.early:  # its successor may be there, and nothing else
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
    """The target groups in whose place others come, or have come in a run that was cut short."""
    desired = graph.decisions.desired
    replaced = [item.found for item in desired.values() if item.found and item.forces]
    going = [found for found, _ in graph.decisions.to_delete.values() if found.address in desired]
    found = [item for item in (*replaced, *going) if isinstance(item.state, TargetGroup)]
    return sorted(found, key=lambda item: (item.address, item.id))


def _takes_over(graph: Graph, desired: Desired | None, gone: Step, moved: Collection[Address]) -> bool:
    """Whether a listener or rule answers in the place of a load balancer that goes."""
    entrance = entrance_of(graph.decisions, desired)
    shares = shares_of(action_of(desired.state if desired else None).forward)
    return entrance is not None and (entrance == gone.address or not shares.keys().isdisjoint(moved))


def _is_behind_new_entrance(graph: Graph, step: Step) -> bool:
    """Whether nobody asks yet, since the load balancer is made in this very plan and replaces none."""
    entrance = entrance_of(graph.decisions, step.desired)
    return entrance is not None and graph.makers.get(entrance, "").startswith("create:")
