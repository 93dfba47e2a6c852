"""Small basic values that the other modules use: addresses, references, user data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from alb_reconcile.model.text import digest, printable


class Address(NamedTuple):
    """A resource's place in a stack: `subnet.public-a`, `rule.public/http/soon`.

    Inside another resource's field an address is a reference to the resource.
    """

    kind: str
    name: str

    def __str__(self) -> str:
        # the address tag of a resource that another user has tagged can be anything
        return printable(f"{self.kind}.{self.name}")

    @classmethod
    def parse(cls, text: str) -> Address:
        """The inverse of `str`, for what is printable. Raises ValueError."""
        kind, dot, name = text.partition(".")
        if not (kind and dot and name):
            raise ValueError(f"{text!r} isn't an address")
        return cls(kind, name)


Ref = Address | str
"""A reference: the address of a resource of the stack, or the id or ARN of another owner's resource."""


MAX_USER_DATA: Final = 16_384
"""Bytes before base64 (EC2 user guide, "Run commands at launch": 16 KB)."""


class Recipe(Protocol):
    """What makes user data, as soon as the versions of the things that the user data names are known."""

    @property
    def places(self) -> Mapping[str, str]:
        """Where each thing is, by its name: `artifact: s3://…`, `DATABASE_URL: ssm:…`."""

    def user_data(self, versions: Mapping[str, str]) -> bytes:
        """The user data for these versions, by name."""


@dataclass(frozen=True)
class UserData:
    """What an instance runs at its first boot. User data may hold secrets: only the digest is ever compared or shown."""

    digest: str
    content: bytes | None = field(default=None, compare=False, repr=False)
    given: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    """The variables that its values were given, by name."""
    versions: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    """The versions of the things that its recipe names, by name."""
    recipe: Recipe | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, content: bytes, given: Mapping[str, str] | None = None) -> UserData:
        """User data with its content."""
        return cls(digest(content.hex(), 16), content, tuple(sorted((given or {}).items())))

    @classmethod
    def made(cls, recipe: Recipe, given: Mapping[str, str], versions: Mapping[str, str] | None = None) -> UserData:
        """User data by a recipe; without `versions`, as the spec alone tells."""
        content = recipe.user_data(versions or {})
        pinned = tuple(sorted((versions or {}).items()))
        return cls(digest(content.hex(), 16), content, tuple(sorted(given.items())), pinned, recipe)

    def told(self, before: UserData) -> str:
        """How it differs from other user data in variables, else in versions, as in "VERSION 1.2 → 1.3"; empty if in neither."""
        for old, new in ((dict(before.given), dict(self.given)), (dict(before.versions), dict(self.versions))):
            if told := [
                f"{name} {old.get(name, '(not given)')} → {text}" for name, text in new.items() if text != old.get(name)
            ]:
                return ", ".join(told)
        return ""

    def __str__(self) -> str:
        given = ", ".join(f"{name} {text}" for name, text in self.given)
        return f"sha256:{self.digest}" + f" ({given})" * bool(given)
