"""AWS that doesn't answer, or not to us: one clear line, and an end."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.aws.connection import SILENCE
from tests.e2e.tool import DEMO, Tool
from tests.processes import GUARD

if TYPE_CHECKING:
    from pathlib import Path

COMMANDS = (("plan", DEMO), ("stacks", "--region", "us-east-1"))


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    return Tool(tmp_path, AWS_ACCESS_KEY_ID="testing", AWS_SECRET_ACCESS_KEY="testing")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_black_hole(tool: Tool, command: tuple[str, ...]) -> None:
    """It accepts and never answers. The patience is shortened, but for SOAK=1."""
    soak = bool(os.environ.get("SOAK"))
    program = (
        f"import alb_reconcile.aws.connection as connection; connection.SILENCE = {SILENCE if soak else 1.5}; "
        "from alb_reconcile.cli.main import run; run()"
    )
    with socket.create_server(("127.0.0.1", 0)) as hole:
        url = f"http://127.0.0.1:{hole.getsockname()[1]}"
        ended = subprocess.run(
            [sys.executable, "-c", program, *command, "--endpoint-url", url],
            cwd=tool.folder,
            env=tool.environment,
            capture_output=True,
            encoding="utf-8",
            timeout=GUARD,
            check=False,
        )
    assert ended.returncode == 1
    # S3 is asked three times, for five seconds each, which is less
    words = "ListBuckets: ReadTimeoutError" if soak and command[0] == "stacks" else "AWS didn't answer within"
    assert words in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert SILENCE < 28


@pytest.mark.parametrize("command", COMMANDS)
def test_nobody_listens(tool: Tool, command: tuple[str, ...]) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        told = tool.run(*command, "--endpoint-url", url, expect=1).stderr
    assert told.count("\n") == 1, told
    assert "Could not connect to the endpoint URL" in told


def test_an_unknown_profile(tool: Tool) -> None:
    for told in (
        tool.run("plan", DEMO, "--profile", "nobody", expect=1).stderr,
        tool.run("plan", DEMO, expect=1, AWS_PROFILE="nobody").stderr,
        tool.run("stacks", "--profile", "nobody", expect=1).stderr,
    ):
        assert (told.count("\n"), "nobody" in told) == (1, True), told


def test_no_credentials(tmp_path: Path) -> None:
    told = Tool(tmp_path).run("plan", DEMO, expect=1).stderr
    assert (told.count("\n"), "no usable AWS credentials" in told) == (1, True), told
