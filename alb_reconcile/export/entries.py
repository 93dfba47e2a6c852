"""Writes entries of a spec from observed resources: by a kind's fields and its schema; the kind itself writes what differs from these."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from alb_reconcile.export.scope import FoundResources
from alb_reconcile.kinds import load_kinds
from alb_reconcile.kinds.base import AnyKind, Entry
from alb_reconcile.model.nodes import Path
from alb_reconcile.model.resource import Observed, Properties, field_names
from alb_reconcile.spec.schema import resolved

_OURS = ("aws:", "alb-reconcile:")
_NOTHING: tuple[Any, ...] = (None, False, "", (), [], {})
Schema = Mapping[str, Any]


@dataclass
class EntryWriter:
    """Writes entries, for `export` and `adopt --write`. The writer answers kinds' questions about the resources around one (`Named`)."""

    found: FoundResources
    region: str
    called: dict[str, str] = field(default_factory=dict)
    """The names that the spec gives to resources, by their ids."""
    here: Path = ()
    """The path of the entry that is being written."""
    remarks: dict[Path, list[str]] = field(default_factory=dict)
    """The comments before entries and their keys, by path."""

    def name_of(self, physical_id: str) -> str:
        return self.called.get(physical_id, physical_id)

    def state_of(self, physical_id: str) -> Properties | None:
        found = self.found.all.get(physical_id)
        return found.found.state if found else None

    def id_of(self, kind: str, name: str) -> str:
        states = ((key, item.found.state) for key, item in self.found.all.items())
        return next((key for key, it in states if it.kind == kind and it.own_name == name), name)

    def remark(self, text: str) -> None:
        self.remarks.setdefault(self.here, []).append(text)

    def write(self, observed: Observed, *, whole: bool = False) -> Entry:
        """The entry of a resource, without tags and without entries that nest in it; a `whole` one also has the keys that could be left
        out."""
        kind = load_kinds()[observed.state.kind]
        return kind.write_entry(observed, self._plain_fields(kind, observed, whole=whole), self)

    def write_member(self, observed: Observed, entry: Entry) -> None:
        """Write a resource that has no entry of its own into the entry that carries it."""
        kind = load_kinds()[observed.state.kind]
        kind.write_member(observed, entry, self._plain_fields(kind, observed), self)

    def _plain_fields(self, kind: AnyKind, observed: Observed, *, whole: bool = False) -> Entry:
        """The fields that have the same form in a spec, without defaults unless the entry is `whole`."""
        schema = resolved(kind.name)
        hidden = {observed.state.parent, *kind.properties.said_elsewhere}
        entry = {
            name: value
            for name in field_names(kind.properties)
            if name in schema["properties"] and name not in hidden
            for value in [self._plain(schema["properties"][name], getattr(observed.state, name))]
            if value is not None
        }
        return entry if whole else _without_usual(kind, schema, entry, "")

    def _plain(self, schema: Schema, value: Any) -> Any:
        """A field's value as a key has it; None for a value that isn't plain data."""
        if isinstance(value, Mapping):
            return self._plain_mapping(schema, value)
        if isinstance(value, tuple | list):
            if hasattr(value, "_fields"):
                return None
            found = [self._plain(schema.get("items", {}), item) for item in value]
            if None in found:
                return None
            return sorted(found) if "x-refers" in schema.get("items", {}) else found
        if isinstance(value, str):
            return self.name_of(value) if "x-refers" in schema else value
        return value if isinstance(value, bool | int | float) else None

    def _plain_mapping(self, schema: Schema, value: Mapping[str, Any]) -> Entry:
        known, others = schema.get("properties", {}), schema.get("additionalProperties") or {}
        if "string" in others.get("type", ()) and "integer" in others["type"]:  # AWS has texts for any type
            return {key: _typed(str(item)) for key, item in sorted(value.items())}
        pairs = ((key, self._plain(known.get(key, others), item)) for key, item in value.items())
        return {key: item for key, item in pairs if item is not None}


def _typed(text: str) -> str | int | bool:
    if text in ("true", "false"):
        return text == "true"
    return int(text) if text.isdigit() and str(int(text)) == text and len(text) < 16 else text


def _without_usual(kind: AnyKind, schema: Schema, entry: Entry, above: str) -> Entry:
    """The entry without values that are the schema's defaults, or AWS's, or that AWS chooses for each resource: without these keys a new
    resource would get the same."""
    known, required = schema.get("properties", {}), schema.get("required", ())
    found: Entry = {}
    has_news = not above
    for key, value in entry.items():
        path, below = f"{above}{key}", known.get(key, {})
        if path in kind.chosen:
            continue
        said = _without_usual(kind, below, value, f"{path}.") if isinstance(value, dict) else value
        is_usual = _is_usual(kind, below, said, path)
        has_news |= not is_usual
        if key in required or not is_usual:
            found[key] = said
    return found if has_news else {}


def _is_usual(kind: AnyKind, schema: Schema, value: Any, path: str) -> bool:
    if path in kind.vital:
        return False
    if "default" in schema:
        return bool(value == schema["default"])
    if path in kind.usual:
        return bool(value == kind.usual[path])
    return value in _NOTHING


def plain_tags(own: Mapping[str, str]) -> dict[str, str]:
    """A resource's tags without its Name, and those of AWS and of this tool."""
    return {key: value for key, value in sorted(own.items()) if key != "Name" and not key.lower().startswith(_OURS)}


def differing(there: Entry, here: Entry) -> list[str]:
    """The keys that differ; null, as of a tag, isn't the same as a missing key."""
    return [key for key in {**there, **here} if there.get(key, ...) != here.get(key, ...)]


def can_be_said(key: str, value: str) -> bool:
    """Whether a spec takes such a tag."""
    schema = resolved("stack")["properties"]["tags"]
    return bool(
        re.search(schema["propertyNames"]["pattern"], key)
        and re.search(schema["additionalProperties"]["pattern"], value)
    )
