"""Fills in the variables that a command wasn't given, and that an earlier `apply` was given: tags of the stack's resources keep them."""

import asyncio
from dataclasses import replace

from alb_reconcile.aws.client import Aws
from alb_reconcile.kinds import load_kinds
from alb_reconcile.kinds.base import KeepsValues
from alb_reconcile.model import tags
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.errors import RefusedError


async def fill_in_kept(aws: Aws, target: DesiredStack) -> DesiredStack:
    """The stack with these variables. Asks nothing of AWS if the command was given all. A kept value outranks a default of the spec.

    Raises RefusedError, with each place, for a variable that has no value at all; SpecError, AwsError.
    """
    unset = target.unset
    if unset is None:
        return target
    kept: dict[str, str] = {}
    for kind in load_kinds().values():
        if isinstance(kind, KeepsValues):
            kept |= await kind.read_values(aws, target.stack)
    found = {name: kept[name] for name in unset.places if name in kept}
    applied = {}
    if unset.places.keys() - found.keys():
        recorded = await _read_recorded(aws, target)
        applied = {name: recorded[name] for name in unset.places if name in recorded and name not in found}
    lacking = {name: place for name, place in unset.places.items() if place and name not in found | applied}
    if lacking:
        told = "and no instance of the stack keeps a value of it; add --set"
        raise RefusedError(
            "\n".join(
                f"{place}: the variable {name} isn't given{unset.hints[name]}, {told} {name}=VALUE"
                for name, place in lacking.items()
            )
        )
    remarks = (
        f"{name} is {text}, as the stack's newest instance has it; --set {name}=VALUE gives another"
        for name, text in found.items()
    )
    again = (
        f"{name} is {text}, as it was applied last; --set {name}=VALUE gives another" for name, text in applied.items()
    )
    desired = unset.fill(found | applied) if found or applied else target.desired
    return replace(target, desired=desired, unset=None, remarks=(*target.remarks, *remarks, *again))


async def _read_recorded(aws: Aws, target: DesiredStack) -> dict[str, str]:
    """The variables of the spec that was applied last, by the tags of resources that outlive instances. Raises AwsError."""
    kinds = load_kinds()
    carriers = {address.kind for address, item in target.desired.items() if item.state.carries_applied}
    listings = [listing for name in sorted(carriers) if (listing := kinds[name].listing)]
    where = {f"tag:{tags.STACK}": target.stack}
    reads = (aws.pages("ec2", listing.operation, listing.key, where=where) for listing in listings)
    rows = [row for part in await asyncio.gather(*reads) for row in part]
    return {name: text for row in rows for name, text in tags.values_in(tags.from_list(row.get("Tags")))}
