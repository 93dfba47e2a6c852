"""A machine or a caller that leaves a run without memory, room on its disk or open streams: one clear line, and a code that means a failure."""

from __future__ import annotations

import errno
import json
import subprocess
from typing import TYPE_CHECKING, NoReturn

import pytest

from alb_reconcile.cli import main
from tests.e2e.tool import COMMAND, DEMO
from tests.processes import GUARD

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.tool import Tool

HELP = "end other programs, or let this one have more memory and threads"
ADVICE = "(ulimit -v, ulimit -u); what was done stays. Then run the command again\n"


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
    done = subprocess.run(
        ["bash", "-c", f'"$@" {closed}', "bash", COMMAND, "plan", "--sandbox", DEMO], cwd=sandbox.folder,
        env=sandbox.environment, capture_output=True, encoding="utf-8", timeout=GUARD, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (code, said)
    assert ("16 to create" in done.stdout) == (">&-" not in closed.split())


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
