"""A stack in a fresh account, and somebody who changes it by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.kept import fresh_world
from tests.kinds.hand import Faults, Hand

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.harness import World


@pytest.fixture
def hand(request: pytest.FixtureRequest) -> Iterator[Hand]:
    """Somebody in a fresh account."""
    with fresh_world(request) as fresh:
        yield Hand(fresh)


@pytest.fixture
def faults(hand: Hand) -> Faults:
    """A way to make AWS fail in that account."""
    return Faults(hand.world)


@pytest.fixture
def stranger(hand: Hand) -> str:
    """An instance of somebody else, in a network of its own."""
    vpc = hand.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = hand.ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.1.0/24")["Subnet"]["SubnetId"]
    gateway = hand.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    hand.ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    return hand.stranger_in(subnet)


@pytest.fixture
def here(hand: Hand) -> World:
    """The same account, for who doesn't change anything by hand."""
    return hand.world
