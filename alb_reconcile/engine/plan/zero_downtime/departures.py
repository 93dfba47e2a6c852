"""When targets leave groups from which, or to which, requests turn in the same run."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from alb_reconcile.engine.plan.graph import Graph, Strength
from alb_reconcile.engine.plan.zero_downtime.forwards import forward_after, forward_before, shares_of
from alb_reconcile.kinds._health import is_unasked
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.errors import RefusedError
from alb_reconcile.model.plan import Step
from alb_reconcile.model.resource import bind
from alb_reconcile.model.steps import Deregister, Register, Shift, TakeOver

RESTARTED: Final = "its instance is restarted"


def leave_after_turns(graph: Graph) -> None:
    """Who leaves a group for good does so when listeners and rules have given it fewer requests, unless they wait for that.

    The targets of a group that goes have an order of their own (`traffic`). Raises RefusedError where more have to leave before than
    `max_unavailable` lets be missing.
    """
    if graph.destroy:
        return
    gone: dict[str, list[str]] = defaultdict(list)
    for step in graph.of_kind("registration", "delete"):
        if step.part_of is None and step.observed:
            gone[str(step.observed.parent_id)].append(step.key)
    for key, group in [item for item in _given_up(graph) if item[1] not in graph.deleted]:
        before = graph.before(key)
        _refuse_to_empty(graph, key, group, [graph.steps[leaves] for leaves in gone[group] if leaves in before])
        for leaves in gone[group]:
            if leaves not in before:
                graph.after(leaves, key, Strength.PREFERRED)
                graph.specify(leaves, replace(graph.steps[leaves].detail(Deregister), switched=True))


def _refuse_to_empty(graph: Graph, turns: str, group: str, early: list[Step]) -> None:
    """Refuse that targets which serve leave a group before the step that turns requests away from it, if they are too many."""
    serving = [step for step in early if step.observed and step.observed.status in ("healthy", "initial")]
    targets = {str(getattr(step.observed.state, "target", "")) for step in serving if step.observed}
    paces = [
        item.desired.lifecycle.rollout.max_unavailable
        for item in graph.decisions.desired.values()
        if item.found and item.found.id in targets
    ]
    if len(serving) > max(paces, default=0):
        names = " and ".join(sorted(str(step.address) for step in serving))
        raise RefusedError(
            f"{names} would leave {graph.addresses.get(group, group)} while it gets requests, since {graph.steps[turns].address} turns them "
            "away only afterwards; make the changes in two steps: first turn the requests, then change the instances"
        )


def _given_up(graph: Graph) -> Iterator[tuple[str, str]]:
    """The steps by which listeners and rules give a group (an ARN) fewer requests."""
    for step in graph.forwarding("update", "delete"):
        if step.phase != "attach":
            after = {bind(group, graph.decisions.ids): share for group, share in shares_of(forward_after(step)).items()}
            for group, share in shares_of(forward_before(step)).items():
                if share > after.get(group, 0):
                    yield step.key, str(group)
    for found in graph.decisions.live:
        if found.id in graph.implied:
            for group in shares_of(action_of(found.state).forward):
                yield graph.implied[found.id], str(group)


def leave_for_restarts_after_turns(graph: Graph) -> set[str]:
    """Who serves, and leaves a group for a restart that waits for others to turn to that group, leaves when they have. Returns who
    does, by step key."""
    turning: dict[str, list[str]] = defaultdict(list)
    for step in graph.steps.values():
        shift = step.detail(TakeOver).shift if isinstance(step.details, TakeOver) else step.detail(Shift)
        for wanted in (*shift.awaits, *shift.hopes):
            turning[str(bind(wanted.group, graph.decisions.ids))].append(step.key)
    late: set[str] = set()
    for leaves in graph.of_kind("registration", "delete") if turning else ():
        returns = str(leaves.part_of)
        if leaves.reason == RESTARTED and leaves.observed and _may_serve(leaves):
            before = graph.before(returns)
            for key in turning[str(leaves.observed.parent_id)]:
                if key in before and leaves.key not in graph.before(key):
                    graph.after(leaves.key, key, Strength.PREFERRED)
                    graph.specify(returns, replace(graph.steps[returns].detail(Register), is_checked=True))
                    late.add(leaves.key)
    return late


def _may_serve(leaves: Step) -> bool:
    found = leaves.observed
    return found is not None and (found.status in ("healthy", "initial") or is_unasked(found.reason, found.description))
