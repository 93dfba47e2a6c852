"""Finds target groups in another VPC than their load balancer or instances, where `validate` couldn't know, since one is named by id."""

from collections.abc import Iterator, Mapping

from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.decisions import Decisions, subnets_of
from alb_reconcile.model.discovery import Discovery, Finding
from alb_reconcile.model.resource import Desired, Properties, bind, each_of
from alb_reconcile.model.service import Member


def split_target_groups(decisions: Decisions, discovery: Discovery) -> list[Finding]:
    """Findings about target groups in another VPC than their load balancer, or than one of their instances."""
    users: dict[tuple[Ref, Ref], None] = {
        (part.target_group, entrance): None
        for item in decisions.desired.values()
        if (entrance := decisions.entrance_of(item.desired))
        for part in action_of(item.desired.state).forward
    }
    users |= {(state.target_group, state.target): None for _, state in each_of(_all(decisions), Member)}
    findings, places = [], _places(decisions, discovery)
    for group, user in users:
        item = decisions.desired.get(group) if isinstance(group, Address) else None
        other = decisions.desired.get(user) if isinstance(user, Address) else None
        if item is None or other is None:
            continue
        own = item.desired.state.network
        for vpc in _others(own, other.desired.state, places, decisions):
            text = f"is {own}, but {user} is in {vpc}; both must be in one VPC"
            findings.append(Finding(item.desired, item.desired.state.in_vpc, text))
    return findings


def _all(decisions: Decisions) -> Iterator[Desired]:
    return (item.desired for item in decisions.desired.values())


def _places(decisions: Decisions, discovery: Discovery) -> dict[Ref, Ref | None]:
    """The VPCs of the subnets in which a resource is, as far as they are known."""
    subnets = {subnet for item in _all(decisions) for subnet in subnets_of(item.state)}
    return {subnet: decisions.location_of(subnet, discovery).vpc for subnet in subnets}


def _others(vpc: Ref | None, user: Properties, places: Mapping[Ref, Ref | None], decisions: Decisions) -> list[Ref]:
    """The VPCs of a resource's subnets, other than that one."""
    found = {places[subnet] for subnet in subnets_of(user)}
    return sorted(
        (item for item in found if vpc and item and bind(item, decisions.ids) != bind(vpc, decisions.ids)), key=str
    )
