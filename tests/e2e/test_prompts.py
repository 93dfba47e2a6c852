"""The question at a terminal when whoever was asked is gone: the lease is given back, and a record is left."""

from __future__ import annotations

import json
import os
import pty
import signal
from typing import TYPE_CHECKING

import pytest

from tests.e2e.hosts import LEASED, Host, make_bucket
from tests.processes import GUARD

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.tool import Account, Tool


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
