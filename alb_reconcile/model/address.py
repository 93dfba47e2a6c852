"""Small values that everything else is made of: addresses, references, changes, durations."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

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
            raise ValueError(f"{text!r} is no address")
        return cls(kind, name)


Ref = Address | str
"""What a reference may be: the address of a resource of the stack, or the id or ARN of a foreign one."""

_ID_PREFIXES: Final = {
    "vpc": "vpc-",
    "subnet": "subnet-",
    "internet_gateway": "igw-",
    "route_table": "rtb-",
    "security_group": "sg-",
    "instance": "i-",
}
_AWS_ID: Final = re.compile(r"(vpc|subnet|igw|rtb|sg|i|ami|eni|pl|vol|nat)-([0-9a-f]{8}|[0-9a-f]{17})")
_ELB_ARN: Final = re.compile(r"arn:[a-z-]+:elasticloadbalancing:([a-z0-9-]+):[0-9]{12}:([a-z]+)/.+")


def is_aws_id(text: str) -> bool:
    """Whether a reference is literal, so that it names something outside of the spec."""
    return text.startswith("arn:") or _AWS_ID.fullmatch(text) is not None


def is_id_of(kind: str, text: str) -> bool:
    """Whether a literal id or ARN can name a resource of that kind."""
    if kind in _ID_PREFIXES:
        return text.startswith(_ID_PREFIXES[kind])
    if kind == "target_group":
        match = _ELB_ARN.fullmatch(text)
        return match is not None and match[2] == "targetgroup"
    return False
