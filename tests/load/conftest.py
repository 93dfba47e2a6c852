"""A sandbox that carries traffic, for each of pytest's workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.load.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

SPEED = 30.0
"""AWS's times are divided by it; requests, and the web APIs' starts, take their own time."""


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    made = Stage(tmp_path_factory.mktemp("load"), speed=SPEED)
    yield made
    made.close()


@pytest.fixture(scope="session")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """For stories that wait for what takes AWS minutes, and measure nothing against a drain."""
    made = Stage(tmp_path_factory.mktemp("hasty"), speed=120)
    yield made
    made.close()
