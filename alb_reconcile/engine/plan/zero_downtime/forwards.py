"""Who forwards to which target group, now and as wished."""

from fractions import Fraction

from alb_reconcile.engine.plan.decide import Decisions
from alb_reconcile.engine.plan.graph import Graph
from alb_reconcile.kinds.listener import Listener
from alb_reconcile.kinds.rule import Rule
from alb_reconcile.model.actions import Action, Forward
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.diff import bind
from alb_reconcile.model.plan import Step
from alb_reconcile.model.resource import Desired, Properties


def action_of(state: Properties | None) -> Action:
    """What a listener or rule does."""
    if isinstance(state, Listener):
        return state.default_action
    return state.action if isinstance(state, Rule) else Action()


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
    before = action_of(step.observed.state).forward if step.observed and step.action == "update" else ()
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


def entrance_of(decisions: Decisions, wanted: Desired | None) -> Address | None:
    """The load balancer of the spec that a listener or rule of it belongs to."""
    state = wanted.state if wanted else None
    if isinstance(state, Rule) and isinstance(state.listener, Address):
        state = decisions.desired[state.listener].desired.state
    if isinstance(state, Listener) and isinstance(state.load_balancer, Address):
        return state.load_balancer
    return None
