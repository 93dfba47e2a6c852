"""Ctrl-C: once ends tidily, twice at once; and the demo cleans up behind itself."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.at_length import only_at_length
from tests.e2e.proxy import in_front_of
from tests.e2e.tool import DEMO, Tool
from tests.processes import default_signals, read_until, rest_of, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.proxy import Proxy


@pytest.fixture
def slow(sandbox: Tool, tmp_path: Path) -> Iterator[tuple[Proxy, Tool]]:
    """A tool that waits in AWS's own time."""
    with in_front_of(sandbox, tmp_path / "slow", speed=1.0) as found:
        yield found


def test_once_drops_the_waits_and_says_where_it_stands(slow: tuple[Proxy, Tool], sandbox: Tool) -> None:
    """Instances stay pending, so that it would wait for minutes."""
    proxy, tool = slow
    proxy.pretended["DescribeInstances"] = (b"<name>running</name>", b"<name>pending</name>")
    with tool.started("apply", "--yes", DEMO) as process:
        read_until(process, "to be running (now pending)")
        process.send_signal(signal.SIGINT)
        told = rest_of(process)
    assert process.returncode == 130
    assert "stopping: nothing new starts" in told
    assert "· instance.web-1 interrupted" in told
    assert "Nothing is rolled back; run the same command again" in told
    for text in (told, tool.run("history", DEMO).stdout):
        (begun,) = re.findall("begun and not finished, so look at them with status: (.*)", text)
        assert "instance.web-1" in begun
    sandbox.run("plan", "--detailed-exitcode", DEMO, expect=2)


@only_at_length("tests/e2e/test_ctrl_c.py::test_once_drops_the_waits_and_says_where_it_stands")
def test_the_last_wait_can_be_dropped_too(proxied: tuple[Proxy, Tool], sandbox: Tool) -> None:
    """For a load balancer that stays as it is."""
    proxy, tool = proxied
    proxy.pretended["DescribeLoadBalancers"] = (b"<Code>active</Code>", b"<Code>provisioning</Code>")
    spec = (tool.folder / DEMO).read_text(encoding="utf-8")
    (tool.folder / "changed.yaml").write_text(
        spec.replace("interval_seconds: 10", "interval_seconds: 11"), encoding="utf-8"
    )
    with tool.started("apply", "--yes", "--timeout", "24h", "changed.yaml") as process:
        read_until(process, "load balancer to be active")
        process.send_signal(signal.SIGTERM)
        told = rest_of(process)
    assert process.returncode == 130
    assert "Converged." not in told
    assert "All steps are done, and nothing is rolled back; status says what isn't ready yet." in told
    assert sandbox.run("plan", "--detailed-exitcode", str(tool.folder / "changed.yaml")).returncode == 0


def test_twice_ends_at_once(proxied: tuple[Proxy, Tool]) -> None:
    """Though the call under way would never be answered."""
    proxy, tool = proxied
    gate = proxy.hold("CreateVpc")
    with tool.started("apply", "--yes", DEMO) as process:
        gate.wait()
        process.send_signal(signal.SIGINT)
        read_until(process, "again to stop at once")
        assert process.poll() is None, "a call under way is waited for"
        process.send_signal(signal.SIGINT)
        told = rest_of(process)
    assert process.returncode == 130
    assert "stopped at once; calls in progress may still take effect" in told


@only_at_length("tests/e2e/test_ctrl_c.py::test_once_drops_the_waits_and_says_where_it_stands")
def test_the_demo_stops_its_sandbox(repository: Path, tmp_path: Path) -> None:
    """The pipe is so small that the demo can't get to its end before it is read."""
    with default_signals():
        demo = subprocess.Popen(
            [sys.executable, "-u", "-m", "tests.demo"],
            cwd=repository,
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "TMPDIR": str(tmp_path), "PYTHONUTF8": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            start_new_session=True,
            pipesize=4096,
        )
    with demo:
        seen = read_until(demo, "sandbox started at http://127.0.0.1:")
        demo.send_signal(signal.SIGINT)
        told = rest_of(demo)
    assert (demo.returncode, "The demo was interrupted" in told) == (130, True)
    port = int(seen.rpartition("127.0.0.1:")[2].partition(":")[0])
    with socket.socket() as probe:
        until(lambda: probe.connect_ex(("127.0.0.1", port)) != 0)
    assert not list(tmp_path.glob("alb-reconcile-demo-*"))
