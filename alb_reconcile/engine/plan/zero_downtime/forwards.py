"""Who forwards to which target group, now and as desired."""

from collections import defaultdict
from dataclasses import replace
from fractions import Fraction

from alb_reconcile.engine.plan.graph import Graph
from alb_reconcile.kinds.registration import Registration
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.actions import Forward
from alb_reconcile.model.address import Ref
from alb_reconcile.model.plan import Step
from alb_reconcile.model.resource import bind
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


def wait_for_health(graph: Graph, key: str) -> None:
    """Have a registration wait for its target's health, unless the target fails in the group that goes, too."""
    step = graph.steps[key]
    own = bind(getattr(step.state, "target", None), graph.decisions.ids)
    ill = [item.state for item in graph.registered.get(str(own), ()) if item.status == "unhealthy"]
    if not any(getattr(state, "target_group", None) in graph.deleted for state in ill):
        graph.specify(key, replace(step.detail(Register), is_checked=True))


def serving_groups(graph: Graph) -> set[str]:
    """The groups that a listener or rule forwards to, so that their targets are checked."""
    return {
        str(item.target_group)
        for found in graph.decisions.live
        if found.id not in graph.deleted
        for item in action_of(found.state).forward
    }


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
