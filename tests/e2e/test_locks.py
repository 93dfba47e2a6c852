"""One run at a time over a stack on this host, as processes."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from tests.e2e.tool import DEMO, read_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.tool import Account, Tool

HELD = "is held by alb-reconcile apply (user "


def test_a_second_run_is_held_and_changes_nothing(sandbox: Tool) -> None:
    """Apply and destroy, while an apply is under way; plan and status only read."""
    with sandbox.started("apply", "--yes", DEMO) as process:
        read_until(process, "vpc.main created")
        for command in (("apply", "--yes", DEMO), ("destroy", "--yes", DEMO)):
            ended = sandbox.run(*command, expect=5)
            assert f"demo (account 123456789012, us-east-1) {HELD}" in ended.stderr
            assert f"process {process.pid}) since 20" in ended.stderr
            assert ended.stderr.rstrip().endswith("--lock-timeout if you like")
        sandbox.run("plan", DEMO)
        sandbox.run("status", DEMO)
        assert "Converged." in process.communicate(timeout=60)[0]
    assert process.returncode == 0


def test_it_waits_if_it_may_and_then_looks_again(sandbox: Tool, account: Account) -> None:
    """Destroy after apply, planned when apply has ended: nothing is left."""
    empty = account.census()
    with sandbox.started("apply", "--yes", DEMO) as process:
        read_until(process, "vpc.main created")
        ended = sandbox.run("destroy", "--yes", "--lock-timeout", "60s", DEMO)
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert "waiting for alb-reconcile apply" in ended.stderr
    assert "instance.web-2 deleted" in ended.stdout
    assert account.census() == empty


def test_two_at_once_make_one_stack(sandbox: Tool, account: Account) -> None:
    """The second finds what the first has made."""
    with sandbox.started("apply", "--yes", DEMO) as process:
        sandbox.run("apply", "--yes", "--lock-timeout", "60s", DEMO)
        process.communicate(timeout=60)
    assert process.returncode in (0, 5), "whoever came first"
    assert account.census()["instances"] == 2
    assert account.census()["load balancers"] == 1


def test_a_killed_holder_holds_nothing(sandbox: Tool) -> None:
    """The kernel lets go for it; what is left of its file is no lock."""
    with sandbox.started("apply", "--yes", DEMO) as process:
        read_until(process, "vpc.main created")
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=30)
        sandbox.run("apply", "--yes", DEMO)


def test_waiting_can_be_interrupted(sandbox: Tool) -> None:
    """Ctrl-C while another run is waited for."""
    with sandbox.started("apply", "--yes", DEMO) as first:
        read_until(first, "vpc.main created")
        with sandbox.started("apply", "--yes", "--lock-timeout", "5m", DEMO) as second:
            read_until(second, "waiting for alb-reconcile apply")
            second.send_signal(signal.SIGINT)
            second.communicate(timeout=30)
        assert second.returncode == 130
        first.communicate(timeout=60)
    assert first.returncode == 0


def test_a_folder_that_cant_be_used_is_told(sandbox: Tool, tmp_path: Path) -> None:
    """And nothing is changed."""
    (tmp_path / "file").write_text("")
    ended = sandbox.run(
        "apply", "--yes", DEMO, expect=1, ALB_RECONCILE_LOCK_DIR=str(tmp_path / "file" / "locks")
    )
    assert "can't be kept in" in ended.stderr
    assert "Set ALB_RECONCILE_LOCK_DIR" in ended.stderr
    assert len(sandbox.plan()["steps"]) == 16


def test_other_stacks_arent_held(sandbox: Tool) -> None:
    """Nor is a stack of that name in another region."""
    with sandbox.started("apply", "--yes", DEMO) as process:
        read_until(process, "vpc.main created")
        sandbox.run("apply", "--yes", "--set", "REGION=us-west-2", DEMO)
        process.communicate(timeout=60)
    assert process.returncode == 0
