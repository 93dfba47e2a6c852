"""Clients are sent to another listener when it answers: redirects on ports that serve come last."""

from collections.abc import Iterator
from typing import Final

from alb_reconcile.engine.plan.decide import entrance_of
from alb_reconcile.engine.plan.graph import MAKING, Graph, Strength
from alb_reconcile.engine.plan.zero_downtime.forwards import making_room
from alb_reconcile.kinds.listener import Listener
from alb_reconcile.kinds.load_balancer import LoadBalancer
from alb_reconcile.model.address import Address
from alb_reconcile.model.plan import Step
from alb_reconcile.model.resource import Rollout, each_of

_BEFORE: Final = "every node of the load balancer answers there"
_BEHIND: Final = "no node of the load balancer redirects there"


def redirect_last(graph: Graph) -> None:
    """A listener that answers begins to redirect to another port of its load balancer when that one answers.

    Assumes what `add_traffic` guarantees. Guarantees that the listener of that port, its rules, the way to it (security
    groups, DNS records) and a pause come before, and that rules of the listener that redirects go after. So it is with one that
    goes to make room at its port for one that redirects. Where a listener stops redirecting, the other one stays until then.
    """
    for wanted in graph.of_kind("listener", "create", "update"):
        step = wanted if wanted.action == "update" else making_room(graph, wanted)
        target = _target(graph, wanted)
        if step is None:
            continue
        if target is None:
            _leave_late(graph, step)
            continue
        before = set(_way_to(graph, target)) - {wanted.key}
        for key in before:
            graph.after(step.key, key, Strength.PREFERRED)
        graph.pause(step.key, Rollout().settle, _BEFORE)  # an interrupted run may have made the rest a moment ago
        for rule in graph.of_kind("rule", "delete"):
            if rule.observed and rule.observed.parent_id == step.id:
                graph.after(rule.key, step.key, Strength.PREFERRED)


def _leave_late(graph: Graph, step: Step) -> None:
    """The listener to which one redirects goes after that one has stopped."""
    found = step.observed.state if step.observed else None
    if not isinstance(found, Listener) or not found.default_action.redirect:
        return
    redirect = dict(found.default_action.redirect)
    for other in graph.of_kind("listener", "delete"):
        state = other.observed.state if other.observed else None
        place = found.load_balancer, int(redirect.get("port", 0))
        if isinstance(state, Listener) and (state.load_balancer, state.port) == place:
            graph.after(other.key, step.key, Strength.PREFERRED)
            graph.pause(other.key, Rollout().settle, _BEHIND)


def _target(graph: Graph, step: Step) -> Address | None:
    """The other listener to which one begins to redirect all that it takes; None for any other change."""
    wanted = step.state
    is_new = step.action == "create" or any(change.path == "default_action" for change in step.changes)
    if not isinstance(wanted, Listener) or not is_new:
        return None
    redirect = dict(wanted.default_action.redirect)
    if not redirect or "host" in redirect:
        return None
    port = int(redirect.get("port", wanted.port))
    for item, state in each_of(graph.decisions.desired.values(), Listener):
        if state.load_balancer == wanted.load_balancer and state.port == port and item.desired.address != step.address:
            return item.desired.address
    return None


def _way_to(graph: Graph, listener: Address) -> Iterator[str]:
    """The steps without which nobody gets to a listener, or not the right answer."""
    decision = graph.decisions.desired[listener]
    entrance = entrance_of(graph.decisions, decision.desired)
    for step in [*graph.forwarding(*MAKING), *graph.of_kind("record", *MAKING)]:
        state = step.desired.state if step.desired else None
        if (
            step.address == listener
            or listener == getattr(state, "listener", None)
            or (entrance is not None and getattr(state, "alias", None) == entrance)
        ):
            yield step.key
    balancer = graph.decisions.desired[entrance].desired.state if entrance else None
    for group in balancer.security_groups or () if isinstance(balancer, LoadBalancer) else ():
        if isinstance(group, Address) and (key := graph.makers.get(Address("security_group_rules", group.name))):
            yield key
