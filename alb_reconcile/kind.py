"""What every kind of resource has in common, and what a spec wants of one resource."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from alb_reconcile.values import Address

if TYPE_CHECKING:
    from collections.abc import Iterator



@dataclass(frozen=True, kw_only=True)
class Kind:
    """The managed properties of one resource, desired or observed. `None` means: not managed.

    A field that holds an `Address` (alone, or inside a tuple) refers to that resource.
    """

    kind: ClassVar[str]
    """The kind's name; its module's, its schema's and its test's as well."""

    replaced_on: ClassVar[frozenset[str]] = frozenset()
    """The fields that AWS can't change in place."""

    def declared(self) -> dict[str, Any]:
        """The properties that are managed, by field name."""
        return {name: value for name in field_names(type(self)) if (value := getattr(self, name)) is not None}


def field_names(kind: type[Kind]) -> tuple[str, ...]:
    """The names of a kind's properties."""
    return tuple(item.name for item in dataclasses.fields(kind))


def references(value: object) -> Iterator[Address]:
    """Every address in a property, or in all properties of a kind."""
    from alb_reconcile.values import Address

    if isinstance(value, Address):
        yield value
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for item in dataclasses.fields(value):
            yield from references(getattr(value, item.name))
    elif isinstance(value, tuple | list | frozenset):
        for member in value:
            yield from references(member)
    elif isinstance(value, dict):
        for member in value.values():
            yield from references(member)


@dataclass(frozen=True)
class Rollout:
    """How replacements of an instance group are paced (`settle` and `health_timeout` in seconds)."""

    max_surge: int = 1
    max_unavailable: int = 0
    settle: int = 5
    health_timeout: int = 600


@dataclass(frozen=True)
class Lifecycle:
    """What a spec says about the handling of a resource, beside its properties."""

    prevent_destroy: bool | None = None
    keep_others: bool = False
    rollout: Rollout = field(default_factory=Rollout)
    image_update: str = "keep"
    type_change: str = "replace"
    group: str | None = None
    """The instance entry that the resource is a member of."""


@dataclass(frozen=True)
class Desired:
    """What a spec wants of one resource: its properties, what it is created with beyond them, its tags."""

    address: Address
    state: Kind
    creation: Kind
    """`state`, with the documented defaults for what was left out."""
    tags: Mapping[str, str]
    lifecycle: Lifecycle
    spec_digest: str
    """Of the entry's own declared properties, collections included."""
