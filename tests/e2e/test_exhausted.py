"""A machine or a caller that leaves a run without memory, threads, room on its disk or open streams: one clear line, and a code that means a failure."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from typing import TYPE_CHECKING, NoReturn

import pytest

from alb_reconcile.cli import main
from tests.e2e.tool import COMMAND, DEMO
from tests.processes import GUARD

if TYPE_CHECKING:
    from pathlib import Path

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
    return subprocess.run(
        ["bash", "-c", script, "bash", *words], cwd=tool.folder, env=tool.environment, capture_output=True,
        encoding="utf-8", timeout=GUARD, check=False,
    )  # fmt: skip


@pytest.mark.slow
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


@pytest.mark.slow
def test_what_is_opened_later_isnt_written_to_as_a_stream(sandbox: Tool) -> None:
    """A file would get the number of a closed stream, and the lines that are meant for that."""
    done = shell(sandbox, '"$@" >&- 2>&-', COMMAND, "plan", "--sandbox", "--out", "saved", DEMO)
    assert done.returncode == 1
    assert (sandbox.folder / "saved").read_bytes().startswith(b"{")
    assert sandbox.run("apply", "--sandbox", "--yes", "--plan", "saved", DEMO).returncode == 0


@pytest.mark.slow
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
        (OSError(errno.EMFILE, "Too many open files"), "too many open files: let this program have more open files: ulimit -n"),
        (RuntimeError("a mistake of ours"), ""),
    ],
    ids=str,
)  # fmt: skip
def test_too_little_memory(
    error: Exception, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What Python makes of it hangs on where it ends, and can't be had twice the same way."""

    def fail(_: object) -> NoReturn:
        raise error

    monkeypatch.setattr(main, "_call", fail)
    if not said:
        with pytest.raises(RuntimeError, match="a mistake of ours"):
            main.main(["plan"])
        return
    assert main.main(["plan"]) == 1
    told = capsys.readouterr().err
    assert said in told
    assert (told.count("\n"), f"{HELP} {ADVICE}" in told) == (1, "ulimit -n" not in said)


def starved(tool: Tool, threads: int, *words: str) -> Ended:
    """A command that may start so many threads, and fails for it."""
    done = shell(tool, '"$@"', sys.executable, "-c", STARVED, str(threads), *words)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "bug" not in done.stdout + done.stderr
    assert f"can't start new thread: {HELP}" in done.stderr
    return done


@pytest.mark.slow
@pytest.mark.parametrize("threads", [0, 1, 5])
def test_too_few_threads_for_a_plan(sandbox: Tool, threads: int) -> None:
    told = starved(sandbox, threads, "plan", "--sandbox", DEMO).stderr
    assert (told.count("\n"), told.endswith(ADVICE)) == (1, True), told


@pytest.mark.slow
def test_threads_end_in_a_run(sandbox: Tool) -> None:
    """Its steps say so, and the next run does what is left."""
    done = starved(sandbox, 60, "apply", "--sandbox", "--yes", DEMO)
    assert "✓ vpc.main created" in done.stdout
    sandbox.run("apply", "--yes", DEMO)
    assert sandbox.plan()["steps"] == []


@pytest.mark.slow
def test_a_full_disk(sandbox: Tool, tmp_path: Path) -> None:
    """No file of the run's may grow: the history of before is still there."""
    (tmp_path / "shop.yaml").write_text("stack: shop\nregion: us-east-1\nvpcs: {main: {cidr_block: 10.0.0.0/16}}\n")
    kept = ("--state-dir", "state", "--metrics-file", "x.prom")
    sandbox.run("apply", "--yes", "shop.yaml", *kept)
    before = {file: file.read_bytes() for file in (tmp_path / "x.prom", *tmp_path.glob("state/history/*"))}
    command = ["bash", "-c", 'ulimit -f 0; exec "$@"', "-", *sandbox.arguments("apply", "--yes", "shop.yaml", *kept)]
    ended = subprocess.run(
        command, cwd=tmp_path, env=sandbox.environment, capture_output=True, encoding="utf-8", timeout=GUARD,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert "Converged." in ended.stdout
    assert [line.partition(": ")[0] for line in ended.stderr.splitlines()] == [
        "this run isn't in the history", "this run isn't in the metrics",
    ]  # fmt: skip
    assert ended.stderr.count("can't be written: file too large; its old content is still there; free up space") == 2
    assert {file: file.read_bytes() for file in before} == before
    sandbox.run("destroy", "--yes", "shop.yaml", *kept)
    assert (tmp_path / "x.prom").read_text() == ""
    runs = json.loads(sandbox.run("history", "--format", "json", "shop.yaml", *kept[:2]).stdout)["runs"]
    assert [run["command"] for run in runs] == ["destroy", "apply"]
