"""What a plan decides for each resource: whether the resource stays, changes, is replaced or is deleted."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.discovery import Discovery
from alb_reconcile.model.resource import Change, Desired, Observed, Properties, each_of, field_names
from alb_reconcile.model.service import Foreign, Frontend, RoutingRule, Segment

DUPLICATE: Final = "a duplicate at its address"
"""The reason for deleting one of two resources at an address, which takes nothing away that the spec wants (but see `plan.twins`)."""


@dataclass
class Decision:
    """What becomes of a desired resource, and of the resource that was found for it, if any."""

    desired: Desired
    state: Properties
    """The desired properties, bound as far as ids are known and adapted to the found resource."""
    found: Observed | None = None
    changes: tuple[Change, ...] = ()
    forces: tuple[str, ...] = ()
    """The paths of changes that AWS can't make in place; with any, the resource is replaced."""
    reason: str = ""


@dataclass
class Decisions:
    """All decisions of a plan. `ids` are the ids of the resources that stay; `to_delete` has the resources to be deleted, with the reasons."""

    stack: str = ""
    desired: dict[Address, Decision] = field(default_factory=dict)
    to_delete: dict[str, tuple[Observed, str]] = field(default_factory=dict)
    ids: dict[Address, str] = field(default_factory=dict)
    live: tuple[Observed, ...] = ()
    seen_ids: dict[Address, list[str]] = field(default_factory=dict)
    """All physical ids that were ever seen at an address, also of deleted resources."""
    kept: list[str] = field(default_factory=list)
    resting: list[Desired] = field(default_factory=list)
    """Registrations that are wanted and not made, since AWS refuses an instance that is stopped."""

    @cached_property
    def live_ids(self) -> frozenset[str]:
        """The ids of all existing resources that aren't being deleted."""
        return frozenset(item.id for item in self.live if not item.is_leaving)

    @property
    def kinds(self) -> set[type[Properties]]:
        """The kinds of all existing and all desired resources."""
        return {type(item.state) for item in self.desired.values()} | {type(item.state) for item in self.live}

    @cached_property
    def going(self) -> Mapping[str, Address]:
        """The addresses of resources that are deleted or replaced, by id."""
        found = {item.found.id: address for address, item in self.desired.items() if item.found and item.forces}
        return found | {known: item.address for known, (item, _) in self.to_delete.items()}

    def location_of(self, subnet: Ref, discovery: Discovery) -> Foreign:
        """The VPC and the zone of a subnet, of the stack or another owner's, as far as they are known; of a subnet that isn't made yet,
        all addresses are free."""
        if isinstance(subnet, Address):
            ((_, state),) = each_of([self.desired[subnet]], Segment)
            return state.location
        own = next((item for item in self.live if item.id == subnet), None)
        return own.detail(Foreign) if own else discovery.foreign.get(subnet, Foreign())

    def entrance_of(self, wanted: Desired | None) -> Address | None:
        """The load balancer of the spec to which a listener or rule of the spec belongs."""
        state = wanted.state if wanted else None
        if isinstance(state, RoutingRule) and isinstance(state.listener, Address):
            state = self.desired[state.listener].desired.state
        if isinstance(state, Frontend) and isinstance(state.load_balancer, Address):
            return state.load_balancer
        return None


def named_ids(value: object) -> Iterable[str]:
    """All texts in an observed state that may be another resource's id."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, tuple):
        return [text for member in value for text in named_ids(member)]
    if isinstance(value, Properties):
        return [text for name in field_names(type(value)) for text in named_ids(getattr(value, name))]
    if hasattr(value, "forward"):
        return [item.target_group for item in value.forward]
    return ()


def subnets_of(state: Properties) -> tuple[Ref, ...]:
    """The subnets in which a resource has addresses, or which the resource serves."""
    found = getattr(state, state.in_subnets) if state.in_subnets else None
    return found if isinstance(found, tuple) and not isinstance(found, Address) else tuple(filter(None, [found]))
