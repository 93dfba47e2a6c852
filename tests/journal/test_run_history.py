"""The history: nothing that was there is ever lost, whoever is killed, however full the disk is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st

from alb_reconcile.aws.throttle import Throttled
from alb_reconcile.journal.files import RecordError, only_writer, safe_name, state_folder
from alb_reconcile.journal.history import Retention, history_file, read_history, write_history
from alb_reconcile.journal.record import RunRecord
from tests.journal.records import FAILED, REPLACE, made
from tests.processes import GUARD

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).parent.parent.parent


def runs(folder: Path, stack: str = "shop", region: str | None = "eu-west-1") -> list[str]:
    """The ids of the recorded runs, the newest first."""
    return [record.run for record in read_history(folder, stack, region).runs]


def write(folder: Path, names: Iterable[str], retention: Retention | None = None, **changes: str) -> None:
    for name in names:
        write_history(made(run=name, **changes), folder, retention)


class TestRecords:
    """A record is what was recorded."""

    def test_there_and_back(self) -> None:
        throttled = {"describe_rules": Throttled(3, "2026-11-24T03:00:05Z")}
        record = made(result="failed", steps=(FAILED, REPLACE), error="käse \x1b[31m\n", code="X", throttled=throttled)
        assert "\n" not in record.to_json()
        assert record.to_json().isascii()
        assert RunRecord.from_json(record.to_json()) == record

    def test_later_versions_say_more(self) -> None:
        data = {**made().to_data(), "version": 2, "news": [1]}
        assert RunRecord.from_json(json.dumps(data)) == made()

    @pytest.mark.parametrize(("written", "read"), [("in order", "in_sync"), ("corrected", "corrected"), ("new", "new")])
    def test_results_of_other_versions(self, written: str, read: str) -> None:
        assert RunRecord.from_json(json.dumps({**made().to_data(), "result": written})) == made(result=read)

    @pytest.mark.parametrize(
        "changes",
        [
            {"run": 7}, {"steps": {}}, {"steps": [1]}, {"steps": [{"key": "x"}]}, {"calls": {"x": "y"}}, {"calls": []},
            {"seconds": "1"}, {"exit_code": True}, {"ended": "yesterday"}, {"ended": "0001-01-01T00:00:00"}, {"stack": None},
            {"requests": [1]},
            {"seconds": float("nan")}, {"seconds": float("inf")}, {"exit_code": 1.5}, {"calls": {"x": True}},
            {"steps": [{"key": "x", "action": "y", "changes": "z"}]}, {"steps": [{"key": "x", "action": "y", "changes": [1]}]},
        ],
        ids=str,
    )  # fmt: skip
    def test_what_is_none(self, changes: dict[str, object]) -> None:
        with pytest.raises(ValueError):
            RunRecord.from_json(json.dumps({**made().to_data(), **changes}))

    @given(
        st.one_of(st.binary(), st.text(), st.sampled_from(["[" * 100_000, '{"x":' + "[" * 100_000, "{}", "null", "1"]))
    )
    def test_anything_else(self, text: str | bytes) -> None:
        with pytest.raises(ValueError):
            RunRecord.from_json(text)


class TestFiles:
    """One file a stack, found without AWS, named by nobody's whim."""

    def test_stacks_are_apart(self, tmp_path: Path) -> None:
        write(tmp_path, ["a"])
        write(tmp_path, ["b"], stack="shop-2")
        write(tmp_path, ["c"], region="eu-west-2")
        write(tmp_path, ["d"], account="210987654321", started="2026-11-25T00:00:00Z")
        write(tmp_path, ["e"], place="sandbox", started="2026-11-26T00:00:00Z")
        assert runs(tmp_path) == ["e", "d", "a"]
        assert sorted(runs(tmp_path, region=None)) == ["a", "c", "d", "e"]
        assert runs(tmp_path, "shop-2") == ["b"]
        past = read_history(tmp_path, "shop", "eu-west-1", account="123456789012", place="")
        assert [record.run for record in past.runs] == ["a"]
        assert runs(tmp_path, "nobody") == []

    @given(st.text(), st.text())
    def test_names_are_safe(self, one: str, other: str) -> None:
        name = safe_name(one)
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-%")
        assert len(name) <= 80
        assert (name == safe_name(other)) == (one == other)

    def test_only_its_user_reads_it(self, tmp_path: Path) -> None:
        write(tmp_path / "state", ["a"])
        file = history_file(tmp_path / "state", made())
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.parent.stat().st_mode & 0o777 == 0o700

    def test_where_it_is(self) -> None:
        assert state_folder("/x", {"ALB_RECONCILE_STATE_DIR": "/y"}) == Path("/x")
        assert state_folder(None, {"ALB_RECONCILE_STATE_DIR": "/y", "XDG_STATE_HOME": "/z"}) == Path("/y")
        assert state_folder(None, {"XDG_STATE_HOME": "/z"}) == Path("/z/alb-reconcile")


class TestTorn:
    """A writer that was killed in the middle of its line."""

    @pytest.mark.parametrize("cut", [1, 10, 200, -1])
    def test_a_torn_last_line(self, tmp_path: Path, cut: int) -> None:
        write(tmp_path, ["a", "b"])
        file = history_file(tmp_path, made())
        whole = file.read_bytes()
        file.write_bytes(whole + (made(run="torn").to_json() + "\n").encode()[:cut])
        torn = int(cut != -1)  # only the line's end is missing there
        past = read_history(tmp_path, "shop", "eu-west-1")
        names = [record.run for record in past.runs]
        assert (names, past.unreadable) == (["b", "a"] if torn else ["torn", "b", "a"], torn)
        write(tmp_path, ["c"])
        past = read_history(tmp_path, "shop", "eu-west-1")
        names = [record.run for record in past.runs]
        assert names == (["c", "b", "a"] if torn else ["c", "torn", "b", "a"])
        assert past.unreadable == torn

    def test_garbage_between(self, tmp_path: Path) -> None:
        write(tmp_path, ["a"])
        file = history_file(tmp_path, made())
        with file.open("ab") as stream:
            stream.write(b"\x00\xff\n\n{}\n" + b"[" * 100_000 + b"\n")
        write(tmp_path, ["b"])
        past = read_history(tmp_path, "shop")
        assert ([record.run for record in past.runs], past.unreadable) == (["b", "a"], 3)


class TestFromItsEnd:
    """Not more is read than is wanted, nor kept in memory than a run may have."""

    def test_what_is_further_back_isnt_read(self, tmp_path: Path) -> None:
        file = history_file(tmp_path, made())
        file.parent.mkdir()
        file.write_bytes(b"garbage\n" * 200_000)  # more than is read at once
        write(tmp_path, ["a", "b", "c"], Retention(runs=10**9, least=10**9))
        past = read_history(tmp_path, "shop", limit=2)
        assert ([run.run for run in past.runs], past.unreadable) == (["c", "b"], 0)
        assert read_history(tmp_path, "shop", limit=4).unreadable == 200_000

    def test_a_success(self, tmp_path: Path) -> None:
        for name, result in (("a", "corrected"), ("b", "in_sync"), ("c", "failed"), ("d", "held")):
            write(tmp_path, [name], result=result)
        assert [run.run for run in read_history(tmp_path, "shop", limit=1, successful=True).runs] == ["b"]

    def test_long_runs(self, tmp_path: Path) -> None:
        for name in "abcde":
            write(tmp_path, [name], error=name * 1024 * 1024)
        past = read_history(tmp_path, "shop")
        assert [(run.run, run.error == run.run * 1024 * 1024) for run in past.runs] == [
            (name, True) for name in "edcba"
        ]
        write(tmp_path, ["f"], Retention(runs=3, least=1))
        assert runs(tmp_path) == ["f", "e", "d"]


class TestRetention:
    """By count and age, but never all of it."""

    def test_by_count(self, tmp_path: Path) -> None:
        retention = Retention(runs=20, days=36500, least=5)
        write(tmp_path, map(str, range(60)), retention)
        kept = runs(tmp_path)
        assert kept == [str(number) for number in range(59, 59 - len(kept), -1)]
        assert 20 <= len(kept) <= 22

    def test_by_age(self, tmp_path: Path) -> None:
        retention = Retention(runs=100, days=90, least=3)
        old = {"started": "2020-01-01T00:00:00Z", "ended": "2020-01-01T00:00:00Z"}
        write(tmp_path, map(str, range(10)), Retention(), **old)
        new = {"started": "2999-01-01T00:00:00Z", "ended": "2999-01-01T00:00:00Z"}
        write(tmp_path, ["new", "newer"], retention, **new)
        assert runs(tmp_path) == ["newer", "new", "9"]

    def test_a_clock_that_jumped_ahead_takes_not_everything(self, tmp_path: Path) -> None:
        """All that is there looks old; the newest stay."""
        old = {"started": "1999-01-01T00:00:00Z", "ended": "1999-01-01T00:00:00Z"}
        write(tmp_path, map(str, range(60)), Retention(least=50), **old)
        assert runs(tmp_path) == [str(number) for number in range(59, 9, -1)]


WRITER = """
import resource, sys
from itertools import islice, count
from pathlib import Path
from alb_reconcile.journal.files import RecordError
from alb_reconcile.journal.history import Retention, write_history
from tests.journal.records import made
folder, name, times, size, keeps, room = sys.argv[1:]
if room:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(room), int(room)))
print("ready", flush=True)
sys.stdin.readline()
try:
    for number in islice(count(), int(times)):
        write_history(made(run=f"{name}-{number}", error="x" * int(size)), Path(folder), Retention(runs=int(keeps), least=1))
        print(number, flush=True)
except RecordError as error:
    print(error)
"""


def _writer(folder: Path, name: str, times: int, size: int, keeps: int, room: str = "") -> subprocess.Popen[str]:
    """A process that writes, once it is told to."""
    command = [sys.executable, "-c", WRITER, str(folder), name, str(times), str(size), str(keeps), room]
    writer = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    return writer


def test_two_writers_at_once(tmp_path: Path) -> None:
    """Two processes write and drop old runs at the same time: each of the newest is there, whole and in its order."""
    writers = [_writer(tmp_path, name, 40, 20_000, 60) for name in ("a", "b")]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=GUARD)
    assert [writer.returncode for writer in writers] == [0, 0]
    past = read_history(tmp_path, "shop")
    assert past.unreadable == 0
    names = [record.run for record in past.runs]
    assert 60 <= len(names) <= 66
    for writer_name in ("a", "b"):
        numbers = [int(name[2:]) for name in names if name.startswith(writer_name)]
        assert numbers == list(range(39, 39 - len(numbers), -1))


def test_what_a_killed_writer_left(tmp_path: Path) -> None:
    write(tmp_path, map(str, range(12)))
    file = history_file(tmp_path, made())
    draft = file.with_name(f".{file.name}.draft")
    draft.symlink_to(tmp_path / "elsewhere")  # nor is it followed
    write(tmp_path, ["new"], Retention(runs=5))
    assert runs(tmp_path) == ["new", "11", "10", "9", "8"]
    assert not draft.is_symlink()
    assert not (tmp_path / "elsewhere").exists()


def test_a_full_disk(tmp_path: Path) -> None:
    """A write that fails in the middle (the process may not make larger files): one message, and all is as before."""
    write(tmp_path, ["a", "b"])
    file = history_file(tmp_path, made())
    before = file.read_bytes()
    told = _writer(tmp_path, "much", 1, 5_000, 100, str(len(before) + 700)).communicate("go\n", timeout=GUARD)[0]
    assert told.startswith(f"{file} can't be written: file too large; its old content is still there; free up space")
    assert told.count("\n") == 1
    assert file.read_bytes() == before
    write(tmp_path, ["c"])
    assert runs(tmp_path) == ["c", "b", "a"]


def test_another_writer_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(vars(only_writer)["__wrapped__"].__kwdefaults__, "timeout", 0.2)
    write(tmp_path, ["a"])
    file = history_file(tmp_path, made())
    with FileLock(file.with_name(file.name + ".lock")), pytest.raises(RecordError, match="another process"):
        write(tmp_path, ["b"])
    assert runs(tmp_path) == ["a"]
