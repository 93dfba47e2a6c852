"""The sandbox's process, forked from the command that starts it, which has read moto already (`tests.preloaded`).

To read it anew takes four times as long as all else that starting a sandbox does. `tests/e2e/test_local_aws.py` starts one as a user does.
"""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import IO, TYPE_CHECKING, NoReturn

from alb_reconcile.sandbox import client, server

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def fork_sandboxes() -> None:
    """From here on this process forks the sandboxes that it starts."""
    vars(client)["subprocess"] = SimpleNamespace(Popen=_popen, DEVNULL=None)


class _Process:
    """What `sandbox.client` asks of a process."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def poll(self) -> None:
        """Take what is left of it, if it has ended."""
        os.waitpid(self.pid, os.WNOHANG)


def _popen(
    command: Sequence[str], *, stdin: None, stdout: IO[bytes], stderr: IO[bytes], env: Mapping[str, str], cwd: Path,
    pass_fds: Sequence[int], start_new_session: bool,
) -> _Process:  # fmt: skip
    assert command[:3] == [sys.executable, "-m", server.__name__]
    assert (stdin, stderr, start_new_session) == (None, stdout, True)
    pid = os.fork()
    if not pid:
        _serve(command[3:], stdout.fileno(), env, cwd, pass_fds)
    return _Process(pid)


def _serve(arguments: Sequence[str], log: int, env: Mapping[str, str], cwd: Path, kept: Sequence[int]) -> NoReturn:
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        for number in [int(name) for name in os.listdir("/proc/self/fd")]:  # noqa: PTH208  # numbers, not paths
            if number > 2 and number not in kept:
                with suppress(OSError):  # the listing's own has gone
                    os.close(number)
        os.environ.clear()
        os.environ.update(env)
        os.chdir(cwd)
        sys.argv = ["server", *arguments]
        server.main()
    except BaseException:  # as an interpreter ends: told in the log
        traceback.print_exc()
        raise
    finally:
        os._exit(1)
