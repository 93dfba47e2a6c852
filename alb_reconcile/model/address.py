"""Small values that everything else is made of: addresses, references, changes, durations."""

from __future__ import annotations

from typing import NamedTuple

from alb_reconcile.model.text import printable


class Address(NamedTuple):
    """A resource's place in a stack: `subnet.public-a`, `rule.public/http/soon`.

    Inside another resource's field an address is the reference to what it names.
    """

    kind: str
    name: str

    def __str__(self) -> str:
        # of a resource that somebody else has tagged it is anything at all
        return printable(f"{self.kind}.{self.name}")

    @classmethod
    def parse(cls, text: str) -> Address:
        """The inverse of `str`, for what is printable. Raises ValueError."""
        kind, dot, name = text.partition(".")
        if not (kind and dot and name):
            raise ValueError(f"{text!r} isn't an address")
        return cls(kind, name)


Ref = Address | str
"""What a reference may be: the address of a resource of the stack, or the id or ARN of a foreign one."""
