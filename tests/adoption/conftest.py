"""A fresh account for each test, and `adopt`, `forget` and `move` in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.adoption.adopting import Keeper
from tests.properties.watched import WatchedWorld, watched

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def world() -> Iterator[WatchedWorld]:
    with watched() as made:
        yield made


@pytest.fixture
def keep(world: WatchedWorld) -> Keeper:
    return Keeper(world)
