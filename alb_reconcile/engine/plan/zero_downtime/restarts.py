"""Restarts of instances of a group to which requests turn in the same run: which of the two comes first."""

from collections import defaultdict
from dataclasses import replace
from typing import Final

from alb_reconcile.engine.plan.graph import Graph
from alb_reconcile.engine.plan.zero_downtime.capacity import guard_departures, keeping_some
from alb_reconcile.engine.plan.zero_downtime.forwards import forward_before, shares_of
from alb_reconcile.kinds._health import is_unasked
from alb_reconcile.kinds.registration import Registration
from alb_reconcile.model.plan import Need, Step
from alb_reconcile.model.resource import Observed, bind, each_of
from alb_reconcile.model.steps import Register, Shift, TakeOver

RESTARTED: Final = "its instance is restarted"
_SERVING: Final = ("healthy", "initial")


def turn_or_restart_first(graph: Graph) -> None:
    """Order restarts and turns of requests to the groups of the restarted, and guard those that leave after a turn.

    Assumes all other edges, and that it is known who waits for whose health (`capacity.guard_capacity`).
    """
    guard_departures(graph, sorted(_order_restarts(graph)))


def _order_restarts(graph: Graph) -> set[str]:
    """Requests turn to a group when its instances have been restarted, if others serve meanwhile. Targets leave after the turn where
    their restart waits for the turn, or others serve no more. Returns the keys of the steps by which such targets leave.

    No turn waits for the restart of an instance that fails in one of its groups, as long as its group has a healthy target: the instance
    may fail again.
    """
    turning: dict[str, list[tuple[str, set[str]]]] = defaultdict(list)
    for step in graph.steps.values():
        shift = step.detail(TakeOver).shift if isinstance(step.details, TakeOver) else step.detail(Shift)
        # the step's own group may be the one that takes over, by a rule's conditions
        asked = {*map(str, shares_of(forward_before(step)))} & {*shift.serving} or {*shift.serving}
        for wanted in (*shift.awaits, *shift.hopes):
            turning[str(bind(wanted.group, graph.decisions.ids))].append((step.key, asked))
    restarts = [step for step in graph.of_kind("registration", "delete") if step.reason == RESTARTED]
    failing = {str(step.part_of) for step in restarts if step.observed and _fails(graph, step.observed)}
    together: dict[str, set[str]] = defaultdict(set)
    for step in restarts:
        together[_instance_of(step)].add(step.key)
    healthy = [state for item, state in each_of(graph.decisions.live, Registration) if item.status == "healthy"]
    serving = {str(state.target_group) for state in healthy}
    meanwhile = {str(state.target_group) for state in healthy if str(state.target) not in together}
    paced = keeping_some(graph)
    late: set[str] = set()
    for leaves in restarts if turning else ():
        if not leaves.observed or not _may_serve(leaves.observed):
            continue
        returns, group = str(leaves.part_of), str(leaves.observed.parent_id)
        fails = not failing.isdisjoint({returns, *graph.before(returns)})
        # a group that loses all its targets waits also for those that are restarted one after another
        others = meanwhile if group in paced else meanwhile | paced
        for key, asked in turning[group]:
            is_before = key in graph.before(returns)
            if not is_before and not fails and others & asked - {group}:
                graph.after(key, returns)
            elif (is_before or (group in serving and not fails)) and graph.before(key).isdisjoint(
                together[_instance_of(leaves)]
            ):
                for own in together[_instance_of(leaves)]:
                    graph.after(own, key, Need.ORDER)
                graph.specify(returns, replace(graph.steps[returns].detail(Register), is_checked=True))
                late.add(leaves.key)
    return late


def _fails(graph: Graph, target: Observed) -> bool:
    """Whether its instance fails in any of its groups."""
    return any(item.status == "unhealthy" for item in graph.registered[str(getattr(target.state, "target", ""))])


def _instance_of(leaves: Step) -> str:
    return str(getattr(leaves.observed.state, "target", "") if leaves.observed else "")


def _may_serve(found: Observed) -> bool:
    return found.status in _SERVING or is_unasked(found.reason, found.description)
