"""Finds the zones of load balancers and of their targets.

If cross-zone load balancing is off for a target group, a load balancer's node sends requests to healthy targets in its own zone alone, and
answers 503 without one (ELB, "Target groups for your Application Load Balancers"). An Application Load Balancer's own setting is always on.
"""

from __future__ import annotations

from alb_reconcile.engine.world import World
from alb_reconcile.model.address import Ref
from alb_reconcile.model.resource import Observed, Properties
from alb_reconcile.model.service import Balancer, Member, Pool, Registered, Segment, Server


def zone_of(world: World, subnet: Ref) -> str | None:
    """The zone of a subnet; None if it isn't known."""
    found = world.get(subnet)
    return found.state.availability_zone if found and isinstance(found.state, Segment) else None


def node_zones(world: World, balancer: str) -> list[str]:
    """The zones in which a load balancer has nodes, as far as they are known."""
    found = world.get(balancer)
    subnets = found.state.subnets if found and isinstance(found.state, Balancer) else ()
    return sorted({zone for subnet in subnets if (zone := zone_of(world, subnet))})


def target_zone(world: World, item: Observed, target: Member) -> str | None:
    """The zone of a target; None if it isn't known, or if the target counts for all zones."""
    instance = world.get(target.target)
    if instance is not None and isinstance(instance.state, Server):
        zones = {zone_of(world, subnet) for subnet in instance.state.subnets}
        return zones.pop() if len(zones) == 1 else None
    zone = item.details.availability_zone if isinstance(item.details, Registered) else target.availability_zone
    return zone if zone != "all" else None


def is_zonal(group: Properties | None) -> bool:
    """Whether cross-zone load balancing is known to be off for a target group."""
    attributes = (group.attributes if isinstance(group, Pool) else None) or {}
    return attributes.get("load_balancing.cross_zone.enabled") == "false"
