"""Optional abilities of some kinds' properties: small protocols that a kind implements where it needs to."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, Protocol, Self, TypeVar, cast

from alb_reconcile.model.actions import Action
from alb_reconcile.model.address import Ref
from alb_reconcile.model.resource import Lookups, Observed, Properties

_M = TypeVar("_M")
_P = TypeVar("_P", bound="Properties")


class Settles(Protocol):
    """Properties that adapt to the observed resource: they take AWS's value where AWS has one of several allowed values."""

    def settle(self, observed: Observed | None, lookups: Lookups) -> Self:
        """The same desired properties in the observed resource's form; for a resource that isn't there yet, in the form of its creation."""


class KeepsOthers(Protocol):
    """Properties with collections into which others may put members (`others: keep`)."""

    def with_others(self, observed: Self) -> Self:
        """The same desired properties, with the members that are there already."""


class Expands(Protocol):
    """Properties with collections that can't simply have the desired and the observed members at the same time."""

    def expanded(self, observed: Self, zone_of: Callable[[Ref], str | None]) -> Self:
        """The same desired properties, with the observed members added as far as AWS takes both. `zone_of` gives a subnet's zone."""


class HoldsSlots(Protocol):
    """Properties that hold what only one resource can hold at a time: a port of a load balancer, an explicit name."""

    def slots(self) -> Iterable[Hashable]:
        """The slots that the resource holds."""


class Conflicts(Protocol):
    """Properties where two resources with a slot in common don't always exclude each other."""

    def conflicts(self, other: Properties) -> bool:
        """Whether the other resource must go before this one can be created."""


class Needs(Protocol):
    """Properties that AWS accepts only where another resource of their kind exists, which the properties don't name."""

    def needs(self, other: Properties) -> bool:
        """Whether `other` is the resource that these properties need."""


class Reattaches(Protocol):
    """Properties that AWS can change in place in some states only."""

    def fixed(self, observed: Observed) -> frozenset[str]:
        """The fields (or paths below them) that can't be changed in place, given the observed resource."""


class Remarks(Protocol):
    """Properties for which an observed resource may deserve a remark that is no difference."""

    def remark(self, found: Observed) -> str:
        """What is wrong and what to do, in words; empty if nothing is wrong."""


class HoldsUnsupported(Protocol):
    """Observed properties that hold settings that no spec can say, in addition to those of the action."""

    def unsupported(self) -> dict[str, tuple[str, ...]]:
        """The settings that no spec can say, by field, in AWS's words: first the type."""


class KeepsOut(Protocol):
    """Properties that let in only some clients, in addition to what an action asks."""

    def keeps_out(self) -> dict[str, str]:
        """What keeps clients out, field by field, in words."""


class Annotates(Protocol):
    """Properties that keep more in tags than every resource does."""

    def extra_tags(self) -> dict[str, str]:
        """The kind's own tags, from unbound properties. An empty tag is only written in place of another value."""


def _has(kind: type, ability: str) -> bool:
    """Whether a kind has an ability, by its method's name: plans ask for thousands of resources, and `isinstance` of a protocol is slow."""
    return hasattr(kind, ability)


def settle(desired: _P, observed: Observed | None, lookups: Lookups) -> _P:
    """Desired properties in the observed resource's form (`Settles`)."""
    if not _has(type(desired), "settle"):
        return desired
    return cast("_P", cast("Settles", desired).settle(observed, lookups))


def with_others(desired: _P, observed: Properties) -> _P:
    """Desired properties with the members that others have put into their collections (`KeepsOthers`)."""
    if not _has(type(desired), "with_others"):
        return desired
    return cast("_P", cast("Any", desired).with_others(observed))


def expanded(desired: _P, observed: Properties, zone_of: Callable[[Ref], str | None]) -> _P:
    """Desired properties with the observed members added (`Expands`, or `KeepsOthers`)."""
    if not _has(type(desired), "expanded"):
        return with_others(desired, observed)
    return cast("_P", cast("Any", desired).expanded(observed, zone_of))


def keep_others(
    wanted: tuple[_M, ...] | None, found: tuple[_M, ...] | None, key: Callable[[_M], Hashable]
) -> tuple[_M, ...] | None:
    """The members of a managed collection, and the found members with a `key` that no wanted member has."""
    if wanted is None:
        return None
    members = {key(item): item for item in (*(found or ()), *wanted)}
    return tuple(sorted(members.values(), key=str))


def slots(properties: Properties) -> Iterable[Hashable]:
    """The slots that these properties hold, each of which only one resource can hold (`HoldsSlots`)."""
    return cast("HoldsSlots", properties).slots() if _has(type(properties), "slots") else ()


def conflicts(desired: Properties, found: Properties) -> bool:
    """Whether the found resource must go first where two have a slot in common (`Conflicts`)."""
    return cast("Conflicts", desired).conflicts(found) if _has(type(desired), "conflicts") else True


def is_needy(kind: type[Properties]) -> bool:
    """Whether a resource of a kind may need another resource of the kind (`Needs`)."""
    return _has(kind, "needs")


def needs(properties: Properties, other: Properties) -> bool:
    """Whether AWS accepts a resource only where the other resource exists (`Needs`)."""
    return is_needy(type(properties)) and cast("Needs", properties).needs(other)


def fixed(desired: Properties, found: Observed) -> frozenset[str]:
    """The fields that AWS can't change in place, given the found resource (`Reattaches`)."""
    return cast("Any", desired).fixed(found) if _has(type(desired), "fixed") else desired.replaced_on


def action_of(properties: Properties | None) -> Action:
    """The action of a listener or a rule; for anything else, an action that does nothing."""
    return getattr(properties, properties.action_field) if properties and properties.action_field else Action()


def unsupported(found: Properties) -> dict[str, tuple[str, ...]]:
    """What a listener or rule does that no spec can say, by field (`HoldsUnsupported`)."""
    if _has(type(found), "unsupported"):
        return cast("HoldsUnsupported", found).unsupported()
    words = action_of(found).unsupported
    return {found.action_field: words} if words else {}


def tell_unsupported(found: Properties) -> str:
    """What a listener or rule does that no spec can say, in a few words; empty if that is nothing."""
    kinds = sorted({text.partition(" ")[0] for texts in unsupported(found).values() for text in texts})
    return f"does what no spec can say: {', '.join(kinds)}" if kinds else ""


def keeps_out(found: Properties | None) -> dict[str, str]:
    """What in a load balancer, listener or rule keeps clients out: field by field, in words."""
    authentication = action_of(found).authentication
    return {
        **({"action": authentication.type} if authentication and authentication.keeps_out else {}),
        **(cast("KeepsOut", found).keeps_out() if _has(type(found), "keeps_out") else {}),
    }


def remark(desired: Properties, found: Observed) -> str:
    """The remark about a resource that needs no change (`Remarks`)."""
    return cast("Remarks", desired).remark(found) if _has(type(desired), "remark") else ""


def extra_tags(desired: Properties, there: Mapping[str, str]) -> dict[str, str]:
    """The kind's own tags for a resource (`Annotates`) that carries the tags `there` so far."""
    found = cast("Annotates", desired).extra_tags() if _has(type(desired), "extra_tags") else {}
    return {key: value for key, value in found.items() if value or there.get(key)}
