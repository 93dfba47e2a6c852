"""Ctrl-C: once ends tidily, twice at once; and the demo cleans up behind itself."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.e2e.proxy import in_front_of
from tests.e2e.tool import DEMO, Tool, read_until, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Tool]:
    """A tool whose sandbox takes its time."""
    tool = Tool(tmp_path, "--sandbox")
    tool.run("sandbox", "start", "--speed", "4")
    yield tool
    tool.run("sandbox", "stop")


def test_once_drops_the_waits_and_says_where_it_stands(slow: Tool) -> None:
    with slow.started("apply", "--yes", DEMO) as process:
        read_until(process, "to be running (now pending)")
        process.send_signal(signal.SIGINT)
        started = time.monotonic()
        told = process.communicate(timeout=30)[0]
    assert time.monotonic() - started < 5
    assert process.returncode == 130
    assert "stopping: nothing new is started" in told
    assert "· instance.web-1 interrupted" in told
    assert "What is done stays done; run the same command again" in told
    slow.run("plan", "--detailed-exitcode", DEMO, expect=2)


def test_the_last_wait_can_be_dropped_too(slow: Tool) -> None:
    with slow.started("apply", "--yes", DEMO) as process:
        read_until(process, "load balancer to be active")
        process.send_signal(signal.SIGTERM)
        told = process.communicate(timeout=30)[0]
    assert process.returncode == 130
    assert "Converged." not in told
    assert slow.plan()["steps"] == []


def test_twice_ends_at_once(sandbox: Tool, tmp_path: Path) -> None:
    with in_front_of(sandbox, tmp_path / "proxied") as (proxy, tool):
        proxy.held = "CreateVpc"
        with tool.started("apply", "--yes", DEMO) as process:
            assert proxy.holding.wait(30)
            process.send_signal(signal.SIGINT)
            read_until(process, "again to stop at once")
            assert process.poll() is None, "a call under way is waited for"
            process.send_signal(signal.SIGINT)
            started = time.monotonic()
            told = process.communicate(timeout=30)[0]
    assert time.monotonic() - started < 3
    assert process.returncode == 130
    assert "stopped at once; calls under way may still take effect" in told


def test_the_demo_stops_its_sandbox(repository: Path, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.demo"],
        cwd=repository,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "TMPDIR": str(tmp_path), "PYTHONUTF8": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        start_new_session=True,
    ) as demo:
        seen = read_until(demo, "sandbox started at http://127.0.0.1:")
        demo.send_signal(signal.SIGINT)
        told = demo.communicate(timeout=60)[0]
    assert (demo.returncode, "The demo was interrupted" in told) == (130, True)
    port = int(seen.rpartition("127.0.0.1:")[2].partition(";")[0])
    with socket.socket() as probe:
        until(lambda: probe.connect_ex(("127.0.0.1", port)) != 0)
    assert not list(tmp_path.glob("alb-reconcile-demo-*"))
