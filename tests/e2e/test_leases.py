"""One run at a time over a stack on several hosts, as processes: at once, killed, and frozen past its lease's end."""

from __future__ import annotations

import json
import signal
import time
from typing import TYPE_CHECKING

from tests.e2e.hosts import BUCKET, LEASED, MARGIN, SECONDS, SIGNED, Host, make_bucket, s3
from tests.e2e.proxy import in_front_of
from tests.e2e.tool import read_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.tool import Account, Tool

KEY = "prod/123456789012-us-east-1-demo.json"
NAMED = ("--stack", "demo", "--region", "us-east-1", "--lease", f"s3://{BUCKET}/prod/")


def test_a_second_host_is_held_and_then_runs(sandbox: Tool, account: Account, tmp_path: Path) -> None:
    """Apply and destroy while an apply is under way elsewhere; one that may wait looks again when it has the lease."""
    empty = account.census()
    make_bucket(sandbox)
    first, patient = Host(tmp_path, "first", sandbox), Host(tmp_path, "patient", sandbox, quick=True)
    with (
        in_front_of(sandbox, tmp_path / "proxied") as (proxy, proxied),
        first.started("apply", "--yes", LEASED) as process,
    ):
        second = Host(tmp_path, "second", proxied)
        read_until(process, "vpc.main created")
        process.send_signal(signal.SIGSTOP)  # so that it has its lease for as long as this takes
        with patient.started("destroy", "--yes", "--lock-timeout", "90s", LEASED) as waiting:
            ended = second.run("apply", "--yes", LEASED, expect=5)
            assert (
                "demo (account 123456789012, us-east-1) is held by alb-reconcile apply (user " in ended.stderr
            )
            assert f"process {process.pid}) since 20" in ended.stderr
            assert f"by the lease s3://{BUCKET}/{KEY}, which holds until 20" in ended.stderr
            second.run("destroy", "--yes", *NAMED, expect=5)
            read_until(waiting, "waiting for alb-reconcile apply (user ")
            (shown,) = json.loads(second.run("lock", "show", "--format", "json", LEASED).stdout)
            assert (shown["lease"]["state"], shown["lease"]["pid"]) == ("held", process.pid)
            assert shown["host_lock"]["state"] == "free"
            process.send_signal(signal.SIGCONT)
            assert "Converged." in process.communicate(timeout=60)[0]
            assert "instance.web-2 deleted" in waiting.communicate(timeout=60)[0]
    assert (process.returncode, waiting.returncode) == (0, 0)
    assert not proxy.changes
    assert account.census() == empty
    stored = json.loads(s3(sandbox).get_object(Bucket=BUCKET, Key=KEY)["Body"].read())
    assert (stored["command"], bool(stored["released"])) == ("destroy", True)


def test_a_frozen_holder_that_wakes_up_changes_nothing_more(
    sandbox: Tool, account: Account, tmp_path: Path
) -> None:
    """It sleeps past its lease's end, while another host takes over and finishes.

    All that it may still send is what it was sending when it was frozen: one call for each of its threads, whose
    signatures have run out.
    """
    make_bucket(sandbox)
    second = Host(tmp_path, "second", sandbox, quick=True)
    with in_front_of(sandbox, tmp_path / "proxied") as (proxy, proxied):
        proxy.signed = SIGNED  # frozen in the midst of sending, it will send that when it wakes up
        first = Host(tmp_path, "first", proxied, quick=True)
        with first.started("apply", "--yes", LEASED) as process:
            read_until(process, "vpc.main created")
            process.send_signal(signal.SIGSTOP)
            frozen = time.monotonic()
            second.run("apply", "--yes", LEASED, expect=5)
            assert "Converged." in second.run("apply", "--yes", "--lock-timeout", "90s", LEASED).stdout
            assert time.monotonic() - frozen > SECONDS
            made, before = account.census(), list(proxy.changes)
            process.send_signal(signal.SIGCONT)
            told = process.communicate(timeout=30)[0]
    assert process.returncode == 1, told
    assert proxy.changes == before
    assert len(proxy.refused) <= 8, "what follows the VPC at once, and none of it twice"
    assert "took it over, and has let go of it since" in told
    assert account.census() == made
    assert not second.plan(LEASED)["steps"]


def test_a_killed_holder_keeps_others_waiting_until_its_lease_ends(
    sandbox: Tool, account: Account, tmp_path: Path
) -> None:
    empty = account.census()
    make_bucket(sandbox)
    first, second = (Host(tmp_path, name, sandbox, quick=True) for name in ("first", "second"))
    with first.started("apply", "--yes", LEASED) as process:
        read_until(process, "vpc.main created")
        process.kill()
        process.wait(timeout=30)
    killed = time.monotonic()
    assert "which holds until" in second.run("apply", "--yes", LEASED, expect=5).stderr
    second.run("destroy", "--yes", "--lock-timeout", "60s", LEASED)
    assert time.monotonic() - killed > SECONDS + MARGIN - 1.5, "less a renewal and S3's whole seconds"
    assert account.census() == empty


def test_ctrl_c_gives_the_lease_back(sandbox: Tool, tmp_path: Path) -> None:
    make_bucket(sandbox)
    host = Host(tmp_path, "first", sandbox)
    with host.started("apply", "--yes", LEASED) as process:
        read_until(process, "vpc.main created")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 130
    (shown,) = json.loads(host.run("lock", "show", "--format", "json", LEASED).stdout)
    assert (shown["lease"]["state"], shown["lease"]["pid"]) == ("free", process.pid)


def test_a_broken_lease_stops_its_run(sandbox: Tool, tmp_path: Path) -> None:
    """Found at the next renewal."""
    make_bucket(sandbox)
    first, second = (Host(tmp_path, name, sandbox, quick=True) for name in ("first", "second"))
    with first.started("apply", "--yes", LEASED) as process:
        read_until(process, "vpc.main created")
        assert "there is no terminal to ask at" in second.run("lock", "break", LEASED, expect=4).stderr
        assert "The lease is broken, and free at 20" in second.run("lock", "break", "--yes", *NAMED).stdout
        told = process.communicate(timeout=30)[0]
    assert process.returncode == 1
    assert "was broken by " in told
    assert "nothing more is changed" in told


def test_a_bucket_that_isnt_there_is_told(sandbox: Tool, tmp_path: Path) -> None:
    host = Host(tmp_path, "first", sandbox)
    told = host.run("apply", "--yes", LEASED, expect=1).stderr
    assert told.count("\n") == 1, told
    assert f"the lease's bucket {BUCKET} doesn't exist" in told
    assert len(host.plan(LEASED)["steps"]) == 16
