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


def network() -> dict[str, Any]:
    """A VPC with two public subnets, of both protocols, as data."""
    route = {"destination_cidr_block": "0.0.0.0/0", "internet_gateway": "main"}
    return {
        "stack": "shop",
        "region": "eu-west-1",
        "vpcs": {"main": {"cidr_block": "10.0.0.0/16", "amazon_provided_ipv6_cidr_block": True}},
        "subnets": {
            name: {"cidr_block": f"10.0.{number}.0/24", "availability_zone": name, "ipv6_cidr_block": number}
            for number, name in enumerate("ab")
        },
        "internet_gateways": {"main": {}},
        "route_tables": {"main": {"subnets": ["a", "b"], "routes": [route]}},
    }


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
