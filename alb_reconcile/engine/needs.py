"""Says how many healthy targets each target group needs by its spec. No other module turns the spec's words into these numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.resource import Desired, bind, each_of
from alb_reconcile.model.service import Member, Pool


@dataclass(frozen=True)
class Needed:
    """How many healthy targets a target group needs."""

    declared: int = 0
    """How many targets the spec gives to the group, without those of instances that the spec allows to be stopped."""
    slack: int = 0
    """How many of these may be missing: the largest `max_unavailable` of their instances."""
    min_healthy: int | None = None
    """The number that the spec says for the moment at which the group gets more requests; None where it says none."""

    @property
    def least(self) -> int:
        """How many must be healthy while the group gets requests."""
        return max(self.declared - self.slack, 0)

    def to_keep(self, able: int) -> int:
        """How many must stay healthy while others leave, if `able` are healthy when the plan is made, or may be soon."""
        return min(self.least, able)


def needs(desired: Mapping[Address, Desired], ids: Mapping[Address, str]) -> dict[Ref, Needed]:
    """What each target group of a spec needs, by the group's id; by its address if the group has no id yet, or is replaced."""
    found: dict[Ref, Needed] = {}
    for item, _ in each_of(desired.values(), Pool):
        found[bind(item.address, ids)] = Needed(min_healthy=item.lifecycle.min_healthy)
    for _, state in each_of(desired.values(), Member):
        group, server = bind(state.target_group, ids), None
        if isinstance(state.target, Address):
            server = desired.get(state.target)
        known = found.get(group, Needed())
        slack = max(known.slack, server.lifecycle.rollout.max_unavailable if server else 0)
        found[group] = Needed(known.declared + 1, slack, known.min_healthy)
    return found
