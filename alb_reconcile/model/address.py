"""Small basic values that the other modules use: addresses, references, user data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

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


@dataclass(frozen=True)
class UserData:
    """What an instance runs at its first boot. User data may hold secrets: only the digest is ever compared or shown."""

    digest: str
    content: bytes | None = field(default=None, compare=False, repr=False)
    given: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    """The variables that its values were given, by name."""

    @classmethod
    def of(cls, content: bytes, given: Mapping[str, str] | None = None) -> UserData:
        """User data with its content."""
        return cls(digest(content.hex(), 16), content, tuple(sorted((given or {}).items())))

    def __str__(self) -> str:
        given = ", ".join(f"{name} {text}" for name, text in self.given)
        return f"sha256:{self.digest}" + f" ({given})" * bool(given)
