"""What every kind of resource has in common, what a spec wants of one, and what AWS has."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from alb_reconcile.values import Address, Change

if TYPE_CHECKING:
    from collections.abc import Hashable

    from alb_reconcile.reader import Reader
    from alb_reconcile.run import Run

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Kind:
    """The managed properties of one resource, desired or observed. `None` means: not managed.

    A field that holds an `Address` (alone, or inside a tuple) refers to that resource; bound, it holds the
    resource's id.
    """

    kind: ClassVar[str]
    """The kind's name; its module's, its schema's and its test's as well."""
    service: ClassVar[str]
    """The AWS service whose API tags it: ec2, elbv2, or nothing where it carries no tags."""
    replaced_on: ClassVar[frozenset[str]] = frozenset()
    """The fields that AWS can't change in place."""
    follows: ClassVar[tuple[str, ...]] = ()
    """Kinds that are brought in order before one of this kind is made, and deleted after it."""
    parent: ClassVar[str | None] = None
    """The field that names the resource with which AWS deletes this one."""

    def settle(self, observed: Observed | None, facts: Facts) -> Self:
        """The same wish, in the terms of what there is: where AWS has one of several allowed values, that one."""
        return self

    def with_others(self, observed: Self) -> Self:
        """The same wish, with what strangers put into the collections (`others: keep`)."""
        return self

    def fixed(self, found: Self) -> frozenset[str]:
        """The fields that can't be changed in place, given what there is."""
        return self.replaced_on

    def slots(self) -> Iterable[Hashable]:
        """What only one resource can hold at a time: a port of a load balancer, an explicit name."""
        return ()

    def conflicts(self, other: Kind) -> bool:
        """Whether a resource with a slot in common must go before this one can be made."""
        return True

    def extra_tags(self) -> dict[str, str]:
        """Bookkeeping tags beyond those that every resource carries, from the unbound wish."""
        return {}

    @classmethod
    async def discover(cls, reader: Reader) -> list[Observed]:
        """All of the stack's resources of this kind, and strangers inside of them."""
        raise NotImplementedError(cls)  # abstract: every kind has its own

    def prepare(self, run: Run) -> None:
        """Begin to read what `create` will need, while other steps still run."""

    async def create(self, run: Run, desired: Desired, salt: str) -> str:
        """Make the resource as `self` says (bound, with defaults). Returns its id."""
        raise NotImplementedError(self)  # abstract

    async def update(self, run: Run, observed: Observed, fields: frozenset[str]) -> None:
        """Change those fields to what `self` says (bound)."""
        raise NotImplementedError(self)  # abstract

    @classmethod
    async def delete(cls, run: Run, observed: Observed) -> None:
        """Delete the resource and wait until it is gone; already gone is success."""
        raise NotImplementedError(cls)  # abstract


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
    members: bool = True
    """Whether the collection whose members are resources of their own (a target group's targets) is managed."""
    rollout: Rollout = field(default_factory=Rollout)
    image_update: str = "keep"
    type_change: str = "replace"
    group: str | None = None
    """The instance entry that the resource is a member of."""
    min_healthy: int | None = None
    """The fewest healthy targets with which a target group may be given more requests; None for what its targets say."""


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
    """Of the entry's own declared properties, collections included; empty for a member of a collection."""
    declared: tuple[str, ...] = ()
    """The paths of the declared properties, collections included."""
    carrier: Address | None = None
    """The entry whose tags speak for this member of a collection."""


@dataclass(frozen=True)
class Observed:
    """What AWS has: one physical resource."""

    address: Address
    id: str
    state: Kind
    tags: Mapping[str, str]
    owner: str | None
    """The stack whose tag it carries; None if it is a stranger inside of a resource of ours."""
    status: str = ""
    """AWS's word for how it is: running, active, healthy …"""
    created: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What else was read and a later step needs."""

    @property
    def is_gone(self) -> bool:
        """Whether it is only a memory: AWS shows terminated instances for about an hour."""
        return self.status == "terminated"

    @property
    def is_leaving(self) -> bool:
        """Whether it is on its way out, and can't be kept."""
        return self.status in ("draining", "shutting-down")


def is_anchor(state: Kind) -> bool:
    """Whether a resource carries the digest of the whole spec: what EC2 tags in one call, but instances, which come and
    go."""
    return state.service == "ec2" and state.kind != "instance"


@dataclass(frozen=True)
class Facts:
    """What was read beside the resources and helps to settle a wish."""

    images: Mapping[str, str] = field(default_factory=dict)
    """AMI ids by the unresolved reference."""
    desired: Mapping[Address, Desired] = field(default_factory=dict)
    addresses: Mapping[str, Address] = field(default_factory=dict)
    """The addresses of the stack's resources by id."""


_NAMES: dict[type, tuple[str, ...]] = {}


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


def diff(wanted: Kind, found: Kind) -> tuple[Change, ...]:
    """What AWS has otherwise than wanted, property by property; of a mapping, key by key."""
    changes: list[Change] = []
    for name in field_names(type(wanted)):
        after, before = getattr(wanted, name), getattr(found, name)
        if after is None or after == before:
            continue
        if isinstance(after, Mapping):
            have = before or {}
            changes += [
                Change(f"{name}.{key}", have.get(key), value)
                for key, value in after.items()
                if have.get(key) != value
            ]
        else:
            changes.append(Change(name, before, after))
    return tuple(changes)
