"""One run at a time over a stack on several hosts, as processes: at once, killed, and frozen past its lease's end."""

from __future__ import annotations

import json
import os
import pty
import signal
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.locking.durations import LEASE, MARGIN
from tests.e2e.hosts import LEASED, Host, make_bucket
from tests.e2e.proxy import in_front_of
from tests.processes import GUARD, read_until, rest_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.proxy import Proxy
    from tests.e2e.tool import Account, Tool
PATIENT = ("--yes", "--lock-timeout", "1h")
FIRST = ("CreateInternetGateway", "CreateVpc")
"""What a run sends first, both at once. A run frozen between the lease's check and such a call sends it when it wakes up.
AWS refuses the call by then, since its signature is too old; the sandbox doesn't look at that."""


def test_a_frozen_holder_that_wakes_up_changes_nothing_more(
    proxied: tuple[Proxy, Tool], sandbox: Tool, account: Account, tmp_path: Path
) -> None:
    """It sleeps past its lease's end, while another host takes over, not a second before, and finishes."""
    make_bucket(sandbox)
    proxy, between = proxied
    first = Host(tmp_path, "first", between, quick=True)
    gates = [proxy.hold(operation) for operation in FIRST]
    with (
        in_front_of(sandbox, tmp_path / "other") as (others, of_others),
        first.forked("apply", "--yes", LEASED) as process,
    ):
        second = Host(tmp_path, "second", of_others)
        for gate in gates:
            gate.wait()
        process.send_signal(signal.SIGSTOP)
        others.age = LEASE + MARGIN - 1
        assert "which holds until" in second.run("apply", "--yes", LEASED, expect=5).stderr
        others.age = LEASE + MARGIN
        assert "Converged." in second.run("apply", "--yes", LEASED).stdout
        made = account.census()
        first.skip(LEASE + MARGIN)
        for gate in gates:
            gate.open()
        process.send_signal(signal.SIGCONT)
        told = rest_of(process)
        assert not second.plan(LEASED)["steps"]
    assert process.returncode == 1, told
    assert sorted(proxy.changes) == sorted(FIRST)
    assert "took it over, and has released it since" in told
    assert account.census() == made


def test_a_killed_holder_keeps_others_waiting_until_its_lease_ends(
    proxied: tuple[Proxy, Tool], sandbox: Tool, account: Account, tmp_path: Path
) -> None:
    empty = account.census()
    make_bucket(sandbox)
    proxy, between = proxied
    first = Host(tmp_path, "first", between)
    gate = proxy.hold("CreateVpc")
    with first.forked("apply", "--yes", LEASED) as process:
        gate.wait()
        process.kill()
        rest_of(process)
    with in_front_of(sandbox, tmp_path / "other") as (others, of_others):
        second = Host(tmp_path, "second", of_others, quick=True)
        others.age = LEASE + MARGIN - 1
        assert "which holds until" in second.run("apply", "--yes", LEASED, expect=5).stderr
        with second.forked("destroy", *PATIENT, LEASED) as waiting:
            read_until(waiting, "waiting for alb-reconcile apply (user ")
            for _ in range(2):
                look = others.hold("GetObject")
                look.wait()
                look.open()
            assert not others.changes
            others.age = LEASE + MARGIN
            rest_of(waiting)
    assert waiting.returncode == 0
    assert account.census() == empty


@pytest.mark.parametrize("signals", [["SIGTERM"], ["SIGHUP", "SIGHUP"]], ids="-".join)
def test_who_leaves_at_the_question_leaves_nothing_held(
    sandbox: Tool, account: Account, tmp_path: Path, signals: list[str]
) -> None:
    """A terminal that goes is told by the kernel and by the shell."""
    before = account.census()
    make_bucket(sandbox)
    host = Host(tmp_path, "first", sandbox)
    ours, theirs = pty.openpty()
    own = {"stdin": theirs, "stdout": theirs, "stderr": theirs, "start_new_session": True}
    with host.started("apply", LEASED, **own) as process:
        os.close(theirs)
        seen = b""
        while b"Type yes:" not in seen:
            seen += os.read(ours, 4096)
        assert "held by alb-reconcile apply without --yes (user " in host.run("lock", "show", LEASED).stdout
        for name in signals:
            process.send_signal(getattr(signal, name))
        assert process.wait(GUARD) == 130
    os.close(ours)
    (shown,) = json.loads(host.run("lock", "show", "--format", "json", LEASED).stdout)["locks"]
    assert (shown["lease"]["state"], shown["lease"]["pid"]) == ("free", process.pid)
    (run,) = json.loads(host.run("history", "--format", "json", LEASED).stdout)["runs"]
    assert (run["result"], run["exit_code"], run["error"]) == (
        "interrupted",
        130,
        "interrupted; nothing was changed",
    )
    assert account.census() == before
