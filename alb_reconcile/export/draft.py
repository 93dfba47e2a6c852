"""Drafts a spec: the entries of the chosen resources, their names, and the keys that are better left out."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from alb_reconcile.export.entries import EntryWriter, can_be_said, differing, plain_tags
from alb_reconcile.export.naming import by_number, name_of, numbering, stem, unique
from alb_reconcile.export.scope import FoundResources
from alb_reconcile.kinds import in_spec_order, kind_of, load_kinds
from alb_reconcile.kinds.base import AnyKind, Entry, FoundByUse, Grouped, HasFile
from alb_reconcile.model.address import Address
from alb_reconcile.model.decisions import subnets_of
from alb_reconcile.model.nodes import Path
from alb_reconcile.model.resource import Observed, field_names
from alb_reconcile.model.service import Frontend, Member, Network, RoutingRule
from alb_reconcile.model.tags import PREVENT_DESTROY
from alb_reconcile.model.text import digest, number_of
from alb_reconcile.spec.schema import SECTIONS, resolved

_MOST = 5
"""The most names that a comment lists."""


@dataclass
class Draft:
    """The basis of a spec: it is written from the same findings again and again, each time without further parts that don't hold."""

    found: FoundResources
    stack: str
    region: str
    account: str
    names: Mapping[str, str] = field(default_factory=dict)
    """The names that other tools give to resources, by id."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """The content of resources' files, by id."""
    folder: str = ""
    """The folder for files, below the spec's own folder; empty for none."""
    excluded: dict[str, str] = field(default_factory=dict)
    """Why resources are left out, by id."""
    unsaid: dict[tuple[str, Path], str] = field(default_factory=dict)
    """Why keys are left out, by a resource's id and the path in its entry."""

    def write(self) -> "Written":
        """The spec, with all that is known now."""
        return _Composer(self).compose()


@dataclass
class Written:
    """A spec as plain data."""

    data: dict[str, Any]
    remarks: dict[Path, list[str]] = field(default_factory=dict)
    """The comments before entries and their keys, by path."""
    ids: dict[Address, str] = field(default_factory=dict)
    """The ids of the resources that the spec's addresses stand for."""
    paths: dict[str, Path] = field(default_factory=dict)
    """The paths of resources' entries, by the resources' ids."""
    files: dict[str, bytes] = field(default_factory=dict)
    """The content of the files that the spec names, by their names."""


class _Composer:
    """Names the resources that the draft has chosen, and puts their entries in their places."""

    def __init__(self, draft: Draft) -> None:
        self.draft, self.writer = draft, EntryWriter(draft.found, draft.region)
        head = {"stack": draft.stack, "region": draft.region, "account_ids": [draft.account]}
        self.result = Written(head, self.writer.remarks)
        there = draft.found.all
        self.own = {key: there[key].found for key in draft.found.chosen if key not in draft.excluded}
        self.members: dict[str, list[Observed]] = defaultdict(list)
        for item in there.values():
            if not item.found.state.service and item.found.parent_id in self.own:
                self.members[str(item.found.parent_id)].append(item.found)

    def compose(self) -> Written:
        if tags := self._common_tags():
            self.result.data["tags"] = tags
        kinds = [kind for kind in in_spec_order() if kind.section and kind.properties.parent is None]
        for kind in kinds:
            if not isinstance(kind, Grouped):
                self._name_all(kind, self._of(kind), "")
        for kind in kinds:
            section: dict[str, Entry] = {}
            if isinstance(kind, Grouped):
                self._write_groups(kind, section)
            else:
                for item in sorted(self._of(kind), key=lambda item: self.writer.called[item.id]):
                    self._write_one(kind, item, section, (kind.section,), self.writer.called[item.id])
            if section:
                self.result.data[kind.section] = section
        self._imply_vpc()
        for item in sorted(self.own.values(), key=lambda item: item.id):
            for member in sorted(self.members[item.id], key=lambda member: member.id):
                self.writer.here = self.result.paths[item.id]
                self.writer.write_member(member, self._at(self.writer.here))
        self._leave_unsaid()
        for path in {*self.result.paths.values()}:
            _put_in_order(self._at(path))
        return self.result

    def _of(self, kind: AnyKind, parent: str = "") -> list[Observed]:
        return [
            item
            for item in self.own.values()
            if item.state.kind == kind.name and (not parent or item.parent_id == parent)
        ]

    def _name_all(self, kind: AnyKind, items: Sequence[Observed], above: str) -> None:
        taken = self._names_outside(kind)
        for item in sorted(items, key=lambda item: (item.created, str(item.state), item.id)):
            own = self.draft.found.tags.get(item.id, {})
            before = (self.draft.stack, *above.strip("/").split("/"))
            if address := self.draft.found.addresses.get(item.id):
                name = address.name.rpartition("/")[2]
            else:
                name = unique(name_of(kind, item, own, before, self.draft.names), taken)
            taken.add(name)
            self.writer.called[item.id] = name
            self.result.ids[Address(kind.name, f"{above}{name}")] = item.id

    def _names_outside(self, kind: AnyKind) -> set[str]:
        """AWS's names of resources without an entry: an entry that uses such a resource gives this name, so no entry may have it."""
        if not isinstance(kind, FoundByUse):
            return set()
        others = (item.found for key, item in self.draft.found.all.items() if key not in self.own)
        return {item.state.own_name for item in others if item.state.kind == kind.name}

    def _write_one(self, kind: AnyKind, item: Observed, section: dict[str, Entry], above: Path, name: str) -> None:
        self.writer.here = (*above, name)
        self.result.paths[item.id] = self.writer.here
        entry = {
            **self._name_of(kind, item, f"{self.draft.stack}-{name}"),
            **self._entry_of(item),
            **self._tags_of(item),
        }
        section[name] = entry
        self._say_beside([item])
        address = "/".join(str(part) for part in self.writer.here[1::2])
        for child in in_spec_order():
            if child.section and child.properties.parent == kind.name:
                self._write_children(child, item, entry, (*above, name, child.section), address)

    def _write_children(self, kind: AnyKind, item: Observed, entry: Entry, above: Path, address: str) -> None:
        children = self._of(kind, item.id)
        self._name_all(kind, children, f"{address}/")
        nested: dict[str, Entry] = {}
        for child in sorted(children, key=_in_order):
            self._write_one(kind, child, nested, above, self.writer.called[child.id])
        if nested:
            entry[kind.section] = nested
        strange = [
            key for key, other in self.draft.found.all.items()
            if other.found.state.kind == kind.name and other.found.parent_id == item.id and key not in self.own
        ]  # fmt: skip
        if strange:
            entry["others"] = "keep"
            reasons = [
                f"{key.partition(':listener')[2]} {self.draft.excluded.get(key, 'is left out')}" for key in strange
            ]
            self.result.remarks.setdefault(above[:-1], []).append(f"others: keep, since {'; '.join(sorted(reasons))}")

    def _entry_of(self, item: Observed) -> Entry:
        """The entry of a resource; for a resource that the stack has already, with what only this tool's tags know."""
        entry = self.writer.write(item)
        if item.id not in self.draft.found.addresses:
            return entry
        known, name = self.draft.found.tags.get(item.id, {}), item.state.own_name
        if name and name == known.get("Name"):
            entry = {"name": name, **entry}
        elif re.search("-[0-9a-f]{8}$", name):  # derived, unless it was adopted
            entry.pop("name", None)
        if known.get(PREVENT_DESTROY) == "true":
            entry["prevent_destroy"] = True
        return load_kinds()[item.state.kind].write_remembered(entry, known)

    # -- groups

    def _write_groups(self, kind: Any, section: dict[str, Entry]) -> None:
        groups: dict[str, list[Observed]] = defaultdict(list)
        for item in sorted(self._of(kind), key=lambda item: by_number(self.draft.found.tags.get(item.id, {}), item)):
            groups[self._likeness(kind, item)].append(item)
        self.result.remarks.pop((), None)
        taken: set[str] = set()
        alike: dict[str, str] = {}
        stems = Counter(stem(self.draft.found.tags.get(items[0].id, {})) for items in groups.values())
        for items in sorted(groups.values(), key=lambda items: min(item.created for item in items)):
            ordered = sorted(items, key=self._place)
            first = self.draft.found.tags.get(ordered[0].id, {})
            known = self.draft.names.get(ordered[0].id, "")
            if len(items) > 1:
                known = stem({"Name": known})
            called = first if stems[stem(first)] > 1 else {**first, "Name": stem(first)}
            names = name_of(kind, ordered[0], called, (self.draft.stack,), {ordered[0].id: known})
            own_address = self.draft.found.addresses.get(ordered[0].id)
            name = kind.group_of(own_address.name) if own_address else unique(names, taken)
            taken.add(name)
            self._write_group(kind, ordered, section, name)
            if not own_address and (known := stem(first)) and (other := alike.setdefault(known, name)) != name:
                self._tell_apart(section, other, name, kind)

    def _write_group(self, kind: Any, items: Sequence[Observed], section: dict[str, Entry], name: str) -> None:
        self.writer.here = (kind.section, name)
        entry = self._entry_of(items[0])
        numbers = [self._place(item) or place for place, item in enumerate(items, 1)]
        if max(numbers) > 1:
            entry = {"count": max(numbers), **entry}
        entry["subnets"] = sorted({self.writer.name_of(str(key)) for item in items for key in subnets_of(item.state)})
        for number, item in zip(numbers, items, strict=True):
            self.writer.called[item.id] = name
            self.result.ids[Address(kind.name, f"{name}-{number}")] = item.id
            self.result.paths[item.id] = self.writer.here
        entry |= self._file_of(kind, items[0], name)
        given = self._name_of(kind, items[0], "" if "count" in entry else f"{self.draft.stack}-{name}-1")
        if given and "count" in entry:
            given = self._common_name(dict(zip(numbers, items, strict=True)))
        section[name] = {**given, **entry, **self._tags_of(items[0])}
        self._say_beside(items)

    def _tell_apart(self, section: Mapping[str, Entry], other: str, name: str, kind: Any) -> None:
        """Add a comment that says why instances with names that differ only by a number aren't one entry, and, if only tags differ, how to
        make them one."""
        file, both = kind.file_key, (other, name)
        there, here = ({**section[key], file: self.result.files.get(section[key].get(file, ""))} for key in both)
        tags = differing(there.pop("tags", {}), here.pop("tags", {}))
        keys = [key for key in differing(there, here) if key not in ("count", "name", "subnets")]
        ids = [[key for key, path in self.result.paths.items() if path == (kind.section, each)] for each in both]
        if self._uses_of(ids[0][0]) != self._uses_of(ids[1][0]):
            keys.append("targets")
        if tags and not keys:
            named = sorted((self.draft.found.tags[key]["Name"] for key in (*ids[0], *ids[1])), key=number_of)
            common = numbering(dict(enumerate(named, 1)))
            self.writer.remark(
                f"apart from {other}, since they differ in tags ({', '.join(tags)}). For one entry, leave these tags out of the spec, "
                f"and write count: {len(named)}{common and f' and name: {common}'}"
            )
        else:
            told = [*keys, *(f"the tag {key}" for key in tags)]
            self.writer.remark(f"apart from {other}, which has {' and '.join(told) or 'a name'} of its own")

    def _say_beside(self, items: Iterable[Observed]) -> None:
        for text in dict.fromkeys(text for item in items for text in self.draft.found.asides.get(item.id, ())):
            self.writer.remark(text)

    def _place(self, item: Observed) -> int:
        """The number of an instance, if its address has one already; else 0."""
        address = self.draft.found.addresses.get(item.id)
        return number_of(address.name) if address else 0

    def _common_name(self, items: Mapping[int, Observed]) -> Entry:
        """The `name:` of an entry by which its members get their Names, unless they would get these anyway."""
        usual = f"{self.draft.stack}-{self.writer.called[next(iter(items.values())).id]}"
        have = {place: self.draft.found.tags.get(item.id, {}).get("Name", "") for place, item in items.items()}
        found = numbering(have)
        if not found and all(have.values()) and {*have.values()} != {usual}:
            names = [*dict.fromkeys(have.values())]
            told = ", ".join([*names[:_MOST], *(["…"] if len(names) > _MOST else [])])
            self.writer.remark(f"{told} keep their names; what replaces them is called {usual}-1 and so on")
        return {"name": found} if found and found != usual else {}

    def _likeness(self, kind: Any, item: Observed) -> str:
        """A text that is equal for resources that one entry can describe, or does."""
        self.writer.here = ()
        if address := self.draft.found.addresses.get(item.id):
            return str(kind.group_of(address.name))
        own = self.draft.found.tags.get(item.id, {})
        entry = {**self.writer.write(item), "subnets": None}
        known = self.draft.names.get(item.id, "")
        return digest(
            [
                entry,
                plain_tags(own),
                stem(own),
                stem({"Name": known}),
                self._uses_of(item.id),
                self.draft.files.get(item.id, b"").hex(),
            ]
        )

    def _uses_of(self, physical_id: str) -> list[list[str]]:
        """The places where a resource is registered, and what else names it."""
        every = [item.found.state for item in self.draft.found.all.values() if not item.found.state.service]
        return sorted(
            [state.kind, *([str(state.target_group), str(state.port)] if isinstance(state, Member) else ())]
            for state in every
            if physical_id in (getattr(state, name) for name in field_names(type(state)))
        )

    def _file_of(self, kind: AnyKind, item: Observed, name: str) -> Entry:
        data = self.draft.files.get(item.id)
        if not data or not isinstance(kind, HasFile):
            return {}
        word = kind.file_key.removesuffix("_file").replace("_", " ")
        if not self.draft.folder:
            self.writer.remark(
                f"its {word} isn't written here, since it may hold secrets: with --out it goes to a file; without it a new one starts without any"
            )
            return {}
        same = (key for key, other in self.result.files.items() if other == data)
        file = next(same, f"{self.draft.folder}/{name}")
        self.result.files[file] = data
        return {kind.file_key: file}

    # -- tags

    def _common_tags(self) -> dict[str, str]:
        """The tags that most resources have; the others' entries say what they have instead, or null."""
        carriers = [key for key, item in self.own.items() if item.state.service and item.state.keeps_tags]
        pairs = Counter(pair for key in carriers for pair in plain_tags(self.draft.found.tags.get(key, {})).items())
        return {
            key: value
            for (key, value), count in sorted(pairs.items())
            if count > len(carriers) / 2 and can_be_said(key, value)
        }

    def _name_of(self, kind: AnyKind, item: Observed, usual: str) -> Entry:
        """A resource's Name tag, if an entry says that tag and it isn't the usual one."""
        own = self.draft.found.tags.get(item.id, {})
        is_tag = "name" in resolved(kind.name)["properties"] and "name" not in field_names(kind.properties)
        if is_tag and own.get("Name") and own["Name"] != usual:
            return {"name": own["Name"]}
        return {}

    def _tags_of(self, item: Observed) -> Entry:
        common = self.result.data.get("tags", {})
        if not item.state.keeps_tags:
            return {}
        own = {**dict.fromkeys(common), **plain_tags(self.draft.found.tags.get(item.id, {}))}
        further = {key: value for key, value in own.items() if key not in common or common[key] != value}
        return {"tags": further} if further else {}

    # -- what is left out

    def _at(self, path: Path) -> Any:
        place: Any = self.result.data
        for part in path:
            place = place[part]
        return place

    def _imply_vpc(self) -> None:
        """Leave out the VPC of entries if there is only one."""
        vpcs = self.result.data.get(kind_of(Network).section, {})
        if len(vpcs) == 1:
            for key, path in self.result.paths.items():
                entry, field_name = self._at(path), self.own[key].state.in_vpc
                if entry.get(field_name) in vpcs:
                    del entry[field_name]

    def _leave_unsaid(self) -> None:
        for (physical_id, path), why in self.draft.unsaid.items():
            if physical_id not in self.result.paths:
                continue
            where = self.result.paths[physical_id]
            try:
                holder = self._at((*where, *path[:-1]))
                del holder[path[-1]]
                if path[0] == "tags" and path[-1] in self.result.data.get("tags", {}):
                    holder[path[-1]] = None
            except (KeyError, IndexError, TypeError):
                continue
            if holder == {} and len(path) > 1:
                del self._at((*where, *path[:-2]))[path[-2]]
            self.result.remarks.setdefault(where, []).append(f"{'.'.join(map(str, path))} is left out: {why}")


def _put_in_order(entry: Entry) -> None:
    """Sort the keys of an entry: first what the resource is, then its tags, then entries that nest in it."""
    for key in ("tags", "others", *SECTIONS):
        if isinstance(entry.get(key), dict | str):
            entry[key] = entry.pop(key)


def _in_order(item: Observed) -> tuple[int, str]:
    """The sort key of listeners, by port, and of rules, by priority."""
    state = item.state
    return state.priority if isinstance(state, RoutingRule) else state.port if isinstance(
        state, Frontend
    ) else 0, item.id
