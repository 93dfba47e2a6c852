"""What the tests of the spec share: a small network, and short ways to load it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.model.address import Address
from alb_reconcile.model.errors import SpecError
from alb_reconcile.spec.stack import Stack, parse_stack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alb_reconcile.model.resource import Desired, Properties

NETWORK = """\
stack: shop
region: eu-west-1
vpcs:
  main: {cidr_block: 10.0.0.0/16}
subnets:
  a: {cidr_block: 10.0.1.0/24, availability_zone: a}
"""


def load(data: str, variables: Mapping[str, str] | None = None, region: str | None = None) -> Stack:
    """A stack from a text."""
    return parse_stack(data.encode(), "spec.yaml", Path(), variables or {}, region)


def refusal(data: str, variables: Mapping[str, str] | None = None, region: str | None = None) -> str:
    """What a text is refused for."""
    with pytest.raises(SpecError) as caught:
        load(data, variables, region)
    return str(caught.value)


def get(stack: Stack, address: str) -> Desired:
    """One resource."""
    return stack.desired[Address.parse(address)]


def declared(state: Properties) -> dict[str, Any]:
    """The properties that are managed."""
    values = {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}
    return {name: value for name, value in values.items() if value is not None}
