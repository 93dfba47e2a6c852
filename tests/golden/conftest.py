"""A sandbox for each of pytest's workers, and a scene for each test, named after it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.e2e.tool import empty
from tests.golden.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SPEED = "50"


def _sandbox(state: Path, *arguments: str) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(state),
        "PYTHONUTF8": "1",
        "ALB_RECONCILE_SANDBOX_DIR": str(state),
        "ALB_RECONCILE_SANDBOX_TRAFFIC": "off",
    }
    command = [sys.executable, "-m", "alb_reconcile", "sandbox", *arguments]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a sandbox that runs."""
    state = tmp_path_factory.mktemp("golden")
    _sandbox(state, "start", "--speed", SPEED)
    yield state
    _sandbox(state, "stop")


@pytest.fixture
def scene(request: pytest.FixtureRequest, running: Path, tmp_path: Path) -> Scene:
    """A scene in the sandbox, which is empty."""
    empty(running)
    return Scene(name_of(request), tmp_path, running)


@pytest.fixture
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Scene:
    """A scene without any AWS."""
    return Scene(name_of(request), tmp_path, None)


def name_of(request: pytest.FixtureRequest) -> str:
    """The expectation's name."""
    return str(request.node.name).removeprefix("test_").replace("[", "_").rstrip("]")
