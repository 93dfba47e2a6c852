"""One run at a time over a stack on this host, as processes."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.e2e.tool import DEMO
from tests.processes import read_until, rest_of

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from tests.e2e.proxy import Gate, Proxy
    from tests.e2e.tool import Account, Tool
    from tests.forked import Forked

HELD = "is held by alb-reconcile apply (user "
PATIENT = ("--yes", "--lock-timeout", "1h")


@pytest.fixture
def empty(account: Account) -> dict[str, int]:
    """What there is before anything is made."""
    return account.census()


@pytest.fixture
def under_way(
    proxied: tuple[Proxy, Tool], empty: dict[str, int]
) -> Iterator[tuple[Forked | subprocess.Popen[str], Gate]]:
    """An apply that has made its VPC and doesn't know yet, until the gate is opened."""
    proxy, tool = proxied
    assert empty["instances"] == 0
    gate = proxy.hold("CreateVpc")
    with tool.forked("apply", "--yes", DEMO) as process:
        gate.wait()
        yield process, gate


def test_a_second_run_is_held_and_changes_nothing(
    proxied: tuple[Proxy, Tool], under_way: tuple[Forked | subprocess.Popen[str], Gate]
) -> None:
    """Apply and destroy, while an apply is under way; plan and status only read."""
    (proxy, tool), (process, gate) = proxied, under_way
    for command in (("apply", "--yes", DEMO), ("destroy", "--yes", DEMO)):
        ended = tool.run(*command, expect=5)
        assert f"demo (account 123456789012, us-east-1) {HELD}" in ended.stderr
        assert f"process {process.pid}) since 20" in ended.stderr
        assert ended.stderr.rstrip().endswith("or wait with --lock-timeout")
    tool.run("plan", DEMO)
    tool.run("status", DEMO)
    assert sorted(proxy.changes) == ["CreateInternetGateway", "CreateVpc"], "which are the first one's"
    gate.open()
    assert "Converged." in rest_of(process)
    assert process.returncode == 0
    assert proxy.changes.count("CreateVpc") == 1


def test_two_at_once_make_one_stack(proxied: tuple[Proxy, Tool], account: Account) -> None:
    """Both have looked before any of them has the lock; the second finds what the first has made."""
    proxy, tool = proxied
    gate = proxy.hold("DescribeVpcs", 2)
    with (
        tool.forked("apply", *PATIENT, DEMO) as first,
        tool.forked("apply", *PATIENT, DEMO) as second,
    ):
        gate.wait()
        gate.open()
        told = [rest_of(first), rest_of(second)]
    assert (first.returncode, second.returncode) == (0, 0), told
    assert ["No changes" in each for each in sorted(told, key=len)] == [True, False]
    assert proxy.changes.count("CreateVpc") == 1
    assert account.census()["instances"] == 2
    assert account.census()["load balancers"] == 1


def test_waiting_can_be_interrupted(
    proxied: tuple[Proxy, Tool], under_way: tuple[Forked | subprocess.Popen[str], Gate]
) -> None:
    """Ctrl-C while another run is waited for."""
    (_, tool), (first, gate) = proxied, under_way
    with tool.forked("apply", *PATIENT, DEMO) as second:
        read_until(second, "waiting for alb-reconcile apply")
        second.send_signal(signal.SIGINT)
        rest_of(second)
    assert second.returncode == 130
    gate.open()
    rest_of(first)
    assert first.returncode == 0
