"""Holds what exists of a stack and what becomes of each resource, read once and decided once for a plan."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from alb_reconcile.engine.plan.decide import Held, decide
from alb_reconcile.engine.plan.pending_launches import Unseen, find_unseen
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.address import Address
from alb_reconcile.model.decisions import DUPLICATE, Decisions
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.discovery import Discovery
from alb_reconcile.model.resource import BLUE_GREEN, Desired, each_of
from alb_reconcile.model.service import Balancer, Member, Pool, ServedBy, Server


@dataclass(frozen=True)
class Situation:
    """The basis of checks and plans: the desired stack, the resources that were read, and the decisions that follow from both."""

    target: DesiredStack
    discovery: Discovery
    decisions: Decisions
    now: datetime
    unseen: tuple[Unseen, ...] = ()
    """The launches of a moment ago of which AWS shows only a part."""
    held: Held = field(default_factory=dict)

    @property
    def made(self) -> dict[Address, Desired]:
        """The entries that are to be made and have no predecessor."""
        return {address: item.desired for address, item in self.decisions.desired.items() if item.found is None}


def situate(
    target: DesiredStack, discovery: Discovery, now: datetime | None = None, held: Held | None = None
) -> Situation:
    """Decide what becomes of each resource, including those that are replaced because another one is. `now` is aware; by default it is the
    current time."""
    now, held, forced = now or datetime.now(UTC), held or {}, dict[str, str]()
    unseen = tuple(find_unseen(discovery.resources, now))
    while True:
        decisions = decide(target, discovery, forced, unseen, held)
        more = {key: reason for key, reason in _cascades(decisions).items() if key not in forced}
        if not more:
            return Situation(target, discovery, decisions, now, unseen, held)
        forced |= more


def _cascades(decisions: Decisions) -> dict[str, str]:
    """The reasons, by id, for replacing resources because another one is replaced, though no property of their own forces it.

    A target group can serve only one load balancer. So a group is replaced if its load balancer is, or if it is to serve another load
    balancer.
    """
    ours = {item.id for item, _ in each_of(decisions.live, Balancer)}
    wanted: dict[Address, set[str | None]] = defaultdict(set)
    for item in decisions.desired.values():
        entrance = decisions.entrance_of(item.desired)
        for part in action_of(item.desired.state).forward:
            if entrance and isinstance(part.target_group, Address):
                wanted[part.target_group].add(decisions.ids.get(entrance))
    forced = dict(_left_by_instances(decisions))
    replaced = _functions_replaced(decisions)
    for item, _ in each_of(decisions.desired.values(), Pool):
        address = item.desired.address
        if item.found and not item.forces and item.found.id in replaced:
            forced[item.found.id] = "its function is replaced, and a group has one only"
        if item.found and not item.forces and wanted[address]:
            serves = ours.intersection(item.found.detail(ServedBy).load_balancers)
            if not serves <= wanted[address]:
                new = None in wanted[address]
                forced[item.found.id] = "its load balancer is replaced" if new else "it moves to another load balancer"
    return forced


def _left_by_instances(decisions: Decisions) -> Iterator[tuple[str, str]]:
    """The target groups of instances that are replaced beside the old ones (`rollout.strategy`), by id, with the reason. An unfinished run
    may have made the new ones already."""
    beside = {
        address
        for address, item in decisions.desired.items()
        if item.desired.lifecycle.rollout.strategy == BLUE_GREEN and isinstance(item.desired.state, Server)
    }
    going = {item.found.id for item in decisions.desired.values() if item.found and item.forces}
    going |= {found.id for found, reason in decisions.to_delete.values() if reason == DUPLICATE}
    old = {item.id for item, _ in each_of(decisions.live, Server) if item.id in going and item.address in beside}
    left = {str(state.target_group) for _, state in each_of(decisions.live, Member) if str(state.target) in old}
    for item, _ in each_of(decisions.desired.values(), Pool):
        if item.found and not item.forces and item.found.id in left:
            yield item.found.id, "its instances are replaced beside it (blue_green)"


def _functions_replaced(decisions: Decisions) -> set[str]:
    """The target groups that get requests and are to have another function. A group has one function only, so registering the new one in
    place of the old one would leave a gap; a new group takes over instead (ELB User Guide, "Deregister the Lambda function")."""
    made = {
        str(state.target_group)
        for item, state in each_of(decisions.desired.values(), Member)
        if state.outlives_parent and item.found is None
    }
    there = {
        str(state.target_group)
        for item, state in each_of(decisions.live, Member)
        if state.outlives_parent and item.id in decisions.to_delete
    }
    served = {str(part.target_group) for item in decisions.live for part in action_of(item.state).receiving}
    return made & there & served
