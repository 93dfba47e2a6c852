"""A resource as a value: its properties, what a spec desires of it, what AWS has; and functions that compare and bind these values."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, floor
from typing import Any, ClassVar, Final, Protocol, Self, TypeVar

from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.text import parse_duration

_F = TypeVar("_F")
_T = TypeVar("_T")
_NAMES: dict[type, tuple[str, ...]] = {}
_MAX_SURGE: Final = "25%"
_KEEP: Final = "30m"


@dataclass(frozen=True, kw_only=True)
class Properties:
    """The managed properties of one resource, desired or observed. `None` means: not managed.

    Each kind has a subclass. A field that holds an `Address` (alone, or inside a tuple) refers to the resource at that address;
    when bound, the field holds the resource's id. The class variables are facts about the kind, from which plans are made; what
    only some kinds can do is in `model.abilities`.
    """

    kind: ClassVar[str]
    """The kind's name, also of its module, its schema and its test."""
    service: ClassVar[str]
    """The AWS service that has the API to tag the resource (`aws.tagging`); empty if the resource carries no tags."""
    keeps_tags: ClassVar[bool] = True
    """Whether AWS keeps the resource's tags; otherwise this tool writes the tags down elsewhere (`aws.record_tags`)."""
    replaced_on: ClassVar[frozenset[str]] = frozenset()
    """The fields (or paths below them) that AWS can't change in place."""
    unique_names: ClassVar[bool] = True
    """Whether AWS allows only one resource of a `name`."""
    stopped_on: ClassVar[frozenset[str]] = frozenset()
    """The fields (or paths below them) among `replaced_on` that AWS can change while the resource is stopped (`type_change`)."""
    said_elsewhere: ClassVar[frozenset[str]] = frozenset()
    """The fields that follow from other entries: the resource's own entry has no key for them."""
    defaulted: ClassVar[frozenset[str]] = frozenset()
    """Optional fields that get the schema's default whenever there is no value, not only at creation: AWS would choose a value."""
    needed_late: ClassVar[frozenset[str]] = frozenset()
    """The fields that a create needs only after its first call: the resources that they name may be made meanwhile (`Others.made`)."""
    holds: ClassVar[frozenset[str]] = frozenset()
    """The fields that keep AWS from deleting the resources that they name."""
    follows: ClassVar[tuple[str, ...]] = ()
    """Kinds with resources that are created and changed before a resource of this kind is created, and deleted after it."""
    parent: ClassVar[str | None] = None
    """The field that names the resource with which AWS deletes this resource."""
    part_of: ClassVar[str] = ""
    """The field that names the resource of which this resource is a part, where that isn't the `parent`."""
    leads_on: ClassVar[bool] = True
    """Whether requests go on to the resources that this resource refers to, rather than that it only names them."""
    is_target: ClassVar[bool] = False
    """Whether the resource serves as one of several, so that no other resource needs this one alone."""
    removed_late: ClassVar[tuple[str, ...]] = ()
    """The collections with members that are added early and removed when traffic has moved, in the order of removal."""
    moves: ClassVar[frozenset[str]] = frozenset()
    """The fields that decide which resource answers requests; a resource of a kind with such fields decides so by existing."""
    set_last: ClassVar[frozenset[tuple[str, str]]] = frozenset()
    """The changes, by path and new value, that AWS refuses as long as other resources share the requests."""
    ways: ClassVar[frozenset[str]] = frozenset()
    """The collections with routes as members, so that other users may depend on a member that they have added (`KeepsOthers`)."""
    leaving: ClassVar[frozenset[str]] = frozenset()
    """AWS's words for the status of a resource that is being deleted, and can't be kept."""
    gone: ClassVar[frozenset[str]] = frozenset()
    """AWS's words for the status of a resource that is deleted and that AWS still shows."""
    size_field: ClassVar[str] = ""
    """The field that says how large the resource is."""
    is_costly: ClassVar[bool] = False
    """Whether AWS charges for the resource by the hour, so that a plan says where two exist at a time instead of one."""
    action_field: ClassVar[str] = ""
    """The field that says what becomes of a request (`model.actions.Action`)."""
    is_for_others: ClassVar[bool] = False
    """Whether the resource is of no use by itself, and is created for the resources that refer to it."""
    carries_applied: ClassVar[bool] = False
    """Whether the resource carries the digest of the whole spec: resources that EC2 tags in one call and that outlive instances."""
    in_vpc: ClassVar[str] = ""
    """The field that names the VPC of the resource."""
    worn: ClassVar[str] = ""
    """The field that names the security groups of the resource's network interfaces."""
    said_in: ClassVar[frozenset[str]] = frozenset()
    """For a member of a collection: the keys of the collection's entry that describe the member."""
    route_filter: ClassVar[str] = ""
    """The filter of DescribeRouteTables for routes that lead to the resource."""
    in_subnets: ClassVar[str] = ""
    """The field that names the subnets in which the resource has addresses, or which the resource serves."""
    addresses: ClassVar[int] = 0
    """How many addresses AWS wants to be free in each of the resource's `subnets` when the resource is made there."""
    known_in: ClassVar[str] = ""
    """The field in which other resources may have the resource's `name` instead of its id."""
    longest_name: ClassVar[int] = 0
    """The greatest length of the name that this tool makes from the resource's settings (`text.physical_name`); 0 for no such name."""
    keeps_used: ClassVar[bool] = True
    """Whether AWS refuses to delete the resources that this resource names as long as this resource exists."""
    traffic: ClassVar[frozenset[str]] = frozenset()
    """The collections that say where traffic goes to or comes from: the resource doesn't use the resources that they name."""
    missed: ClassVar[int] = 9
    """How soon a service fails without a resource that a user deletes; the lowest number fails first."""

    @property
    def own_name(self) -> str:
        """The name by which AWS knows the resource, in addition to its id; empty where the resource has no name."""
        return getattr(self, "name", None) or ""

    @property
    def network(self) -> Ref | None:
        """The VPC of the resource (`in_vpc`)."""
        return getattr(self, self.in_vpc) if self.in_vpc else None

    @property
    def tells_address(self) -> bool:
        """Whether AWS keeps something that tells for which address the resource was made: a name of this tool's, or a client token."""
        return self.longest_name > 0

    @property
    def outlives_parent(self) -> bool:
        """Whether a part of the resource stays where AWS deletes it with its parent, so that the resource needs a delete of its own."""
        return False

    def named_after(self, found: Observed) -> Iterable[Sequence[object]]:
        """The settings with which an existing resource may have been created: AWS shows its defaults for settings that weren't given."""
        return ()


BLUE_GREEN: Final = "blue_green"
"""The strategy by which all new instances stand beside the old ones, in a target group of their own."""


@dataclass(frozen=True)
class RequestCheck:
    """A request that a new version has to answer before it gets the requests of others."""

    path: str
    """With its query."""
    status: str = "200"
    """A status, or a range such as 200-399."""
    within: float | None = None
    """Seconds for the whole answer; None where they don't matter."""
    host: str = ""
    body: str = ""
    """A text that the answer must have in it."""

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> RequestCheck:
        """The check that a spec's mapping says."""
        within = given.get("within")
        seconds = None if within is None else float(within[:-2]) / 1000 if within.endswith("ms") else float(within[:-1])
        return cls(given["get"], str(given.get("status", 200)), seconds, given.get("host", ""), given.get("body", ""))


@dataclass(frozen=True)
class Rollout:
    """How replacements of an instance group are paced (times in seconds)."""

    max_surge: int = 1
    max_unavailable: int = 0
    strategy: str = "rolling"
    settle: int = 30
    min_ready: int = 30
    health_timeout: int = 600
    keep: int = 0
    """For how long the old version stands by after the requests have moved from it."""
    checks: tuple[RequestCheck, ...] | None = None
    """None where the spec says none, and usual ones are made."""

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Self:
        """The `rollout` of a valid entry, with numbers for shares of its `count`.

        `max_surge` is rounded up, `max_unavailable` down, as by Kubernetes ("Deployments", "Rolling Update Deployment"). If both are 0,
        `max_surge` counts as 1, for nothing could be replaced otherwise; in Kubernetes `max_unavailable` does.
        """
        given, count = dict(entry.get("rollout") or {}), entry.get("count", 1)
        surge = ceil(_number(given.pop("max_surge", _MAX_SURGE), count))
        unavailable = floor(_number(given.pop("max_unavailable", 0), count))
        if count and not surge and not unavailable:
            surge = 1
        strategy, checks = given.pop("strategy", "rolling"), given.pop("checks", None)
        given.setdefault("keep", _KEEP if strategy == BLUE_GREEN else "0s")
        asked = None if checks is None else tuple(map(RequestCheck.of, checks))
        times = {key: parse_duration(value) for key, value in given.items()}
        return cls(surge, unavailable, strategy, **times, checks=asked)

    @property
    def stands_beside(self) -> bool:
        """Whether an instance and its successor are there at once."""
        return self.strategy == BLUE_GREEN or self.max_surge > 0


def _number(given: int | str, count: int) -> Fraction:
    """A number as it is; for a share (`25%`), that share of the count, without rounding."""
    return Fraction(int(given.rstrip("%")) * count, 100) if isinstance(given, str) else Fraction(given)


@dataclass(frozen=True)
class Lifecycle:
    """What a spec says about the handling of a resource, in addition to its properties."""

    prevent_destroy: bool | None = None
    keep_others: bool = False
    members: bool = True
    """Whether the collection of members that are resources of their own (a target group's targets) is managed."""
    rollout: Rollout = field(default_factory=Rollout)
    image_update: str = "keep"
    type_change: str = "replace"
    group: str | None = None
    """The instance entry that the resource is a member of."""
    min_healthy: int | None = None
    """The fewest healthy targets with which a target group may get more requests; None where the group's targets decide."""


@dataclass(frozen=True)
class Desired:
    """What a spec desires of one resource: the managed properties, the properties for its creation, its tags."""

    address: Address
    state: Properties
    creation: Properties
    """`state`, with the documented defaults for what was left out."""
    tags: Mapping[str, str]
    lifecycle: Lifecycle
    spec_digest: str
    """The digest of the entry's own declared properties, collections included; empty for a member of a collection."""
    declared: tuple[str, ...] = ()
    """The paths of the declared properties, collections included."""
    carrier: Address | None = None
    """The entry that carries the tags for this member of a collection."""
    places: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    """The place in the spec, by property (empty for the entry itself): FILE:LINE:COLUMN: path."""

    def at(self, path: str = "") -> str:
        """The place in the spec of a property, or of the property or entry that contains it."""
        while path and path not in self.places:
            path = path.rpartition(".")[0]
        return self.places.get(path, str(self.address))

    @property
    def file(self) -> str:
        """The file that declares the resource; SPEC where the file isn't known."""
        found = re.match(r"(.+?):\d+:\d+", self.places.get("", ""))
        return found[1] if found else "SPEC"


@dataclass(frozen=True)
class Observed:
    """A physical resource, as AWS has it."""

    address: Address
    id: str
    state: Properties
    tags: Mapping[str, str]
    owner: str | None
    """The stack that the resource's tag names; None for another owner's resource inside of one of the stack's resources."""
    status: str = ""
    """AWS's word for the resource's status: running, active, healthy …"""
    created: str = ""
    details: object = None
    """What else was read that a later step needs: a value of the kind's own class, which `detail` returns."""
    reason: str = ""
    """The reason of the status: AWS's code, and AWS's description."""
    description: str = ""
    attached: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By id, the tags of what was made with the resource and has its declared tags: an instance's volumes."""

    @property
    def is_gone(self) -> bool:
        """Whether the resource is deleted and AWS still shows it, as it shows terminated instances for about an hour."""
        return self.status in self.state.gone

    @property
    def is_leaving(self) -> bool:
        """Whether the resource is being deleted, and can't be kept."""
        return self.status in self.state.leaving

    @property
    def parent_id(self) -> str | None:
        """The id of the resource with which AWS deletes this resource; None where there is no such resource."""
        return str(getattr(self.state, self.state.parent)) if self.state.parent else None

    def detail(self, of: type[_F]) -> _F:
        """`details`, as a value of the class `of`, which the resource's kind has for them. Raises TypeError for another kind's class."""
        if not isinstance(self.details, of):
            raise TypeError(f"{self.address} has no {of.__name__}")
        return self.details

    def differing_tag(self, key: str, wanted: str) -> str | None:
        """A tag's value; where only something attached has another value, that value in words. Each has a Name of its own."""
        others = [f"{own.get(key, 'none')} on {item}" for item, own in self.attached.items() if own.get(key) != wanted]
        return others[0] if others and self.tags.get(key) == wanted and key != "Name" else self.tags.get(key)


class _HasState(Protocol):
    @property
    def state(self) -> Properties: ...


_I = TypeVar("_I", bound=_HasState)
_P = TypeVar("_P", bound=Properties)


def each_of(items: Iterable[_I], of: type[_P]) -> Iterator[tuple[_I, _P]]:
    """The resources of one kind among `items`, desired or observed, each with its properties."""
    for item in items:
        if isinstance(item.state, of):
            yield item, item.state


@dataclass(frozen=True)
class Lookups:
    """What was read in addition to the resources and helps to compare desired properties with observed properties."""

    images: Mapping[str, str] = field(default_factory=dict)
    """AMI ids by the unresolved reference."""
    desired: Mapping[Address, Desired] = field(default_factory=dict)
    addresses: Mapping[str, Address] = field(default_factory=dict)
    """The addresses of the stack's resources by id."""
    keeps_unsupported: bool = True
    """Whether settings that no spec can say stay as they are, rather than that they are removed."""


@dataclass(frozen=True)
class Change:
    """A property that differs: its path, AWS's value and the spec's value."""

    path: str
    before: Any
    after: Any

    @property
    def top(self) -> str:
        """The property that contains the path: `attributes` for `attributes.key`."""
        return self.path.partition(".")[0]


def field_names(kind: type[Any]) -> tuple[str, ...]:
    """The names of a kind's properties, or of another dataclass's fields (looked up once for each class: plans ask often)."""
    if kind not in _NAMES:
        _NAMES[kind] = tuple(item.name for item in dataclasses.fields(kind))
    return _NAMES[kind]


def stops(changes: Iterable[Change], kind: type[Properties]) -> bool:
    """Whether changes in place are made while the resource is stopped."""
    return any(not kind.stopped_on.isdisjoint((change.path, change.top)) for change in changes)


_PLAIN: Final = (str, int, type(None))
"""Types that hold no address. Plans check hundreds of thousands of values: these types first, in a tuple, which Python checks fastest."""


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
    """Every text in a property, also ids and AWS's names, but no addresses."""
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
    """The value with known addresses replaced by ids, and lists of references sorted by what they now hold."""
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
    """Properties with other values of some fields. Raises TypeError for a field that the properties haven't."""
    return dataclasses.replace(state, **fields)


def keep(wanted: _P, found: Properties, paths: Iterable[str]) -> _P:
    """Desired properties, with the found values at the given paths (of a property, or of a mapping's key)."""
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
    """The differences between AWS's properties and the wanted properties, property by property; for a mapping, key by key."""
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
