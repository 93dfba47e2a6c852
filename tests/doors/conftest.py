"""A stack in a fresh account, and somebody who changes it by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.harness import Spec, demo
from tests.kept import fresh_world
from tests.kinds.hand import LINUX_1, Hand
from tests.sync.words import with_image

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def hand(request: pytest.FixtureRequest) -> Iterator[Hand]:
    """Somebody in a fresh account."""
    with fresh_world(request) as fresh:
        yield Hand(fresh)


@pytest.fixture
def spec(hand: Hand) -> Spec:
    """A stack that is applied."""
    found = with_image(demo(), LINUX_1)
    found["load_balancers"]["public"]["listeners"]["http"]["rules"] = {
        "soon": {
            "priority": 10,
            "conditions": [{"path_pattern": "/v2/*"}],
            "action": {"fixed_response": {"status_code": 503}},
        }
    }
    hand.make(found)
    return found
