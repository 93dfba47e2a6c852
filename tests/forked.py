"""The command line in processes that are forked from one that has read Python's modules and AWS's models already.

Most of what a short command takes is that start, and the tests begin very many of them. What begins with the start itself
(signals, terminals, what is imported when) is tested with processes that begin as a user's do.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tests.outputs import check

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from multiprocessing.connection import Connection

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.preloaded"])


def run_forked(
    arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run `alb-reconcile` with these arguments to its end, without a terminal. Raises TimeoutExpired."""
    with TemporaryDirectory() as place:
        files = [Path(place, name) for name in ("stdout", "stderr")]
        process = _CONTEXT.Process(target=_run, args=(tuple(arguments), str(folder), dict(environment), files))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(list(arguments), timeout)
        said = [file.read_text(encoding="utf-8") if file.exists() else "" for file in files]
        check(arguments, said[0])
        return subprocess.CompletedProcess(list(arguments), process.exitcode or 0, *said)


@contextmanager
def begun(
    arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str], said: Path
) -> Iterator[multiprocessing.process.BaseProcess]:
    """`alb-reconcile` with these arguments under way, whose output goes to a file; killed if it hasn't ended by then."""
    process = _CONTEXT.Process(target=_run, args=(tuple(arguments), str(folder), dict(environment), [said, said]))
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


class Forked:
    """`alb-reconcile` with these arguments under way, as subprocess.Popen has it: `stdout` is all that it says."""

    def __init__(self, arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str]) -> None:
        reader, writer = _CONTEXT.Pipe(duplex=False)
        self._process = _CONTEXT.Process(
            target=_run, args=(tuple(arguments), str(folder), dict(environment), [writer, writer])
        )
        self._process.start()
        writer.close()
        assert self._process.pid is not None
        self.pid = self._process.pid
        self.returncode: int | None = None
        self.stdout = os.fdopen(os.dup(reader.fileno()), encoding="utf-8")
        reader.close()
        self._one = threading.Lock()

    def poll(self) -> int | None:
        """Its exit code, if it has ended."""
        with self._one:  # whoever kills it asks, too
            self.returncode = self._process.exitcode
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end. Raises TimeoutExpired."""
        with self._one:
            self._process.join(timeout)
        if self.poll() is None:
            raise subprocess.TimeoutExpired("alb-reconcile", timeout or 0.0)
        assert self.returncode is not None
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, None]:
        """Wait for its end, and take what it said that nobody has read yet. What hangs is killed."""
        guard = threading.Timer(timeout, self.kill) if timeout is not None else None
        if guard:
            guard.start()
        try:
            said = self.stdout.read()
        finally:
            if guard:
                guard.cancel()
        self.wait(timeout)
        return said, None

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it is there."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(9)

    def close(self) -> None:
        """Kill it if it hasn't ended."""
        self.kill()
        self.wait()
        self.stdout.close()


def run_started(
    program: str, arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """The same with another program, which is begun as a user begins it."""
    return subprocess.run(
        [program, *arguments], cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True,
        encoding="utf-8", timeout=timeout, check=False,
    )  # fmt: skip


def _run(
    arguments: Sequence[str], folder: str, environment: Mapping[str, str], outputs: Sequence[Path | Connection]
) -> None:
    """In the new process, with what Python's UTF-8 mode makes of its output."""
    from alb_reconcile.cli.main import run
    from tests.forked_sandbox import fork_sandboxes

    fork_sandboxes()
    for number, output in enumerate(outputs, 1):
        if isinstance(output, Path):
            os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), number)
        else:
            os.dup2(output.fileno(), number)
    for output in outputs:
        if not isinstance(output, Path):
            output.close()  # who reads is to see its end
    sys.stdout = open(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = environment.get("PYTHONPATH", "").split(os.pathsep) if "PYTHONPATH" in environment else ()
    sys.argv = ["alb-reconcile", *arguments]
    run()
