"""Loads the kinds of resources, one module or folder for each: `load_kinds` lists this folder, and no other code names a new kind."""

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache

from alb_reconcile.kinds.base import AnyKind, Grouped
from alb_reconcile.model.address import Address
from alb_reconcile.model.resource import Observed, Properties


@cache
def load_kinds() -> Mapping[str, AnyKind]:
    """All kinds by name: `KIND` of each module in this folder that has it."""
    modules = [importlib.import_module(f"{__name__}.{item.name}") for item in pkgutil.iter_modules(__path__)]
    kinds: list[AnyKind] = [module.KIND for module in modules if hasattr(module, "KIND")]
    return {kind.name: kind for kind in kinds}


def facts_of(kind: str) -> type[Properties]:
    """The facts of a kind; for a kind that this version doesn't have, the usual facts."""
    found = load_kinds().get(kind)
    return found.properties if found else Properties


@cache
def kind_of(part: type[Properties]) -> AnyKind:
    """The kind that plays a part in a service (`model.service`)."""
    return next(kind for kind in load_kinds().values() if issubclass(kind.properties, part))


def is_in_order(found: Observed) -> bool:
    """Whether a resource is in order, by AWS's word for its status; most kinds have no status."""
    return not found.status or found.status in load_kinds()[found.address.kind].ready


@cache
def names_of(*parts: type[Properties]) -> frozenset[str]:
    """The names of the kinds that play one of these parts in a service (`model.service`)."""
    return frozenset(name for name, kind in load_kinds().items() if issubclass(kind.properties, parts))


def group_of(address: Address) -> Address | None:
    """The entry of which a resource is one of several alike members (`Grouped`); None where an entry is one resource."""
    kind = load_kinds().get(address.kind)
    return Address(address.kind, kind.group_of(address.name)) if isinstance(kind, Grouped) else None


@cache
def in_spec_order() -> tuple[AnyKind, ...]:
    """The kinds in the order in which a spec names them: kinds that others refer to come first."""
    return tuple(sorted(load_kinds().values(), key=lambda kind: (kind.position, kind.name)))


@cache
def by_section() -> Mapping[str, AnyKind]:
    """The kinds that have entries, by the section that holds the entries: of the spec, or of the entry in which they nest."""
    return {kind.section: kind for kind in in_spec_order() if kind.section}


def sections_of(kind: AnyKind) -> tuple[str, ...]:
    """The sections that lead to a kind's entries: the sections of the entries in which they nest, then the kind's own."""
    return (*(sections_of(load_kinds()[kind.properties.parent]) if kind.properties.parent else ()), kind.section)


@cache
def in_order_of_recognition() -> tuple[str, ...]:
    """The kinds that can be adopted, in the order in which they are matched: each after the kinds that help to match it."""
    kinds = {kind.name: kind for kind in in_spec_order() if kind.properties.service}
    ordered: list[str] = []
    while len(ordered) < len(kinds):
        ordered.append(
            next(
                name
                for name, kind in kinds.items()
                if name not in ordered and {kind.properties.parent, *kind.recognized_after} - {None} <= set(ordered)
            )
        )
    return tuple(ordered)
