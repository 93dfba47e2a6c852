"""Random stacks of all kinds, out of what each kind's tests say of it (`EXAMPLE`) and its schema: no kind is named here."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from alb_reconcile.kinds import in_spec_order, load_kinds
from alb_reconcile.kinds.base import AnyKind
from alb_reconcile.model.address import Address
from alb_reconcile.model.errors import SpecError
from alb_reconcile.spec.schema import resolved
from tests.harness import Spec, load
from tests.kinds.example import example_of, path_of, place_of, put, references

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Path = tuple[str, ...]
KINDS = load_kinds()
PROTECTION = "prevent_destroy"
"""What it spares has tests of its own; here everything is destroyed in the end."""


@dataclass(frozen=True)
class Gene:
    """Something that can be said otherwise in a kind's example: in which entry, at which path, and how."""

    kind: str
    entry: Path
    path: str
    values: tuple[Any, ...]
    """None for left out."""

    def express(self, spec: Spec, number: int) -> None:
        """Let the spec say it."""
        entry = place_of(spec, self.entry)
        put(entry, self.path, copy.deepcopy(self.values[number]))
        if self.values[number] is not None:
            entry.update(copy.deepcopy(dict(example_of(self.kind).beside.get(self.path, {}))))


@cache
def genes_of(kind: str) -> tuple[Gene, ...]:
    """What can be said otherwise in a kind's example so that it is still a valid spec."""
    example = example_of(kind)
    found: dict[tuple[Path, str], list[Any]] = {}
    for address in (example.address, *example.others):
        described = Address.parse(address) in {
            item for item, wish in load(example.spec).desired.items() if not wish.carrier
        }
        for path, value in _options(KINDS[kind], example.spec, address) if described else ():
            if path in example.bounded or (value is None and path in example.said):
                continue
            found.setdefault((path_of(example.spec, address), path), []).append(value)
    for address, path, value in example.every_change:
        found.setdefault((path_of(example.spec, address), path), []).append(value)
    genes = [Gene(kind, entry, path, tuple(values)) for (entry, path), values in found.items()]
    return tuple(gene for item in genes if (gene := _valid(example.spec, item)).values)


def _options(kind: AnyKind, spec: Spec, address: str) -> Iterator[tuple[str, Any]]:
    """Other values that the schema allows for the keys of an entry, as far as it lists them."""
    entry = place_of(spec, path_of(spec, address))
    for key, schema in resolved(kind.name)["properties"].items():
        if key == PROTECTION:
            continue
        given = entry.get(key)
        if isinstance(given, dict) and "properties" in schema:
            for inner, below in schema["properties"].items():
                yield from ((f"{key}.{inner}", value) for value in _values(spec, below, given.get(inner)))
        yield from ((key, value) for value in _values(spec, schema, given))


def _values(spec: Spec, schema: Mapping[str, Any], given: Any) -> Iterator[Any]:
    if given is not None:
        yield None
    values: list[Any] = list(schema.get("enum", ()))
    if schema.get("type") == "boolean":
        values = [False, True]
    if "x-refers" in schema:
        values = list(spec.get(KINDS[schema["x-refers"]].section, {}))
    yield from (value for value in values if value != given)


def _valid(spec: Spec, gene: Gene) -> Gene:
    def is_valid(number: int) -> bool:
        other = copy.deepcopy(spec)
        gene.express(other, number)
        return loads(other)

    kept = [value for number, value in enumerate(gene.values) if is_valid(number)]
    return Gene(gene.kind, gene.entry, gene.path, tuple(kept))


def loads(spec: Spec) -> bool:
    """Whether a spec is valid."""
    try:
        load(spec)
    except SpecError:
        return False
    return True


@dataclass(frozen=True)
class Genome:
    """What is said otherwise in the examples of some kinds: which genes, and which of their values."""

    expressed: tuple[tuple[str, tuple[tuple[int, int], ...]], ...]
    """By kind: numbers of genes and of values."""

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(kind for kind, _ in self.expressed)

    def spec(self) -> Spec:
        """One stack of these examples, which don't know each other."""
        return joined({kind: self._spec_of(kind, numbers) for kind, numbers in self.expressed})

    def _spec_of(self, kind: str, numbers: Iterable[tuple[int, int]]) -> Spec:
        genes = genes_of(kind)
        spec = copy.deepcopy(example_of(kind).spec)
        for gene, value in numbers:
            other = copy.deepcopy(spec)
            genes[gene].express(other, value)
            if loads(other):  # else it doesn't go with what was said before
                spec = other
        return spec


def genomes(kind: str) -> st.SearchStrategy[tuple[tuple[int, int], ...]]:
    """What is said otherwise in a kind's example: at one place in three."""
    genes = genes_of(kind)
    each = [st.sampled_from([-1] * 2 * len(gene.values) + list(range(len(gene.values)))) for gene in genes]
    return st.tuples(*each).map(
        lambda found: tuple((number, value) for number, value in enumerate(found) if value >= 0)
    )


@st.composite
def pairs(draw: st.DrawFn, kind: str) -> tuple[Spec, Spec]:
    """Two specs of a kind's example, the latter with another kind's as well or the former, and each with anything said otherwise."""
    others = st.lists(st.sampled_from([item for item in KINDS if item != kind]), max_size=1)
    before, after = (
        Genome(tuple((name, draw(genomes(name))) for name in (kind, *also))).spec()
        for also in (draw(others), draw(others))
    )
    return before, after


def joined(specs: Mapping[str, Spec]) -> Spec:
    """One stack of several, in which each entry's name begins with its kind's."""
    result: Spec = {}
    for prefix, spec in specs.items():
        spec = _with_networks(copy.deepcopy(spec))
        for path, kind in references(spec, resolved("stack")):
            holder = place_of(spec, path[:-1])
            if holder[path[-1]] in spec.get(KINDS[kind].section, {}):
                holder[path[-1]] = f"{prefix}-{holder[path[-1]]}".replace("_", "-")
        for section, entries in spec.items():
            if isinstance(entries, dict) and section != "tags":
                named = {f"{prefix}-{name}".replace("_", "-"): entry for name, entry in entries.items()}
                result.setdefault(section, {}).update(named)
            else:
                result[section] = entries
    return result


def _with_networks(spec: Spec) -> Spec:
    """With the one VPC named by whatever is in it."""
    if len(networks := list(spec.get("vpcs", {}))) == 1:
        for kind in in_spec_order():
            if "vpc" in resolved(kind.name)["properties"]:
                for entry in spec.get(kind.section, {}).values():
                    if "vpc" not in entry:
                        entry["vpc"] = networks[0]
                        if not loads(spec):  # it is in that of something else
                            del entry["vpc"]
    return spec


def prepare(*kinds: str) -> None:
    """Make what the kinds' examples only name."""
    for do in dict.fromkeys(example_of(kind).prepare for kind in kinds):
        do()


@cache
def changed(kind: str) -> Spec:
    """A kind's example with another value of all that can be changed, as far as that goes together."""
    example = example_of(kind)
    spec = example.spec
    for address, path, value in example.every_change:
        other = replace(example, spec=spec).with_change(address, path, value)
        spec = other if loads(other) else spec
    return spec
