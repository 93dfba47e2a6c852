"""Builds desired resources from a checked document: one flat mapping, with addresses for references and collections as values."""

import dataclasses
from collections.abc import Mapping
from functools import cache
from typing import Any

from alb_reconcile.kinds import in_spec_order, load_kinds
from alb_reconcile.kinds.base import AnyKind, Entry, Grouped, HasFile
from alb_reconcile.kinds.identifiers import refer, refer_all
from alb_reconcile.kinds.networks import implied_fields
from alb_reconcile.model.address import Address
from alb_reconcile.model.nodes import Path
from alb_reconcile.model.resource import Desired, Lifecycle, Properties, Rollout, field_names
from alb_reconcile.model.text import digest, has_number, numbered
from alb_reconcile.spec.outline import Outline
from alb_reconcile.spec.schema import resolved


def build(outline: Outline, file: str = "") -> dict[Address, Desired]:
    """Every resource that a valid document wants, by address. `file` is what the document is called in messages."""
    builder = _Builder(outline, file)
    for kind in in_spec_order():
        if kind.section and kind.properties.parent is None:
            for name, entry in outline.entries(kind.section).items():
                builder.add_entry(kind, name, entry, (kind.section, name))
    return builder.resources


class _Builder:
    def __init__(self, outline: Outline, file: str) -> None:
        self.outline, self.file = outline, file
        self.stack: str = outline.data["stack"]
        self.tags: dict[str, str] = outline.data.get("tags", {})
        self.resources: dict[Address, Desired] = {}

    def add_entry(self, kind: AnyKind, name: str, entry: Entry, path: Path, parent: Mapping[str, Address] = {}) -> None:
        """Add an entry of a kind, its members, and the entries that nest in it."""
        address = Address(kind.name, name)
        places = self.outline.places(path, self.file)
        state = kind.read_entry(name, entry, {**self._fields(kind, name, entry), **parent}, self.outline)
        children = [child for child in in_spec_order() if child.section and child.properties.parent == kind.name]
        nested = {child.section for child in children}
        own = {key: value for key, value in entry.items() if key not in nested}
        if self.tags:
            every = {**self.tags, **entry.get("tags", {})}
            own["tags"] = {key: value for key, value in every.items() if value is not None}
        if isinstance(kind, Grouped):
            self._add_group(kind, name, own, state, places, self.outline.variables_of(path))
        else:
            self._add(address, own, state, digest(own), places)
        lifecycle = Lifecycle(keep_others=entry.get("others") == "keep")
        for member, properties in kind.members(name, entry, self.outline):
            # a member of a group's resource belongs to that resource
            carrier = address if address in self.resources else getattr(properties, str(properties.parent))
            self.resources[member] = Desired(
                member, properties, properties, tags={}, lifecycle=lifecycle, spec_digest="", carrier=carrier,
                places=places,
            )  # fmt: skip
        for child in children:
            for key, below in entry.get(child.section, {}).items():
                self.add_entry(child, f"{name}/{key}", below, (*path, child.section, key), {kind.name: address})

    def _fields(self, kind: AnyKind, name: str, entry: Entry) -> dict[str, Any]:
        """The keys of an entry that are fields, with references instead of names, and its VPC, given or implied."""
        found: dict[str, Any] = {}
        for field in field_names(kind.properties):
            if field in entry:
                found[field] = _plain(resolved(kind.name)["properties"][field], entry[field])
        return found | implied_fields(kind, name, entry, self.outline)

    def _add_group(
        self,
        kind: Grouped,
        name: str,
        entry: Entry,
        state: Properties,
        places: Mapping[str, str],
        given: Mapping[str, str],
    ) -> None:
        """Add the members of a group, which are alike, and numbered. What a file says counts as if the entry said it, and so do variables
        that tags keep."""
        from_file = getattr(state, kind.file_key.removesuffix("_file")) if isinstance(kind, HasFile) else None
        spec_digest = digest([{**entry, "count": None}, str(from_file), *sorted(given.items())])
        for number in range(1, entry.get("count", 1) + 1):
            label = entry.get("name")
            if label and ("count" in entry or has_number(label)):
                label = numbered(label, number)
            member = Address(state.kind, f"{name}-{number}")
            own = kind.member_of(state, number)
            self._add(member, {**entry, "name": label}, own, spec_digest, places, group=name)

    def _add(
        self,
        address: Address,
        entry: Entry,
        state: Properties,
        spec_digest: str,
        places: Mapping[str, str],
        *,
        group: str | None = None,
    ) -> None:
        """Add a resource that carries tags: an entry of its own in the file, or a member of a group."""
        self.resources[address] = Desired(
            address=address,
            state=state,
            creation=_with_defaults(state),
            tags={**entry.get("tags", {}), "Name": entry.get("name") or f"{self.stack}-{address.name}"},
            lifecycle=_lifecycle(entry, group),
            spec_digest=spec_digest,
            declared=_paths({key: value for key, value in entry.items() if value is not None}),
            places=places,
        )


def _paths(entry: Entry) -> tuple[str, ...]:
    """The paths of an entry's declared properties: its keys, and the keys of its mappings."""
    paths = [[f"{key}.{item}" for item in value] if isinstance(value, dict) else [key] for key, value in entry.items()]
    return tuple(sorted(path for part in paths for path in part))


def _lifecycle(entry: Entry, group: str | None) -> Lifecycle:
    return Lifecycle(
        keep_others=entry.get("others") == "keep",
        members="targets" in entry,
        rollout=Rollout.of(entry),
        group=group,
        **{
            key: entry[key] for key in ("prevent_destroy", "image_update", "type_change", "min_healthy") if key in entry
        },
    )


@cache
def _defaults(kind: AnyKind) -> Mapping[str, Any]:
    """The schema's defaults of a kind's fields, for resources that are created; for a mapping, the defaults of its keys."""
    found: dict[str, Any] = {}
    for name, schema in resolved(kind.name)["properties"].items():
        below = {key: item["default"] for key, item in schema.get("properties", {}).items() if "default" in item}
        if name in field_names(kind.properties) and name != "state" and ("default" in schema or below):
            found[name] = schema.get("default", below)
    return found


def _with_defaults(state: Properties) -> Properties:
    kind = load_kinds()[state.kind]
    fields: dict[str, Any] = {}
    for name, default in _defaults(kind).items():
        given = getattr(state, name)
        if isinstance(default, dict):
            fields[name] = {**default, **(given or {})}
        elif given is None:
            fields[name] = default
    return dataclasses.replace(state, **kind.defaults_for(state, fields))


def _plain(schema: dict[str, Any], value: Any) -> Any:
    """A key's value as a field holds it: references by address, attributes as texts, as AWS has them, and a list of texts or numbers as a
    sorted tuple, since their order means nothing."""
    if "x-refers" in schema and not isinstance(value, dict):
        return refer(schema["x-refers"], value)
    if "x-refers" in schema.get("items", {}):
        return refer_all(schema["items"]["x-refers"], value)
    if "string" in (schema.get("additionalProperties") or {}).get("type", ()):
        return {key: str(item).lower() if isinstance(item, bool) else str(item) for key, item in value.items()}
    if schema.get("type") == "array" and not any(isinstance(item, dict) for item in value):
        return tuple(sorted(value))
    return value
