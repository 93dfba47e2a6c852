"""Look-ups: what a spec says instead of the id of a resource that it doesn't own, and the ids that look-ups find."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Self

from alb_reconcile.model.resource import Properties, field_names

By = Literal["tag", "default", "ssm", "domain"]


class Lookup(str):
    """A reference of which the id is looked up when a plan is made; as text, its meaning: `subnets with the tag Tier=private`.

    `many`: the reference stands for all resources that match, else for the only one.
    """

    kind: str
    by: By
    tags: tuple[tuple[str, str], ...]
    parameter: str
    domain: str
    many: bool
    words: str = ""
    """How the resource is found, as plans say after the id."""

    @classmethod
    def of(cls, kind: str, by: By, value: Any, *, many: bool = False) -> Self:
        """The look-up that a spec writes for a resource of a kind."""
        words = "default"
        if by == "tag":
            words = "tag " + ", ".join(f"{key}={text}" for key, text in sorted(value.items()))
        elif by == "ssm":
            words = f"SSM parameter {value}"
        elif by == "domain":
            words = f"domain {value}"
        made = cls(f"{kind}{'s' if many else ''} ({words})")
        made.kind, made.by, made.many = kind, by, many
        made.tags = tuple(sorted(value.items())) if by == "tag" else ()
        made.parameter = value if by == "ssm" else ""
        made.domain = value if by == "domain" else ""
        made.words = words
        return made


class FoundId(str):
    """An id that a look-up found. `words` say how."""

    words: str = ""

    @classmethod
    def of(cls, text: str, words: str) -> Self:
        """An id, with how it was found."""
        made = cls(text)
        made.words = words
        return made


def lookups_in(value: object) -> Iterator[Lookup]:
    """Every look-up in a property, or in all properties of a kind."""
    if isinstance(value, Lookup):
        yield value
    elif isinstance(value, tuple):
        for member in value:
            yield from lookups_in(member)
    elif dataclasses.is_dataclass(value):
        for name in field_names(type(value)):
            yield from lookups_in(getattr(value, name))


def paths_of(state: Properties, wanted: Lookup) -> Iterator[str]:
    """The properties that hold a look-up."""
    return (
        name for name in field_names(type(state)) if any(item == wanted for item in lookups_in(getattr(state, name)))
    )


def resolve(value: Any, found: Mapping[Lookup, tuple[FoundId, ...]]) -> Any:
    """The value with ids instead of look-ups; in a list, with the ids of all matches."""
    if isinstance(value, Lookup):
        return found[value][0]
    if isinstance(value, tuple):
        members = [
            item
            for member in value
            for item in (found[member] if isinstance(member, Lookup) else (resolve(member, found),))
        ]
        if hasattr(value, "_fields"):
            return type(value)(*members)
        is_list = any(isinstance(item, Lookup) for item in value)  # of references, which has no order
        return tuple(sorted(set(members), key=str)) if is_list else tuple(members)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        changed = {name: resolve(getattr(value, name), found) for name in field_names(type(value))}
        return dataclasses.replace(value, **changed) if any(lookups_in(value)) else value
    return value
