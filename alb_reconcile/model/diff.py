"""Comparing, binding and walking properties, whatever the kind."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from alb_reconcile.model.address import Address
from alb_reconcile.model.resource import Properties


def field_names(kind: type[Any]) -> tuple[str, ...]:
    """The names of a kind's properties, or of another dataclass's fields (looked up once a class: plans ask often)."""
    if kind not in _NAMES:
        _NAMES[kind] = tuple(item.name for item in dataclasses.fields(kind))
    return _NAMES[kind]


def references(value: object) -> Iterator[Address]:
    """Every address in a property, or in all properties of a kind."""
    if isinstance(value, Address):
        yield value
    elif isinstance(value, str | int | None):
        return
    elif dataclasses.is_dataclass(value):
        for name in field_names(type(value)):
            yield from references(getattr(value, name))
    elif isinstance(value, tuple | list | frozenset):
        for member in value:
            yield from references(member)


def bind(value: _T, ids: Mapping[Address, str]) -> _T:
    """The value with known addresses replaced by ids, and lists in the order of what they now hold."""
    bound: Any = value
    if isinstance(value, Address):
        bound = ids.get(value, value)
    elif isinstance(value, str | int | None):
        return value
    elif isinstance(value, tuple):
        members = [bind(member, ids) for member in value]
        if hasattr(value, "_fields"):
            bound = type(value)(*members)
        else:
            bound = tuple(sorted(members, key=str)) if any(references(value)) else tuple(members)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = field_names(type(value))
        changed = {name: new for name in names if (new := bind(old := getattr(value, name), ids)) is not old}
        bound = dataclasses.replace(value, **changed) if changed else value
    return bound  # type: ignore[no-any-return]  # of the same type as the value, but for the addresses in it


def diff(wanted: Properties, found: Properties) -> tuple[Change, ...]:
    """What AWS has otherwise than wanted, property by property; of a mapping, key by key."""
    changes: list[Change] = []
    for name in field_names(type(wanted)):
        after, before = getattr(wanted, name), getattr(found, name)
        if after is None or after == before:
            continue
        if isinstance(after, Mapping):
            have = before or {}
            changes += [
                Change(f"{name}.{key}", have.get(key), value) for key, value in after.items() if have.get(key) != value
            ]
        else:
            changes.append(Change(name, before, after))
    return tuple(changes)


_NAMES: dict[type, tuple[str, ...]] = {}


_T = TypeVar("_T")


@dataclass(frozen=True)
class Change:
    """One property that differs: its path, what AWS has and what the spec wants."""

    path: str
    before: Any
    after: Any
