"""Finds for `adopt --write` the values that make a spec say what runs."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from alb_reconcile.adoption.adopt import Adoption
from alb_reconcile.aws.client import Aws
from alb_reconcile.export.entries import EntryWriter
from alb_reconcile.export.scope import read_around
from alb_reconcile.kinds import load_kinds
from alb_reconcile.kinds.base import Entry, Grouped, HasFile
from alb_reconcile.kinds.recognition import Candidate
from alb_reconcile.model import tags
from alb_reconcile.model.address import Address
from alb_reconcile.model.nodes import Path
from alb_reconcile.model.plan import Plan, Step
from alb_reconcile.spec.schema import resolved

_UNNAMED = "data_volumes"
"""The property for which a spec has names of its own, which AWS doesn't know."""


async def changes_for(aws: Aws, adoption: Adoption) -> dict[Path, Any]:
    """The values that the spec would have to have, by their paths in it; None for a key that it shouldn't have."""
    plan = adoption.preview.plan
    if plan is None or plan.is_empty:
        return {}
    found = await read_around(aws, {*adoption.vpcs})
    addresses = {key: address for address, key in plan.ids.items()}
    # a resource that is to be replaced doesn't stay, but it is what the entry stands for
    addresses |= {step.observed.id: step.address for step in plan.steps if step.observed and step.desired}
    addresses |= {match.found.found.id: match.address for match in adoption.matches}
    called = {key: str(path_of(each)[-1]) for key, each in addresses.items() if load_kinds()[each.kind].section}
    # the writer's remarks are dropped: what an entry can't say stays a difference, which is shown
    taking = _Taking(plan, addresses, EntryWriter(found, plan.region, called))
    values: dict[Path, list[Any]] = defaultdict(list)
    for step in plan.steps:
        if step.observed is not None and step.part_of is None and step.action != "create":
            for path, value in taking.values_of(step):
                values[path] += [] if value in values[path] else [value]
    # values that differ among equal members of a group can't be said
    return {path: options[0] for path, options in values.items() if len(options) == 1}


def unwritten(plan: Plan, step: Step) -> list[str]:
    """The paths of a step's changes that are never written into a spec, since they may be secrets."""
    kind = load_kinds()[step.carried_by]
    file = kind.file_key.removesuffix("_file") if isinstance(kind, HasFile) else ""
    pairs = zip(step.changes, plan.shown(step), strict=True)
    return [change.path for change, shown in pairs if change.path == file or change != shown]


@dataclass
class _Taking:
    """Reads the values that a plan's steps would change off what runs."""

    plan: Plan
    addresses: Mapping[str, Address]
    writer: EntryWriter

    def values_of(self, step: Step) -> Iterator[tuple[Path, Any]]:
        if not load_kinds()[step.address.kind].section:
            carrier = (step.observed and step.observed.parent_id) or ""
            if not unwritten(self.plan, step) and carrier in self.addresses and carrier in self.writer.found.all:
                yield from self._of_members(step.address.kind, carrier, path_of(self.addresses[carrier]))
            return
        item = self.writer.found.all.get(step.id or "")
        if item is None or step.desired is None:
            return
        path = path_of(step.desired.address)
        values = dict(self._of_item(step, path, item))
        for other, address in self.addresses.items():  # what only some members of a group have can't be said
            mate = self.writer.found.all.get(other)
            if mate is not None and address.kind == step.address.kind and path_of(address) == path:
                theirs = dict(self._of_item(step, path, mate))
                values = {key: value for key, value in values.items() if theirs[key] == value}
        yield from values.items()

    def _of_item(self, step: Step, path: Path, item: Candidate) -> Iterator[tuple[Path, Any]]:
        """The values that a resource has of the properties that a step is about."""
        entry = self.writer.write(item.found, whole=True)
        secrets = unwritten(self.plan, step)
        for change in step.changes:
            name, _, rest = change.path.partition(".")
            if change.path in secrets or (change.path == "tags.Name" and step.action == "replace"):
                continue  # a name is kept as long as its resource stays
            if name == "tags":
                yield from self._of_tag(path, rest, self.writer.found.tags.get(item.found.id, {}), entry)
            elif name != _UNNAMED:
                below = entry.get(name)
                yield (*path, name, rest) if rest else (*path, name), below.get(rest) if rest and below else below

    def _of_members(self, kind: str, carrier: str, path: Path) -> Iterator[tuple[Path, Any]]:
        entry = self.writer.write(self.writer.found.all[carrier].found, whole=True)
        for item in self.writer.found.all.values():
            if item.found.state.kind == kind and item.found.parent_id == carrier:
                self.writer.write_member(item.found, entry)
        for key in resolved(kind).get("properties", {}):
            yield (*path, key), entry.get(key)

    @staticmethod
    def _of_tag(path: Path, key: str, own: Mapping[str, str], entry: Entry) -> Iterator[tuple[Path, Any]]:
        if key == tags.IMAGE:
            yield (*path, "image_id"), entry["image_id"]
            yield (*path, "image"), None
        elif key == "Name":
            yield (*path, "name"), own.get(key)
        elif not key.startswith("alb-reconcile:"):
            yield (*path, "tags", key), own.get(key)


def path_of(address: Address) -> Path:
    """The path of an entry in a spec: of listener.main/http it is load_balancers, main, listeners, http."""
    kinds = load_kinds()
    kind = kinds[address.kind]
    sections = [kind.section]
    names = [kind.group_of(address.name)] if isinstance(kind, Grouped) else address.name.split("/")
    while (parent := kind.properties.parent) is not None:
        kind = kinds[parent]
        sections.insert(0, kind.section)
    return tuple(part for pair in zip(sections, names, strict=True) for part in pair)
