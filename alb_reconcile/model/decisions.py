"""What a plan decides for each resource: whether the resource stays, changes, is replaced or is deleted."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.discovery import Discovery
from alb_reconcile.model.resource import Change, Desired, Observed, Properties, each_of, field_names
from alb_reconcile.model.service import Foreign, Frontend, RoutingRule, Segment

DUPLICATE: Final = "a duplicate at its address"
"""Why one of two resources at an address goes; it takes nothing away that the spec wants (but see `plan.twins`)."""


@dataclass
class Decision:
    """What becomes of one desired resource, and of the one that was found for it, if any."""

    desired: Desired
    state: Properties
    """The desired properties, bound as far as ids are known and settled by what there is."""
    found: Observed | None = None
    changes: tuple[Change, ...] = ()
    forces: tuple[str, ...] = ()
    """The paths of changes that AWS can't make in place; not empty means replacement."""
    reason: str = ""


@dataclass
class Decisions:
    """All of them. `ids` are those of the resources that stay; `to_delete` has what goes, with the reason."""

    stack: str = ""
    desired: dict[Address, Decision] = field(default_factory=dict)
    to_delete: dict[str, tuple[Observed, str]] = field(default_factory=dict)
    ids: dict[Address, str] = field(default_factory=dict)
    live: tuple[Observed, ...] = ()
    seen_ids: dict[Address, list[str]] = field(default_factory=dict)
    """All physical ids that were ever seen at an address, dead ones too."""
    kept: list[str] = field(default_factory=list)
    resting: list[Desired] = field(default_factory=list)
    """Registrations that are wanted, and that nobody makes, since AWS refuses an instance that is stopped."""

    @cached_property
    def live_ids(self) -> frozenset[str]:
        """The ids of all that there is and that isn't on its way out."""
        return frozenset(item.id for item in self.live if not item.is_leaving)

    @property
    def kinds(self) -> set[type[Properties]]:
        """Those of everything that there is or is desired."""
        return {type(item.state) for item in self.desired.values()} | {type(item.state) for item in self.live}

    @cached_property
    def going(self) -> dict[str, Address]:
        """What is deleted or replaced, by its id."""
        found = {item.found.id: address for address, item in self.desired.items() if item.found and item.forces}
        return found | {known: item.address for known, (item, _) in self.to_delete.items()}

    def location_of(self, subnet: Ref, discovery: Discovery) -> Foreign:
        """The VPC and the zone of a subnet that isn't made yet (then all its addresses are free), of the stack or foreign; as far as
        they are known."""
        if isinstance(subnet, Address):
            ((_, state),) = each_of([self.desired[subnet]], Segment)
            return state.location
        own = next((item for item in self.live if item.id == subnet), None)
        return own.detail(Foreign) if own else discovery.foreign.get(subnet, Foreign())

    def entrance_of(self, wanted: Desired | None) -> Address | None:
        """The load balancer of the spec that a listener or rule of it belongs to."""
        state = wanted.state if wanted else None
        if isinstance(state, RoutingRule) and isinstance(state.listener, Address):
            state = self.desired[state.listener].desired.state
        if isinstance(state, Frontend) and isinstance(state.load_balancer, Address):
            return state.load_balancer
        return None


def named_ids(value: object) -> Iterable[str]:
    """Everything in an observed state that may be another resource's id."""
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
    """The subnets in which a resource has addresses, or which it serves."""
    found = getattr(state, state.in_subnets) if state.in_subnets else None
    return found if isinstance(found, tuple) and not isinstance(found, Address) else tuple(filter(None, [found]))
