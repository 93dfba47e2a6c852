"""Sandboxes that carry traffic, for each of pytest's workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.load.stage import Stage

SPEED = 30.0
"""AWS's times are divided by it; requests, and the web APIs' starts, take their own time."""
_made: dict[str, Stage] = {}


@pytest.fixture
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return _made_once("load", SPEED, tmp_path_factory)


@pytest.fixture
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """For stories that wait for what takes AWS minutes, and measure nothing against a drain."""
    return _made_once("hasty", 120, tmp_path_factory)


def _made_once(name: str, speed: float, folders: pytest.TempPathFactory) -> Stage:
    if name not in _made:
        _made[name] = Stage(folders.mktemp(name), speed=speed)
    return _made[name]


def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    """End them with the last of these tests: they check their targets' health ten times a second, whatever else is tested."""
    if nextitem is None or nextitem.path.parent != Path(__file__).parent:
        while _made:
            _made.popitem()[1].close()
