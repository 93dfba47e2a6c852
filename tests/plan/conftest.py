"""The account in which most of these tests begin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.kept import fresh_world

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.harness import World


@pytest.fixture
def here(request: pytest.FixtureRequest) -> Iterator[World]:
    """A fresh account."""
    with fresh_world(request) as found:
        yield found
