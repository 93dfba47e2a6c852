"""When targets leave groups from which, or to which, requests turn in the same run."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from alb_reconcile.engine.plan.graph import Graph, Strength
from alb_reconcile.engine.plan.zero_downtime.capacity import guard_departures, keeping_some
from alb_reconcile.engine.plan.zero_downtime.forwards import dropped, forward_after, forward_before, shares_of
from alb_reconcile.kinds._health import is_unasked
from alb_reconcile.kinds.registration import Registration
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.errors import RefusedError
from alb_reconcile.model.plan import Step
from alb_reconcile.model.resource import Observed, bind, each_of
from alb_reconcile.model.steps import Deregister, Register, Shift, TakeOver

RESTARTED: Final = "its instance is restarted"
_SERVING: Final = ("healthy", "initial")


def leave_in_time(graph: Graph) -> None:
    """Keep targets where requests go, until they go elsewhere.

    Assumes all other edges, since these give way, and that it is known who waits for whose health (`capacity.guard_capacity`).
    Raises RefusedError where too many would leave before.
    """
    if not graph.destroy:
        _leave_after_turns(graph)
        guard_departures(graph, sorted(_order_restarts(graph)))


def _leave_after_turns(graph: Graph) -> None:
    """Who leaves a group for good does so when listeners and rules have given it fewer requests, unless they wait for that.

    The targets of a group that goes have an order of their own (`traffic`). Refused where a group is to have none, and more have to leave
    before than `max_unavailable` lets be missing.
    """
    wanted = {
        bind(item.desired.state.target_group, graph.decisions.ids)
        for item in graph.decisions.desired.values()
        if isinstance(item.desired.state, Registration)
    }
    gone: dict[str, list[Step]] = defaultdict(list)
    rolled: dict[str, list[Step]] = defaultdict(list)
    for step in graph.of_kind("registration", "delete"):
        if step.observed and step.part_of is None:
            gone[str(step.observed.parent_id)].append(step)
        elif (
            step.observed and len(graph.registered[_instance_of(step)]) == 1
        ):  # another group may have to change before
            rolled[str(step.observed.parent_id)].append(step)
    for key, group in [item for item in _given_up(graph) if item[1] not in graph.deleted]:
        before = graph.before(key)
        if group not in wanted:
            _refuse_to_empty(graph, key, group, [step for step in gone[group] if step.key in before])
        for leaves in (step.key for step in gone[group] if step.key not in before):
            graph.after(leaves, key, Strength.SUGGESTED)
            graph.specify(leaves, replace(graph.steps[leaves].detail(Deregister), switched=True))
    for key, group in dropped(graph):
        before = graph.before(key)
        for step in rolled[group]:
            if step.key not in before:
                graph.after(step.key, key, Strength.SUGGESTED)
                graph.specify(step.key, replace(graph.steps[step.key].detail(Deregister), switched=True))


def _refuse_to_empty(graph: Graph, turns: str, group: str, early: list[Step]) -> None:
    """Refuse that instances which stay leave a group before the step that turns requests away from it, if they are too many."""
    serving = [step for step in early if step.observed and step.observed.status in _SERVING]
    targets = set(map(_instance_of, serving))
    paces = [
        item.desired.lifecycle.rollout.max_unavailable
        for item in graph.decisions.desired.values()
        if item.found and item.found.id in targets
    ]
    there = [item for item, state in each_of(graph.decisions.live, Registration) if str(state.target_group) == group]
    there = [item for item in there if not item.is_leaving]
    healthy = sum(item.status in _SERVING for item in there)
    if paces and healthy - len(serving) < min(len(there) - max(paces), healthy):
        names = " and ".join(sorted(str(step.address) for step in serving))
        raise RefusedError(
            f"{names} would leave {graph.addresses.get(group, group)} while it gets requests, since {graph.steps[turns].address} turns them "
            "away only afterwards; make the changes in two steps: first turn the requests, then change the instances"
        )


def _given_up(graph: Graph) -> Iterator[tuple[str, str]]:
    """The steps by which listeners and rules give a group (an ARN) fewer requests."""
    for step in graph.forwarding("update", "delete"):
        if not step.attaches:
            after = {bind(group, graph.decisions.ids): share for group, share in shares_of(forward_after(step)).items()}
            for group, share in shares_of(forward_before(step)).items():
                if share > after.get(group, 0):
                    yield step.key, str(group)
    for found in graph.decisions.live:
        if found.id in graph.implied:
            for group in shares_of(action_of(found.state).forward):
                yield graph.implied[found.id], str(group)


def _order_restarts(graph: Graph) -> set[str]:
    """Who turns requests to a group does so when its instances have been restarted, where others serve meanwhile. Where a restart waits
    for that turn, or others serve no more, its targets leave after it. Returns who does, by step key.

    Nobody waits for the restart of an instance that fails somewhere: it may fail again, or be mended by it.
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
                graph.after(key, returns, Strength.SUGGESTED)
            elif (is_before or (group in serving and not fails)) and graph.before(key).isdisjoint(
                together[_instance_of(leaves)]
            ):
                for own in together[_instance_of(leaves)]:
                    graph.after(own, key, Strength.SUGGESTED)
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
