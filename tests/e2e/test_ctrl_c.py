"""Ctrl-C: once ends tidily, twice at once; and the demo cleans up behind itself."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

import pytest

from tests.e2e.proxy import in_front_of
from tests.e2e.tool import DEMO, Tool
from tests.processes import read_until, rest_of

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
