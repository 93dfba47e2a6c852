"""A sandbox for each of pytest's workers, empty at the start of each test."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.proxy import in_front_of
from tests.e2e.tool import Account, Tool, empty

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.proxy import Proxy


@pytest.fixture(scope="session")
def running_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tool]:
    tool = Tool(tmp_path_factory.mktemp("sandbox"), "--sandbox")
    tool.run("sandbox", "start", "--speed", "30")
    yield tool
    tool.run("sandbox", "stop")


@pytest.fixture
def sandbox(running_sandbox: Tool, tmp_path: Path) -> Tool:
    """A tool with a folder of its own and the worker's sandbox, which is empty."""
    state = running_sandbox.environment["ALB_RECONCILE_SANDBOX_DIR"]
    empty(Path(state))
    return Tool(tmp_path, "--sandbox", ALB_RECONCILE_SANDBOX_DIR=state)


@pytest.fixture
def account(sandbox: Tool) -> Account:
    return Account(sandbox.state()["port"])


@pytest.fixture
def proxied(sandbox: Tool, tmp_path: Path) -> Iterator[tuple[Proxy, Tool]]:
    """A proxy in front of the sandbox, and a tool that takes it for the sandbox."""
    with in_front_of(sandbox, tmp_path / "proxied") as found:
        yield found
