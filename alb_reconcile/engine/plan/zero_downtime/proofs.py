"""Lets a version that stands beside the old one be asked before requests move to it (`rollout.checks`)."""

from collections.abc import Iterable, Iterator

from alb_reconcile.engine.plan.graph import Graph
from alb_reconcile.engine.plan.zero_downtime.forwards import group_address
from alb_reconcile.engine.standby import serving_customers
from alb_reconcile.model import tags
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.errors import RefusedError
from alb_reconcile.model.plan import Step
from alb_reconcile.model.resource import BLUE_GREEN, RequestCheck, Rollout, each_of
from alb_reconcile.model.service import Frontend, Member, Pool, RoutingRule
from alb_reconcile.model.steps import Proof

NOT_BROKEN = "100-499"
"""The statuses that checks of which the spec says none take for good."""
_WITHOUT = "or write rollout: {checks: []}"


def proofs_of(graph: Graph, step: Step, groups: Iterable[Ref]) -> Iterator[Proof]:
    """What is to be asked of groups before a listener or rule gives them more requests. Raises RefusedError where nothing can be asked."""
    serving = serving_customers(graph.decisions.live)
    for group in groups:
        address = group_address(graph, group)
        if not isinstance(address, Address) or graph.decisions.ids.get(address) in serving:
            continue
        for rollout in rollouts_of(graph, address):
            checks = _usual(graph, address) if rollout.checks is None else rollout.checks
            found = graph.decisions.desired[address].found
            is_here = found is not None and graph.decisions.ids.get(address) == found.id
            rejected = found.tags.get(tags.REJECTED, "") if found and is_here else ""
            listener = _listener(graph, step) if checks else ""
            yield Proof(address, listener, checks, rollout.settle, rejected=rejected)
            break


def rollouts_of(graph: Graph, group: Address) -> Iterator[Rollout]:
    """The rollouts of the instances in a group that are made beside the old ones."""
    for _, state in each_of((item.desired for item in graph.decisions.desired.values()), Member):
        member = graph.decisions.desired.get(state.target) if isinstance(state.target, Address) else None
        if state.target_group == group and member and member.desired.lifecycle.rollout.strategy == BLUE_GREEN:
            yield member.desired.lifecycle.rollout


def _usual(graph: Graph, group: Address) -> tuple[RequestCheck, ...]:
    """The checks of an entry that says none: the path of the health check, and /, must not answer with an error of the service."""
    state = graph.decisions.desired[group].desired.creation
    if not isinstance(state, Pool) or state.protocol_version == "GRPC":
        return ()  # which answers no plain GET
    path = (state.health_check or {}).get("path")
    return tuple(RequestCheck(path, NOT_BROKEN) for path in dict.fromkeys((str(path or "/"), "/")))


def _listener(graph: Graph, step: Step) -> str:
    """The ARN of the listener through which a group is asked. Raises RefusedError."""
    state = step.desired.state if step.desired else None
    listener = state.listener if isinstance(state, RoutingRule) else step.address
    item = graph.decisions.desired.get(listener) if isinstance(listener, Address) else None
    found = item.found if item else None
    if item is None or found is None or not isinstance(item.desired.state, Frontend):
        raise RefusedError(
            f"{step.address}: its listener isn't in this spec, so the new version can't be asked; {_WITHOUT}"
        )
    if item.desired.state.wants_certificate:
        raise RefusedError(
            f"{listener} lets in only clients with a certificate, so the new version can't be asked; {_WITHOUT}"
        )
    rules = each_of(graph.decisions.live, RoutingRule)
    first = (live for live, state in rules if live.parent_id == found.id and state.priority == 1)
    for taken in (live.address for live in first if live.address.name != tags.CHECK_NAME):
        raise RefusedError(
            f"{taken} has priority 1, so a rule that asks the new version first has no place before it; give it a higher number, {_WITHOUT}"
        )
    return found.id
