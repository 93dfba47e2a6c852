"""Compares what exists of a stack with its spec: what is missing, what differs, which of several stay, and how clients are served."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from alb_reconcile.engine.applied_tags import find_lost
from alb_reconcile.engine.plan.situation import Situation
from alb_reconcile.engine.service import Service, judge
from alb_reconcile.kinds import is_in_order, names_of
from alb_reconcile.model.address import Address
from alb_reconcile.model.resource import Observed
from alb_reconcile.model.service import Balancer, Member, Pool, Router, Server


@dataclass(frozen=True)
class Standing:
    """How what exists of a stack compares with its spec."""

    missing: tuple[Address, ...] = ()
    """The entries that the spec declares and that have no resource; empty if the stack has no resources at all."""
    fates: Mapping[str, str] = field(default_factory=dict)
    """What `apply` does with each of several resources at one address, by id: keeps, replaces or deletes."""
    ill: tuple[Observed, ...] = ()
    """The resources that the spec declares and AWS shows as not in order, such as an instance that is stopped and should run."""
    new: tuple[Address, ...] = ()
    """The missing entries that never existed, as far as the resources' tags say."""
    service: Service = field(default_factory=Service)
    """How clients are served."""
    differs: tuple[Address, ...] = ()
    """The existing resources that `apply` would update, replace or delete."""


_SERVING: Final = (Balancer, Router, Pool, Member)
"""The parts in the service that must be readable to say how clients are served."""


def find_standing(situation: Situation, untagged: Collection[Address] = ()) -> Standing:
    """How clients are served, what is missing or differs, and which of several resources at one address stay. Asks AWS nothing. If a
    kind couldn't be read, resources that refer to it can't be compared, so differences are left out. The entries of `untagged` exist, but
    have lost their tags."""
    target, discovery, decisions = situation.target, situation.discovery, situation.decisions
    shown = Counter(item.address for item in discovery.resources if not item.is_gone)
    if not shown:
        return Standing()
    is_read = discovery.unread.keys().isdisjoint(names_of(*_SERVING))
    if target.destroy:  # a destroy has no spec that says which resources stay
        return Standing(service=judge(discovery.resources, {}) if is_read else Service())
    missing = sorted(
        address
        for address, item in decisions.desired.items()
        if item.found is None and address not in shown and address.kind not in discovery.unread
    )
    fates = dict.fromkeys(decisions.to_delete, "deletes")
    differs = {found.address for found, _ in decisions.to_delete.values()}
    differs |= {address for address, item in decisions.desired.items() if item.found and (item.changes or item.forces)}
    for item in decisions.desired.values():
        if item.found is not None:
            fates[item.found.id] = "replaces" if item.forces else "keeps"
    several = [item.id for item in discovery.resources if shown[item.address] > 1]
    ill = []
    for found in discovery.resources:
        wanted = decisions.desired.get(found.address)
        if wanted is None or found.is_gone or is_in_order(found):
            continue
        state = wanted.desired.state
        is_to_run = not isinstance(state, Server) or state.state == "running"
        if is_to_run and (wanted.found is found or (wanted.found is None and found.is_leaving)):
            ill.append(found)
    told = {known: fates[known] for known in several if known in fates}
    if discovery.unread:
        told, differs = {}, set()
    lost = find_lost(target.stack, target.desired, discovery).keys() - set(untagged)
    going = {known for known, fate in fates.items() if fate == "deletes"}
    service = judge(discovery.resources, target.desired, lost, going) if is_read else Service()
    new = tuple(address for address in missing if address not in lost)
    return Standing(tuple(missing), told, tuple(ill), new, service, tuple(sorted(differs)))
