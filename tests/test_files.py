"""Files that aren't what they should be: pipes, devices, endless, huge or garbage. One line, at once, in little memory."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import tracemalloc
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.cli.main import main
from alb_reconcile.journal.files import RecordError, save_file
from alb_reconcile.journal.history import history_file, read_history, write_history
from alb_reconcile.locking.host import StackLock
from tests.harness import world
from tests.journal.records import made
from tests.processes import GUARD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.slow

SPEC = "stack: shop\nregion: us-east-1\nvpcs:\n  main: {cidr_block: 10.0.0.0/16}\n"
SPARSE = 8 << 30
LITTLE = 400 << 20
"""Bytes of memory, far less than any of the files has."""


def make_pipe(file: Path) -> None:
    os.mkfifo(file)


def make_device(file: Path) -> None:
    file.symlink_to("/dev/zero")


def make_huge(file: Path) -> None:
    file.touch()
    os.truncate(file, SPARSE)


def make_garbage(file: Path) -> None:
    file.write_bytes(b"\xff\x00[{" * 1000)


ILL = (make_pipe, make_device, make_huge, make_garbage)
each = pytest.mark.parametrize("make", ILL, ids=lambda make: make.__name__)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ALB_RECONCILE_LOCK_DIR", str(tmp_path / "locks"))
    monkeypatch.setenv("ALB_RECONCILE_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "shop.yaml").write_text(SPEC, encoding="utf-8")
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < LITTLE


def told(capsys: pytest.CaptureFixture[str], *words: str, code: int) -> str:
    """The one line that a command says, but for the count with which `validate` ends, and where else `history` looks for runs."""
    assert main(words) == code
    printed = capsys.readouterr()
    text = (printed.out + printed.err).rstrip("\n").removesuffix("\n1 error, 0 warnings; 0 of 1 spec valid")
    text = text.partition("\nEach host records its own runs.")[0]
    assert "\n" not in text
    assert text.isprintable()
    return text


@each
def test_a_spec_and_a_policy(make: Callable[[Path], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path / "ill.yaml")
    for command in ("validate", "plan", "history", "destroy"):
        assert told(capsys, command, "ill.yaml", code=3).startswith("ill.yaml:1:1: ")
    assert told(capsys, "plan", "shop.yaml", "--policy", "ill.yaml", code=3).startswith("ill.yaml:1:1: ")


@each
def test_a_saved_plan(make: Callable[[Path], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path / "plan")
    with world() as aws:
        said = told(capsys, "apply", "shop.yaml", "--yes", "--plan", "plan", code=64)
        assert said.startswith("plan can't be read as a saved plan: ")
        assert said.endswith("; name what plan --out has written")
        assert ("it is larger than 16,777,216 bytes" in said) == (make is make_huge)
        assert not aws.client("ec2").describe_vpcs(Filters=[{"Name": "cidr", "Values": ["10.0.0.0/16"]}])["Vpcs"]


@pytest.mark.parametrize("before", ["nothing", "open to all", "a link"])
def test_only_its_user_reads_a_saved_plan(before: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From its first byte on, and whole or not at all: a reader has the old one open until the new one is there."""
    file = tmp_path / "plan"
    if before != "nothing":
        (tmp_path / ("plan" if before == "open to all" else "linked")).write_text("old", encoding="utf-8")
    if before == "a link":
        file.symlink_to("linked")
    with world(), nullcontext() if before == "nothing" else file.open(encoding="utf-8") as old:
        assert main(["plan", "shop.yaml", "--out", "plan"]) == 0
        assert old is None or old.read() == "old"
    assert json.loads(file.read_bytes())["stack"] == "shop"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.is_symlink() == (before == "a link")
    left = {item.name for item in tmp_path.iterdir()} - {"state", "locks"}
    assert left == {"plan", "shop.yaml", *(["linked"] if before == "a link" else [])}


def test_a_plan_that_cant_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    save_file("plan", b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RecordError, match=r"no space left on device; its old content is still there; free up space$"):
        save_file("plan", b"new")
    assert [(item.name, item.read_bytes()) for item in tmp_path.glob("*plan*")] == [("plan", b"old")]


def test_a_plan_for_another_program() -> None:
    """`>(…)`: it is written to a pipe, of which nothing can be replaced."""
    command = f"{sys.executable} -c 'from alb_reconcile.journal.files import save_file as s; import sys; s(sys.argv[1], b\"plan\")' >(cat)"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=GUARD, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "plan", "")


@pytest.mark.parametrize("make", [make_pipe, make_device, make_garbage], ids=lambda make: make.__name__)
def test_a_history(make: Callable[[Path], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = history_file(tmp_path / "state", made())
    file.parent.mkdir(parents=True)
    make(file)
    readable = make is make_garbage
    assert "can't be read" in told(capsys, "history", "--stack", "shop", code=0 if readable else 1)
    if readable:
        write_history(made(run="new"), tmp_path / "state")
        assert [run.run for run in read_history(tmp_path / "state", "shop").runs] == ["new"]
        assert file.stat().st_size < 100_000


@each
def test_state(make: Callable[[Path], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The lock's files, the metrics, the sandbox's state: a run goes on without them, and says what it couldn't write."""
    with world():
        lock = StackLock("123456789012", "us-east-1", "shop", "")
        lock._holder_file.parent.mkdir(parents=True, exist_ok=True)
        make(lock._holder_file)
        assert lock.holder() is None
        make(tmp_path / "shop.prom")
        assert main(["apply", "shop.yaml", "--yes", "--metrics-file", "shop.prom"]) == 0
    assert "this run isn't in the metrics: shop.prom " in capsys.readouterr().err
    holder = lock.holder()
    assert holder is not None
    assert holder.command == "apply"


def test_what_a_shell_hands_over_is_read() -> None:
    """`<(…)`: it ends when its other end does."""
    command = f"{sys.executable} -m alb_reconcile validate <(sleep 0.1; cat shop.yaml)"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=GUARD, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "valid, 1 resources" in done.stdout
