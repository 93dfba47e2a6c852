"""Finds the ids that `adopt` would need to find forgotten resources again. Asks AWS nothing."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from alb_reconcile.adoption.match import Matcher
from alb_reconcile.adoption.survey import Survey
from alb_reconcile.kinds import in_order_of_recognition
from alb_reconcile.kinds.recognition import Known
from alb_reconcile.model.address import Address
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.resource import Desired, Observed


def ids_for_adopt(
    target: DesiredStack, going: Iterable[Observed], survey: Survey, subnet_vpcs: Mapping[str, str]
) -> dict[Address, str]:
    """The ids of resources that `adopt` wouldn't find by itself: if the stack keeps its name, or if it gets another one, which also changes
    the names of entries that give none."""
    there = {item.address: item.id for item in going if item.address in target.desired}
    free = {
        kind: [replace(item, owner="" if item.owner == target.stack else item.owner) for item in found]
        for kind, found in survey.items()
    }
    needed: dict[Address, str] = {}
    for desired in (target.desired, _renamed(target)):
        known = Known(desired, target.stack, subnet_vpcs=subnet_vpcs, found=survey)
        while (lost := _lost(known, free, there, needed)).keys() - needed.keys():
            needed |= lost
    return {address: needed[address] for address in target.desired if address in needed}


def _lost(known: Known, free: Survey, there: Mapping[Address, str], given: Mapping[Address, str]) -> dict[Address, str]:
    """The resources that aren't found of the first kind of which some aren't; matches of the kinds within depend on that one."""
    matcher = Matcher(known.stack, replace(known, ids={}, _bound={}), given)
    for kind in in_order_of_recognition():
        matcher.match(kind, free.get(kind, ()))
        entries = {address: key for address, key in there.items() if address.kind == kind}
        if lost := {address: key for address, key in entries.items() if matcher.known.ids.get(address) != key}:
            return lost
    return {}


def _renamed(target: DesiredStack) -> dict[Address, Desired]:
    """The entries as under a stack's name that no resource has in its own name yet."""
    own = f"{target.stack}-"
    return {
        address: replace(item, tags={**item.tags, "Name": f"\n{name}"}) if name.startswith(own) else item
        for address, item in target.desired.items()
        for name in (item.tags.get("Name", ""),)
    }
