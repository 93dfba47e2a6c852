"""One run at a time over a stack on several hosts, as processes: at once, killed, and frozen past its lease's end."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

from alb_reconcile.locking.durations import LEASE, MARGIN
from tests.at_length import only_at_length
from tests.e2e.hosts import BUCKET, LEASED, Host, make_bucket, s3
from tests.e2e.proxy import in_front_of
from tests.processes import read_until, rest_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.proxy import Proxy
    from tests.e2e.tool import Account, Tool

KEY = "prod/123456789012-us-east-1-demo.json"
NAMED = ("--stack", "demo", "--region", "us-east-1", "--lease", f"s3://{BUCKET}/prod/")
PATIENT = ("--yes", "--lock-timeout", "1h")
FIRST = ("CreateInternetGateway", "CreateVpc")
"""What a run sends first, both at once. A run frozen between the lease's check and such a call sends it when it wakes up.
AWS refuses the call by then, since its signature is too old; the sandbox doesn't look at that."""


@only_at_length("tests/golden/test_golden_locks.py::test_leases")
def test_a_second_host_is_held_and_then_runs(
    proxied: tuple[Proxy, Tool], sandbox: Tool, account: Account, tmp_path: Path
) -> None:
    """Apply and destroy while an apply is under way elsewhere; one that may wait looks again when it has the lease."""
    empty = account.census()
    make_bucket(sandbox)
    proxy, between = proxied
    first, patient = Host(tmp_path, "first", between), Host(tmp_path, "patient", sandbox, quick=True)
    gate = proxy.hold("CreateVpc")
    with (
        in_front_of(sandbox, tmp_path / "other") as (others, of_others),
        first.forked("apply", "--yes", LEASED) as process,
    ):
        second = Host(tmp_path, "second", of_others)
        gate.wait()
        with patient.forked("destroy", *PATIENT, LEASED) as waiting:
            ended = second.run("apply", "--yes", LEASED, expect=5)
            assert "demo (account 123456789012, us-east-1) is held by alb-reconcile apply (user " in ended.stderr
            assert f"process {process.pid}) since 20" in ended.stderr
            assert f"by the lease s3://{BUCKET}/{KEY}, last renewed " in ended.stderr
            second.run("destroy", "--yes", *NAMED, expect=5)
            read_until(waiting, "waiting for alb-reconcile apply (user ")
            (shown,) = json.loads(second.run("lock", "show", "--format", "json", LEASED).stdout)["locks"]
            assert (shown["lease"]["state"], shown["lease"]["pid"]) == ("held", process.pid)
            assert shown["host_lock"]["state"] == "free"
            gate.open()
            assert "Converged." in rest_of(process)
            assert "instance.web-2 deleted" in rest_of(waiting)
    assert (process.returncode, waiting.returncode) == (0, 0)
    assert not others.changes
    assert account.census() == empty
    stored = json.loads(s3(sandbox).get_object(Bucket=BUCKET, Key=KEY)["Body"].read())
    assert (stored["command"], bool(stored["released"])) == ("destroy", True)


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


def test_ctrl_c_gives_the_lease_back(proxied: tuple[Proxy, Tool], sandbox: Tool, tmp_path: Path) -> None:
    make_bucket(sandbox)
    proxy, between = proxied
    host = Host(tmp_path, "first", between)
    gate = proxy.hold("CreateVpc")
    with host.forked("apply", "--yes", LEASED) as process:
        gate.wait()
        process.send_signal(signal.SIGINT)
        read_until(process, "again to stop at once")
        gate.open()
        rest_of(process)
    assert process.returncode == 130
    (shown,) = json.loads(host.run("lock", "show", "--format", "json", LEASED).stdout)["locks"]
    assert (shown["lease"]["state"], shown["lease"]["pid"]) == ("free", process.pid)


@only_at_length("tests/e2e/test_leases.py::test_a_frozen_holder_that_wakes_up_changes_nothing_more")
def test_a_broken_lease_stops_its_run(proxied: tuple[Proxy, Tool], sandbox: Tool, tmp_path: Path) -> None:
    """Found at the next renewal: S3 refuses that, and the run reads what is there instead."""
    make_bucket(sandbox)
    proxy, between = proxied
    first, second = Host(tmp_path, "first", between, quick=True), Host(tmp_path, "second", sandbox)
    gate = proxy.hold("CreateVpc")
    with first.forked("apply", "--yes", LEASED) as process:
        gate.wait()
        assert "there is no terminal to ask for confirmation" in second.run("lock", "break", LEASED, expect=4).stderr
        read = proxy.hold("GetObject")
        assert "The lease is broken, and free at 20" in second.run("lock", "break", "--yes", *NAMED).stdout
        read.wait()
        read.open()
        gate.open()
        told = rest_of(process)
    assert process.returncode == 1
    assert "was broken by " in told
    assert "nothing more is changed" in told


def test_a_bucket_that_isnt_there_is_told(sandbox: Tool, tmp_path: Path) -> None:
    host = Host(tmp_path, "first", sandbox)
    told = host.run("apply", "--yes", LEASED, expect=1).stderr
    assert told.count("\n") == 1, told
    assert f"the lease's bucket {BUCKET} doesn't exist" in told
    assert len(host.plan(LEASED)["steps"]) == 16
