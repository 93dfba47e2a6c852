"""Checks and describes what a plan does to instances' data volumes, some of which outlive their instances."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from alb_reconcile.kinds.instance.volumes import Attached, by_name, persistent
from alb_reconcile.model import tags
from alb_reconcile.model.decisions import Decision, Decisions
from alb_reconcile.model.discovery import Discovery, Finding
from alb_reconcile.model.plan import Step

Disks = Mapping[str, object] | None
"""An instance's data volumes, with a path for each key (`volumes.flat`)."""


def check_volumes(
    item: Decision, disks: Disks, there: Attached, decisions: Decisions, discovery: Discovery
) -> Iterator[Finding]:
    """Findings about volumes that an instance can't have in its zone, or with its settings, so that replacing the instance wouldn't help.

    `there` are the instance's present volumes.
    """
    address, kept = item.desired.address, persistent(disks)
    if item.found is None or item.forces:
        (subnet, *_) = getattr(item.state, item.state.in_subnets)
        zone = decisions.location_of(subnet, discovery).zone
        for name in kept:
            volume, place = discovery.kept.get((address, name), ("", zone))
            if zone and place != zone:
                text = f"{volume} ({name} of {address}) is in {place}, and AWS attaches it nowhere else; name a subnet of that zone"
                yield Finding(item.desired, "subnets", text)
    for change in item.changes if item.found else ():
        name, _, key = change.path.partition(".")[2].partition(".")
        if change.path in item.forces and name in kept and key != "device_name":
            text = f"{change.before} can't become {change.after} on a volume that is kept; leave it, or give the volume another name and device, which makes a new one"
            yield Finding(item.desired, change.path, text)
    for name, disk in kept.items():
        if item.found and not item.forces and disk["device_name"] == there.root:  # the image of a new instance says it
            text = f"{item.found.id} has its root disk at {there.root}; choose another device, such as /dev/sdf"
            yield Finding(item.desired, f"data_volumes.{name}.device_name", text)


def tell_new(steps: Iterable[tuple[Step, Disks]], discovery: Discovery) -> Iterator[tuple[Step, str]]:
    """Notes on the volumes that a new instance gets from its predecessor, or that wait for it, and on the volumes that begin empty."""
    for step, disks in steps:
        named = by_name(disks).items()
        empty = [name for name, disk in named if not (disk.get("persistent") or disk.get("snapshot_id"))]
        if empty and step.action == "replace":
            text = f"starts with empty data volumes ({', '.join(empty)}); to keep what is on them, first apply persistent: true of each"
            yield step, f"{text}, which needs rollout: {{max_surge: 0, max_unavailable: 1}}"
        for name, volume in handed_on(step, disks, discovery).items():
            yield step, f"gets {volume} ({name}), which outlives its instance, when nothing else has it"


def handed_on(step: Step, disks: Disks, discovery: Discovery) -> dict[str, str]:
    """The ids of the volumes that wait for a new instance, by name."""
    found = {name: discovery.kept.get((step.address, name)) for name in persistent(disks)}
    return {name: kept[0] for name, kept in found.items() if kept}


def tell_old(steps: Iterable[tuple[Step, Attached]], handed: Sequence[str]) -> Iterator[tuple[Step, str]]:
    """Notes on what becomes of an instance's volumes when the instance is deleted, without volumes that are handed on."""
    for step, held in steps:
        yield from ((step, text) for text in held.fates(handed))
        own = held.ids.get(held.root)
        found = step.observed
        if step.part_of and found and found.tags.get(tags.ADOPTED) == step.id and own not in held.stays:
            yield step, "launched by hand: what was installed on it goes with its root volume"
