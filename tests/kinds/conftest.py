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
def here(hand: Hand) -> World:
    """The same account, for who doesn't change anything by hand."""
    return hand.world
