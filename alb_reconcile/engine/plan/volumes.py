"""Volumes that outlive their instances: what can't be done with them, and what becomes of them."""

from collections.abc import Iterator

from alb_reconcile.engine.plan.decide import Decision, Decisions, location_of
from alb_reconcile.engine.plan.graph import Graph
from alb_reconcile.kinds.instance import Instance, LaunchedWith
from alb_reconcile.kinds.instance.volumes import by_name, persistent
from alb_reconcile.model import tags
from alb_reconcile.model.discovery import Discovery, Finding
from alb_reconcile.model.resource import each_of


def stranded_volumes(decisions: Decisions, discovery: Discovery) -> list[Finding]:
    """Volumes that an instance couldn't have where it is to be, or as it is to have them: another instance wouldn't help."""
    found: list[Finding] = []
    for item, state in each_of(decisions.desired.values(), Instance):
        if item.found is None or item.forces:
            found += _far_away(item, state, decisions, discovery)
        found += _unchangeable(item, state)
        found += _at_root(item, state)
    return found


def _far_away(item: Decision, state: Instance, decisions: Decisions, discovery: Discovery) -> Iterator[Finding]:
    zone = location_of(state.subnets[0], decisions, discovery).zone
    for name in persistent(state.data_volumes):
        volume, there = discovery.kept.get((item.desired.address, name), ("", zone))
        if zone and there != zone:
            text = f"{volume} ({name} of {item.desired.address}) is in {there}, and AWS attaches it nowhere else; name a subnet of that zone"
            yield Finding(item.desired, "subnets", text)


def _unchangeable(item: Decision, state: Instance) -> Iterator[Finding]:
    for change in item.changes if item.found else ():
        _, _, path = change.path.partition(".")
        name, _, key = path.partition(".")
        if change.path in item.forces and name in persistent(state.data_volumes) and key != "device_name":
            text = f"{change.before} can't become {change.after} on a volume that is kept; leave it, or give the volume another name and device, which makes a new one"
            yield Finding(item.desired, change.path, text)


def _at_root(item: Decision, state: Instance) -> Iterator[Finding]:
    """What a new instance can't have there its image tells (`taken_devices`)."""
    held = item.found.details if item.found and not item.forces else None
    root = held.volumes.root if isinstance(held, LaunchedWith) else ""
    for name, disk in persistent(state.data_volumes).items():
        if disk["device_name"] == root:
            text = (
                f"{item.found and item.found.id} has its root disk at {root}; choose another device, such as /dev/sdf"
            )
            yield Finding(item.desired, f"data_volumes.{name}.device_name", text)


def tell_volumes(graph: Graph) -> None:
    """Say which volumes an instance gets that its predecessor had, or that wait for it, which ones begin empty, and what becomes
    of the others with their instance."""
    handed: set[str] = set()
    for step in graph.of_kind("instance", "create", "replace"):
        if isinstance(step.state, Instance):
            named = by_name(step.state.data_volumes).items()
            empty = [name for name, disk in named if not (disk.get("persistent") or disk.get("snapshot_id"))]
            if empty and step.action == "replace":
                text = f"starts with empty data volumes ({', '.join(empty)}); to keep what is on them, first apply persistent: true of each"
                graph.say(step.key, effects=f"{text}, which needs rollout: {{max_surge: 0, max_unavailable: 1}}")
            for name in persistent(step.state.data_volumes):
                if kept := graph.discovery.kept.get((step.address, name)):
                    handed.add(kept[0])
                    text = f"gets {kept[0]} ({name}), which outlives its instance, when nothing else has it"
                    graph.say(step.key, effects=text)
    for step in graph.of_kind("instance", "delete"):
        if step.observed and isinstance(held := step.observed.details, LaunchedWith):
            for text in held.volumes.fates(handed):
                graph.say(step.key, effects=text)
            own = held.volumes.ids.get(held.volumes.root)
            if step.part_of and step.observed.tags.get(tags.ADOPTED) == step.id and own not in held.volumes.stays:
                graph.say(step.key, effects="launched by hand: what was installed on it goes with its root volume")
