"""What a kind says of itself for the tests that hold for every kind: a small stack, and what of it can change."""

from __future__ import annotations

import copy
import importlib
import importlib.util
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from alb_reconcile.kinds import load_kinds
from alb_reconcile.kinds.base import AnyKind, Grouped
from alb_reconcile.model.address import Address
from alb_reconcile.model.resource import field_names
from alb_reconcile.spec.schema import resolved
from tests.harness import REGION, Spec, load

STACK: Spec = {"stack": "demo", "region": REGION}


def network(zones: str = "") -> Spec:
    """A stack with a VPC, and a subnet in each of these zones."""
    blocks = {zone: f"10.0.{number}.0/24" for number, zone in enumerate(zones)}
    subnets = {zone: {"cidr_block": block, "availability_zone": zone} for zone, block in blocks.items()}
    spec = {**STACK, "vpcs": {"main": {"cidr_block": "10.0.0.0/16"}}}
    return {**spec, "subnets": subnets} if subnets else spec


@dataclass(frozen=True)
class Example:
    """A stack with one resource of a kind, in the module of the kind's tests: `EXAMPLE = Example(…)`.

    `changes` has another value, as the entry would say it, of each property that AWS can change in place; a mapping's
    keys by their paths (`attributes.idle_timeout.timeout_seconds`). So the entry has to say all of them. Nothing else
    in `spec` may need the resource: it is deleted by hand.
    """

    spec: Spec
    address: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    beside: Mapping[str, Spec] = field(default_factory=dict)
    """By property: what else the entry must say for that value of it."""
    others: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By address: the changes of further resources of the kind, for properties that one can't have together."""
    one_way: frozenset[str] = frozenset()
    """Properties that AWS changes in one direction only."""
    said: frozenset[str] = frozenset()
    """Properties without which it needs somebody's help to be made."""
    rest: float = 0
    """Seconds for which AWS takes no further change of one."""
    hidden: float = 0
    """Seconds for which AWS shows nobody a new one, and takes a second one that is the same."""
    allow: Mapping[str, int] = field(default_factory=dict)
    """What changing it, and destroying it, needs to be allowed."""
    uncalled: Mapping[str, str] = field(default_factory=dict)
    """The kind's `iam_actions` that nothing of all this needs, each with what does."""
    prepare: Callable[[], None] = lambda: None
    """Makes what the spec only names, such as a key pair."""

    @property
    def every_change(self) -> list[tuple[str, str, Any]]:
        """Address, property and value of each change."""
        parts = {self.address: self.changes, **self.others}
        return [(address, path, value) for address, part in parts.items() for path, value in part.items()]

    @property
    def entry(self) -> str:
        """The address of the entry that describes the resource: of a member without tags, its carrier's."""
        found = load(self.spec).desired[Address.parse(self.address)]
        return str(found.carrier or found.address)

    def with_change(self, address: str, path: str, value: Any) -> Spec:
        """The spec with another value of a property."""
        spec = copy.deepcopy(self.spec)
        entry = entry_of(spec, address)
        put(entry, path, value)
        entry.update(self.beside.get(path, {}))
        return spec

    def with_entry(self, **keys: Any) -> Spec:
        """The spec with more keys in the entry."""
        spec = copy.deepcopy(self.spec)
        entry_of(spec, self.address).update(keys)
        return spec

    def renamed(self, name: str) -> tuple[Spec, str, str]:
        """The spec with another name of the entry, wherever it is named, and the two arguments of `move`."""
        kind = load_kinds()[Address.parse(self.entry).kind]
        *above, own = path_in_spec(self.entry)
        new_path = [*above, name]
        spec = copy.deepcopy(self.spec)
        for (*parents, last), referred in references(self.spec, resolved("stack")):
            holder = place_of(spec, parents)
            if (referred, holder[last]) == (kind.name, own):
                holder[last] = name
        siblings = place_of(spec, above)
        siblings[name] = siblings.pop(own)
        written = kind.section if isinstance(kind, Grouped) else kind.name
        old, new = ("/".join(path[1::2]) for path in ([*above, own], new_path))
        return spec, f"{written}.{old}", f"{written}.{new}"

    def with_references_by(self, other: Callable[[AnyKind], str]) -> Iterator[tuple[AnyKind, Spec]]:
        """For each reference to another entry: the kind that it refers to, and the spec with what `other` says instead."""
        for path, kind in references(self.spec, resolved("stack")):
            spec = copy.deepcopy(self.spec)
            place_of(spec, path[:-1])[path[-1]] = other(load_kinds()[kind])
            yield load_kinds()[kind], spec


def example_of(kind: str) -> Example:
    """The kind's example. Fails the test, in a sentence, where there is none."""
    module = f"tests.kinds.test_{kind}"
    file = f"{module.replace('.', '/')}.py"
    if importlib.util.find_spec(module) is None:
        pytest.fail(f"the kind {kind} has no tests: write {file}, with an EXAMPLE in it", pytrace=False)
    found = importlib.import_module(module)
    if not isinstance(example := getattr(found, "EXAMPLE", None), Example):
        pytest.fail(f"the kind {kind} has no example: say EXAMPLE = Example(…) in {file}", pytrace=False)
    return example


def changeable(kind: AnyKind, example: Example) -> frozenset[str]:
    """The paths of the properties that AWS changes in place; of a mapping whose keys the schema knows, each key's.

    `NAME.*` stands for a mapping with keys of any name.
    """
    states = [load(example.spec).desired[Address.parse(item)].state for item in (example.address, *example.others)]
    found: set[str] = set()
    unsaid = kind.properties.replaced_on | kind.properties.said_elsewhere | {kind.properties.parent}
    for name in set(field_names(kind.properties)) - unsaid:
        schema = resolved(kind.name)["properties"][name]
        if not any(isinstance(getattr(state, name), Mapping) for state in states):
            found.add(name)
        elif "properties" in schema:
            found |= {f"{name}.{key}" for key in schema["properties"]}
        else:
            found.add(f"{name}.*")
    return frozenset(found - example.one_way - kind.properties.replaced_on)


def put(entry: Spec, path: str, value: Any) -> None:
    """Let an entry say that; None takes out what it says there."""
    name, _, key = path.partition(".")
    place, last = (entry.setdefault(name, {}), key) if key else (entry, name)
    inner, _, below = last.partition(".")
    if below and isinstance(place.get(inner), dict):  # an entry of a mapping of mappings
        place, last = place[inner], below
    place[last] = value
    if value is None:
        del place[last]


def entry_of(spec: Spec, address: str) -> Spec:
    """The entry of a spec that describes a resource, or that carries it."""
    entry: Spec = place_of(spec, path_of(spec, address))
    return entry


def path_of(spec: Spec, address: str) -> tuple[str, ...]:
    """Where that entry stands."""
    found = load(spec).desired[Address.parse(address)]
    return path_in_spec(str(found.carrier or found.address))


def place_of(spec: Spec, path: Iterable[Any]) -> Any:
    """What stands at a path of keys and indexes."""
    place: Any = spec
    for key in path:
        place = place[key]
    return place


def path_in_spec(address: str) -> tuple[str, ...]:
    """Where an entry stands: listener.main/http in load_balancers, main, listeners, http."""
    kinds = load_kinds()
    kind = kinds[Address.parse(address).kind]
    sections, name = [kind.section], Address.parse(address).name
    while (parent := kinds[kind.name].properties.parent) is not None:
        kind = kinds[parent]
        sections.insert(0, kind.section)
    names = [kind.group_of(name)] if isinstance(kind, Grouped) else name.split("/")
    return tuple(key for pair in zip(sections, names, strict=True) for key in pair)


def references(
    value: Any, schema: Mapping[str, Any], path: tuple[Any, ...] = ()
) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Where a spec refers to an entry, and to one of which kind."""
    if isinstance(value, str) and "x-refers" in schema:
        yield path, schema["x-refers"]
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from references(item, schema.get("items", {}), (*path, index))
    elif isinstance(value, dict):
        known, others = schema.get("properties", {}), schema.get("additionalProperties") or {}
        for key, item in value.items():
            yield from references(item, known.get(key, others), (*path, key))
