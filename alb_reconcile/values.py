"""Small values that everything else is made of: addresses, references, changes, durations."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any, Final, NamedTuple


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


@dataclass(frozen=True)
class Change:
    """One property that differs: its path, what AWS has and what the spec wants."""

    path: str
    before: Any
    after: Any


_UNITS: Final = {"s": 1, "m": 60, "h": 3600}


def parse_duration(text: str) -> int:
    """`30s`, `5m`, `1h` in seconds. Raises ValueError."""
    number, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not number.isdigit():
        raise ValueError(f"{text!r} is no duration; write 30s, 5m or 1h")
    return int(number) * _UNITS[unit]


def printable(text: str) -> str:
    """A text with escapes for what a terminal can't show, or would obey."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def digest(value: object, length: int = 12) -> str:
    """A short, stable digest of plain data (hexadecimal)."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:length]
