"""A machine or a caller that leaves a run without memory, threads or open streams: one clear line, and a code that means a failure."""

from __future__ import annotations

import errno
import subprocess
import sys
from typing import TYPE_CHECKING, NoReturn

import pytest

from alb_reconcile.cli import main
from tests.e2e.tool import COMMAND, DEMO
from tests.processes import GUARD

if TYPE_CHECKING:
    from tests.e2e.tool import Ended, Tool

HELP = "end other programs, or let this one have more memory and threads"
ADVICE = "(ulimit -v, ulimit -u); what was done stays. Then run the command again\n"
STARVED = """\
import sys, threading
begin, left = threading.Thread.start, int(sys.argv.pop(1))
def start(thread):
    global left
    if not left:
        raise RuntimeError("can't start new thread")
    left -= 1
    begin(thread)
threading.Thread.start = start
from alb_reconcile.cli.main import run
run()
"""


def shell(tool: Tool, script: str, *words: str) -> Ended:
    """A script that gets the words as "$@"."""
    command = ["bash", "-c", script, "bash", *words]
    return subprocess.run(
        command,
        cwd=tool.folder,
        env=tool.environment,
        capture_output=True,
        encoding="utf-8",
        timeout=GUARD,
        check=False,
    )


@pytest.mark.parametrize(
    ("closed", "code", "said"),
    [
        (">&-", 1, "standard output can't be written: Bad file descriptor\n"),
        ("2>&-", 0, ""),
        (">&- 2>&-", 1, ""),
        ("<&-", 0, ""),
        ("<&- >&- 2>&-", 1, ""),
    ],
)
def test_streams_that_the_caller_has_closed(sandbox: Tool, closed: str, code: int, said: str) -> None:
    """What is read from one is at its end; what is written to one is lost, which is no success."""
    done = shell(sandbox, f'"$@" {closed}', COMMAND, "plan", "--sandbox", DEMO)
    assert (done.returncode, done.stderr) == (code, said)
    assert ("16 to create" in done.stdout) == (">&-" not in closed.split())


def test_nobody_can_be_asked_without_standard_input(sandbox: Tool) -> None:
    done = shell(sandbox, '"$@" <&-', COMMAND, "apply", "--sandbox", DEMO)
    assert done.returncode == 4
    assert (
        done.stderr == "there is no terminal to ask for confirmation, and nothing was changed; add --yes to go ahead\n"
    )


def test_what_is_opened_later_isnt_written_to_as_a_stream(sandbox: Tool) -> None:
    """A file would get the number of a closed stream, and the lines that are meant for that."""
    done = shell(sandbox, '"$@" >&- 2>&-', COMMAND, "plan", "--sandbox", "--out", "saved", DEMO)
    assert done.returncode == 1
    assert (sandbox.folder / "saved").read_bytes().startswith(b"{")
    assert sandbox.run("apply", "--sandbox", "--yes", "--plan", "saved", DEMO).returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="ulimit -v is Linux's")
def test_no_room_for_threads(sandbox: Tool) -> None:
    """Each takes 256 MB of address space here: there is room for two, and for all else."""
    done = shell(sandbox, 'ulimit -s 262144 && ulimit -v 819200 && "$@"', COMMAND, "plan", "--sandbox", DEMO)
    assert (done.returncode, done.stderr) == (1, f"can't start new thread: {HELP} {ADVICE}")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "out of memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "cannot allocate memory"),
        (ImportError("x.so: failed to map segment from shared object"), "failed to map segment"),
        (SystemError("error return without exception set"), "error return without exception set"),
    ],
    ids=str,
)
def test_too_little_memory(
    error: Exception, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What Python makes of it hangs on where it ends, and can't be had twice the same way."""

    def fail(_: object) -> NoReturn:
        raise error

    monkeypatch.setattr(main, "_call", fail)
    assert main.main(["plan"]) == 1
    told = capsys.readouterr().err
    assert said in told
    assert (told.count("\n"), told.endswith(f"{HELP} {ADVICE}")) == (1, True)


def test_too_few_descriptors(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(error: Exception) -> None:
        def call(_: object) -> NoReturn:
            raise error

        monkeypatch.setattr(main, "_call", call)

    fail(OSError(errno.EMFILE, "Too many open files"))
    assert main.main(["plan"]) == 1
    assert capsys.readouterr().err.startswith("too many open files: let this program have more open files: ulimit -n")
    fail(RuntimeError("a mistake of ours"))
    with pytest.raises(RuntimeError, match="a mistake of ours"):
        main.main(["plan"])


def starved(tool: Tool, threads: int, *words: str) -> Ended:
    """A command that may start so many threads, and fails for it."""
    done = shell(tool, '"$@"', sys.executable, "-c", STARVED, str(threads), *words)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "bug" not in done.stdout + done.stderr
    assert f"can't start new thread: {HELP}" in done.stderr
    return done


@pytest.mark.parametrize("threads", [0, 1, 5])
def test_too_few_threads_for_a_plan(sandbox: Tool, threads: int) -> None:
    told = starved(sandbox, threads, "plan", "--sandbox", DEMO).stderr
    assert (told.count("\n"), told.endswith(ADVICE)) == (1, True), told


def test_threads_end_in_a_run(sandbox: Tool) -> None:
    """Its steps say so, and the next run does what is left."""
    done = starved(sandbox, 60, "apply", "--sandbox", "--yes", DEMO)
    assert "✓ vpc.main created" in done.stdout
    sandbox.run("apply", "--yes", DEMO)
    assert sandbox.plan()["steps"] == []
