"""Weighs the evidence that an instance of the account is the one that an entry describes."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from alb_reconcile.kinds.recognition import Candidate, Evidence, Known, name_in_common
from alb_reconcile.model.address import Address
from alb_reconcile.model.resource import Desired
from alb_reconcile.model.tags import shared_name


def weigh_instance(desired: Desired, item: Candidate, known: Known) -> Evidence | None:
    """The evidence for an instance: its name, its settings at the launch, and the target groups in which it is registered."""
    wanted, found = known.bound(desired), _state(item)
    image = known.images.get(wanted.image_id, wanted.image_id) == found.image_id
    alike = (
        set(found.subnets) <= set(wanted.subnets)
        and wanted.instance_type == found.instance_type
        and wanted.key_name in (None, found.key_name)
    )
    if name := name_in_common(desired, item):
        return Evidence(0 if alike and image else 1, name, named=True)
    shared = known.once(_shared_names).get(item.found.tags.get("Name", ""))
    if shared == desired.lifecycle.group and shared:  # any of the instances that were launched together
        return Evidence(2 if alike and image else 3, f"its Name tag {item.found.tags['Name']}", named=True)
    if shared:
        return None
    groups = [known.ids.get(group) for group in known.once(_groups)[desired.address]]
    if alike and any((group, item.found.id) in known.once(_targets) for group in groups if group):
        return Evidence(2, "its type, subnet and registration")
    if alike and image and wanted.security_groups in (None, found.security_groups):
        return Evidence(3, "its type, image, subnet and security groups")
    return None


def _state(item: Candidate) -> Any:
    return item.found.state


def _shared_names(known: Known) -> Mapping[str, str | None]:
    """Instance entries by the Name that their jointly launched members share."""
    return {shared_name(item, known.stack): item.lifecycle.group for item in known.wanted("instance")}


def _groups(known: Known) -> Mapping[object, list[Address]]:
    """By instance, the target groups in which the instance is to be registered."""
    found: dict[object, list[Address]] = defaultdict(list)
    for entry in known.wanted("registration"):
        state: Any = entry.state
        found[state.target].append(state.target_group)
    return found


def _targets(known: Known) -> set[tuple[str, str]]:
    """Pairs of a target group and an instance that is registered in the group."""
    return {(str(state.target_group), str(state.target)) for state in known.there("registration")}
