"""A resource as a value: its properties, what a spec desires of it, what AWS has; and functions that compare and bind these values."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Protocol, TypeVar

from alb_reconcile.model.address import Address, Ref

_F = TypeVar("_F")
_T = TypeVar("_T")
_NAMES: dict[type, tuple[str, ...]] = {}


@dataclass(frozen=True, kw_only=True)
class Properties:
    """The managed properties of one resource, desired or observed. `None` means: not managed.

    Each kind has a subclass. A field that holds an `Address` (alone, or inside a tuple) refers to that resource; bound,
    it holds the resource's id. The class variables are the kind's own facts, from which plans are made; what only some
    kinds can do is in `model.abilities`.
    """

    kind: ClassVar[str]
    """The kind's name; its module's, its schema's and its test's as well."""
    service: ClassVar[str]
    """The AWS service whose API tags it (`aws.tagging`); empty where it carries no tags."""
    keeps_tags: ClassVar[bool] = True
    """Whether AWS keeps its tags; those of others are written down beside them by this tool (`aws.record_tags`)."""
    replaced_on: ClassVar[frozenset[str]] = frozenset()
    """The fields (or paths below them) that AWS can't change in place."""
    unique_names: ClassVar[bool] = True
    """Whether AWS has one of a `name` only."""
    stopped_on: ClassVar[frozenset[str]] = frozenset()
    """Of these, the fields (or paths below them) that AWS can change in place while the resource is stopped (`type_change`)."""
    said_elsewhere: ClassVar[frozenset[str]] = frozenset()
    """The fields that follow from what other entries say: an entry has no key for them."""
    defaulted: ClassVar[frozenset[str]] = frozenset()
    """Optional fields that get the schema's default whenever there is no value, not at creation only: AWS would choose."""
    needed_late: ClassVar[frozenset[str]] = frozenset()
    """The fields that a create needs after its first call only: what they name may be made meanwhile (`Others.made`)."""
    holds: ClassVar[frozenset[str]] = frozenset()
    """The fields that keep AWS from deleting what they name."""
    follows: ClassVar[tuple[str, ...]] = ()
    """Kinds that are brought in order before one of this kind is created, and deleted after it."""
    parent: ClassVar[str | None] = None
    """The field that names the resource with which AWS deletes this one."""
    part_of: ClassVar[str] = ""
    """The field that names what it is a part of, where that isn't its `parent`."""
    leads_on: ClassVar[bool] = True
    """Whether requests go on to what it refers to, rather than that it only names others."""
    is_target: ClassVar[bool] = False
    """Whether it serves as one of several, so that nothing needs it alone."""
    removed_late: ClassVar[tuple[str, ...]] = ()
    """The collections of which members are added early and removed when traffic has moved, in the order of removal."""
    moves: ClassVar[frozenset[str]] = frozenset()
    """The fields that decide who answers requests; what has any does so by being there."""
    set_last: ClassVar[frozenset[tuple[str, str]]] = frozenset()
    """The changes, by path and new value, that AWS refuses as long as others share the requests."""
    ways: ClassVar[frozenset[str]] = frozenset()
    """The collections whose members lead somewhere, so that others may depend on one that they add (`KeepsOthers`)."""
    leaving: ClassVar[frozenset[str]] = frozenset()
    """AWS's words for the status of one that is on its way out, and can't be kept."""
    gone: ClassVar[frozenset[str]] = frozenset()
    """AWS's words for the status of one that is only a memory."""
    size_field: ClassVar[str] = ""
    """The field that says how large it is."""
    is_costly: ClassVar[bool] = False
    """Whether AWS charges for it by the hour, so that two in place of one are told."""
    action_field: ClassVar[str] = ""
    """The field that says what becomes of a request (`model.actions.Action`)."""
    is_for_others: ClassVar[bool] = False
    """Whether it is of no use by itself: it is created for whatever refers to it."""
    carries_applied: ClassVar[bool] = False
    """Whether it carries the digest of the whole spec: what EC2 tags in one call and what outlives instances."""
    in_vpc: ClassVar[str] = ""
    """The field that names the VPC that it is in."""
    worn: ClassVar[str] = ""
    """The field that names the security groups of its network interfaces."""
    said_in: ClassVar[frozenset[str]] = frozenset()
    """Of a member of a collection, the keys of its entry that say it."""
    route_filter: ClassVar[str] = ""
    """The filter of DescribeRouteTables for routes that lead to it."""
    in_subnets: ClassVar[str] = ""
    """The field that names the subnets in which it has addresses, or which it serves."""
    addresses: ClassVar[int] = 0
    """How many addresses AWS wants to be free in each of its `subnets` when one is made there."""
    known_in: ClassVar[str] = ""
    """The field in which others may say its `name` instead of its id."""
    longest_name: ClassVar[int] = 0
    """How long a name is that this tool gives it and that tells its settings (`text.physical_name`); 0 for none."""
    keeps_used: ClassVar[bool] = True
    """Whether AWS refuses to delete what it names as long as it is there."""
    traffic: ClassVar[frozenset[str]] = frozenset()
    """The collections that say where traffic goes, or whom it comes from: it doesn't use what they name."""
    missed: ClassVar[int] = 9
    """How soon a service misses one that somebody deletes; the lowest number first."""

    @property
    def own_name(self) -> str:
        """The name that AWS knows it by, beside its id; empty where it has none."""
        return getattr(self, "name", None) or ""

    @property
    def network(self) -> Ref | None:
        """The VPC that it is in (`in_vpc`)."""
        return getattr(self, self.in_vpc) if self.in_vpc else None

    @property
    def tells_address(self) -> bool:
        """Whether AWS keeps of its creation what tells for which address it was made: a name of this tool's, or a client token."""
        return self.longest_name > 0

    @property
    def outlives_parent(self) -> bool:
        """Whether something of it stays where AWS deletes it with its parent, so that it has to be deleted itself."""
        return False

    def named_after(self, found: Observed) -> Iterable[Sequence[object]]:
        """What these settings may have been of one that there is: AWS shows its defaults for what wasn't said."""
        return ()


@dataclass(frozen=True)
class Rollout:
    """How replacements of an instance group are paced (times in seconds)."""

    max_surge: int = 1
    max_unavailable: int = 0
    settle: int = 30
    min_ready: int = 30
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
    """What a spec desires of one resource: its properties, what it is created with beyond them, its tags."""

    address: Address
    state: Properties
    creation: Properties
    """`state`, with the documented defaults for what was left out."""
    tags: Mapping[str, str]
    lifecycle: Lifecycle
    spec_digest: str
    """Of the entry's own declared properties, collections included; empty for a member of a collection."""
    declared: tuple[str, ...] = ()
    """The paths of the declared properties, collections included."""
    carrier: Address | None = None
    """The entry whose tags speak for this member of a collection."""
    places: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    """Where the spec says it, by property (empty for the entry itself): FILE:LINE:COLUMN: path."""

    def at(self, path: str = "") -> str:
        """Where to look for a property, or for what it is part of."""
        while path and path not in self.places:
            path = path.rpartition(".")[0]
        return self.places.get(path, str(self.address))

    @property
    def file(self) -> str:
        """The file that declares it; SPEC where that isn't known."""
        found = re.match(r"(.+?):\d+:\d+", self.places.get("", ""))
        return found[1] if found else "SPEC"


@dataclass(frozen=True)
class Observed:
    """What AWS has: one physical resource."""

    address: Address
    id: str
    state: Properties
    tags: Mapping[str, str]
    owner: str | None
    """The stack whose tag it carries; None if it is a stranger inside of a resource of ours."""
    status: str = ""
    """AWS's word for how it is: running, active, healthy …"""
    created: str = ""
    details: object = None
    """What else was read and a later step needs: a value of the kind's own class, which `detail` gives."""
    reason: str = ""
    """Why it has that status: AWS's code, and its description."""
    description: str = ""
    attached: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By id the tags of what was made with it and has its declared tags: an instance's volumes."""

    @property
    def is_gone(self) -> bool:
        """Whether it is only a memory: AWS shows terminated instances for about an hour."""
        return self.status in self.state.gone

    @property
    def is_leaving(self) -> bool:
        """Whether it is on its way out, and can't be kept."""
        return self.status in self.state.leaving

    @property
    def parent_id(self) -> str | None:
        """The id of the resource with which AWS deletes this one; None where there is none."""
        return str(getattr(self.state, self.state.parent)) if self.state.parent else None

    def detail(self, of: type[_F]) -> _F:
        """What else was read, as a value of the class that its kind has for that. Raises TypeError for another kind's."""
        if not isinstance(self.details, of):
            raise TypeError(f"{self.address} has no {of.__name__}")
        return self.details

    def differing_tag(self, key: str, wanted: str) -> str | None:
        """A tag's value; where it is as wanted, but isn't on something attached, that in words. Each has a Name of its own."""
        others = [f"{own.get(key, 'none')} on {item}" for item, own in self.attached.items() if own.get(key) != wanted]
        return others[0] if others and self.tags.get(key) == wanted and key != "Name" else self.tags.get(key)


class _HasState(Protocol):
    @property
    def state(self) -> Properties: ...


_I = TypeVar("_I", bound=_HasState)
_P = TypeVar("_P", bound=Properties)


def each_of(items: Iterable[_I], of: type[_P]) -> Iterator[tuple[_I, _P]]:
    """Of some resources, desired or observed, those of one kind, each with its properties."""
    for item in items:
        if isinstance(item.state, of):
            yield item, item.state


@dataclass(frozen=True)
class Lookups:
    """What was read beside the resources and helps to settle desired properties into what there is."""

    images: Mapping[str, str] = field(default_factory=dict)
    """AMI ids by the unresolved reference."""
    desired: Mapping[Address, Desired] = field(default_factory=dict)
    addresses: Mapping[str, Address] = field(default_factory=dict)
    """The addresses of the stack's resources by id."""
    keeps_unsupported: bool = True
    """Whether what no spec can say stays as it is, rather than that it is removed."""


@dataclass(frozen=True)
class Change:
    """One property that differs: its path, what AWS has and what the spec wants."""

    path: str
    before: Any
    after: Any

    @property
    def top(self) -> str:
        """The property that it is of: of `attributes.key`, `attributes`."""
        return self.path.partition(".")[0]


def field_names(kind: type[Any]) -> tuple[str, ...]:
    """The names of a kind's properties, or of another dataclass's fields (looked up once a class: plans ask often)."""
    if kind not in _NAMES:
        _NAMES[kind] = tuple(item.name for item in dataclasses.fields(kind))
    return _NAMES[kind]


def stops(changes: Iterable[Change], kind: type[Properties]) -> bool:
    """Whether changes in place are made while the resource is stopped."""
    return any(not kind.stopped_on.isdisjoint((change.path, change.top)) for change in changes)


_PLAIN: Final = (str, int, type(None))
"""What holds no address. Plans ask that of hundreds of thousands of values: first, and as a tuple, which Python checks fastest."""


def references(value: object) -> Iterator[Address]:
    """Every address in a property, or in all properties of a kind."""
    if isinstance(value, _PLAIN):
        return
    if isinstance(value, Address):
        yield value
    elif dataclasses.is_dataclass(value):
        for name in field_names(type(value)):
            yield from references(getattr(value, name))
    elif isinstance(value, tuple | list | frozenset):
        for member in value:
            yield from references(member)
    elif isinstance(value, Mapping):
        yield from references(tuple(value.values()))


def texts(value: object) -> Iterator[str]:
    """Every text in a property, but for addresses: ids and AWS's names among them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple) and not isinstance(value, Address):
        for member in value:
            yield from texts(member)
    elif isinstance(value, Mapping):
        yield from texts(tuple(value.values()))
    elif dataclasses.is_dataclass(value):
        yield from texts(tuple(getattr(value, name) for name in field_names(type(value))))


def bind(value: _T, ids: Mapping[Address, str]) -> _T:
    """The value with known addresses replaced by ids, and lists in the order of what they now hold."""
    if not value or isinstance(value, _PLAIN):
        return value
    bound: Any = value
    if isinstance(value, Address):
        bound = ids.get(value, value)
    elif isinstance(value, tuple):
        members = [bind(member, ids) for member in value]
        if hasattr(value, "_fields"):
            bound = type(value)(*members)
        else:
            bound = tuple(sorted(members, key=str)) if any(references(value)) else tuple(members)
    elif isinstance(value, Mapping):
        bound = {key: bind(item, ids) for key, item in value.items()} if any(references(value)) else value
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = field_names(type(value))
        held = ((name, old) for name in names if (old := getattr(value, name)) and not isinstance(old, _PLAIN))
        changed = {name: new for name, old in held if (new := bind(old, ids)) is not old}
        bound = dataclasses.replace(value, **changed) if changed else value
    return bound  # type: ignore[no-any-return]  # of the same type as the value, but for the addresses in it


def with_fields(state: _P, **fields: Any) -> _P:
    """Properties with other values of some fields. Raises TypeError for a field that they haven't."""
    return dataclasses.replace(state, **fields)


def keep(wanted: _P, found: Properties, paths: Iterable[str]) -> _P:
    """Desired properties, with those at the given paths (of a mapping, its keys) as they are found."""
    for name, _, key in (path.partition(".") for path in paths):
        if name not in field_names(type(wanted)):  # a tag
            continue
        there = getattr(found, name)
        if key:
            others = {other: value for other, value in (getattr(wanted, name) or {}).items() if other != key}
            there = others | ({key: there[key]} if there and there.get(key) is not None else {})
        wanted = dataclasses.replace(wanted, **{name: there})
    return wanted


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
