"""AWS that accepts and never answers: one clear line, and an end."""

from __future__ import annotations

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


@pytest.mark.slow
@pytest.mark.parametrize("command", [("plan", DEMO), ("stacks", "--region", "us-east-1")])
def test_a_black_hole(tmp_path: Path, command: tuple[str, ...]) -> None:
    """The patience is shortened."""
    tool = Tool(tmp_path, AWS_ACCESS_KEY_ID="testing", AWS_SECRET_ACCESS_KEY="testing")
    program = (
        "import alb_reconcile.aws.connection as connection; connection.SILENCE = 1.5; "
        "from alb_reconcile.cli.main import run; run()"
    )
    with socket.create_server(("127.0.0.1", 0)) as hole:
        url = f"http://127.0.0.1:{hole.getsockname()[1]}"
        ended = subprocess.run(
            [sys.executable, "-c", program, *command, "--endpoint-url", url], cwd=tool.folder, env=tool.environment,
            capture_output=True, encoding="utf-8", timeout=GUARD, check=False,
        )  # fmt: skip
    assert ended.returncode == 1
    assert "AWS didn't answer within" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert SILENCE < 28
