"""Runs that were killed: what the history says of them, and that no other run is taken for one."""

from __future__ import annotations

import asyncio
import os
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.aws.client import Aws
from alb_reconcile.cli.render.history import history_text
from alb_reconcile.cli.render.style import Style
from alb_reconcile.engine.apply import Event
from alb_reconcile.journal.begun import ENDING, Begun
from alb_reconcile.journal.history import history_file, read_history, write_history
from alb_reconcile.journal.mask import Mask
from alb_reconcile.journal.record import StepRecord
from alb_reconcile.journal.recorder import Recorder, recorded
from alb_reconcile.journal.settings import Settings
from alb_reconcile.model.address import Address
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.errors import AwsError
from alb_reconcile.model.plan import Step
from tests.journal.records import made

if TYPE_CHECKING:
    from pathlib import Path

    from alb_reconcile.journal.mask import Mask
from alb_reconcile.journal.record import Record

STEPS = (StepRecord("create:vpc.main", "create"), StepRecord("create:subnet.a", "create"))


def begin(folder: Path, run: str = "a" * 32, **changes: Any) -> Begun:
    record = made(run=run, command="apply", steps=STEPS, **changes)
    return Begun(history_file(folder, record), record)


def kill(begun: Begun) -> None:
    """What the kernel does."""
    os.close(begun._number)


def read(folder: Path) -> tuple[Record, ...]:
    return read_history(folder, "shop", "eu-west-1").runs


def done(key: str, at: str) -> dict[str, object]:
    return {"key": key, "action": "create", "how": "done", "seconds": 2.5, "id": "vpc-1", "at": at}


def test_a_killed_run_is_in_the_history_with_what_it_did(tmp_path: Path) -> None:
    begun = begin(tmp_path)
    begun.note(done("create:vpc.main", "2026-11-24T03:00:20Z"))
    os.write(begun._number, b'{"key":"create:sub')  # torn
    assert not read(tmp_path), "it is under way"
    kill(begun)
    (record,) = read(tmp_path)
    assert (record.result, record.code, record.exit_code, record.ended) == (
        "interrupted", "Killed", 130, "2026-11-24T03:00:20Z",
    )  # fmt: skip
    assert [(step.key, step.how, step.id) for step in record.steps] == [
        ("create:vpc.main", "done", "vpc-1"),
        ("create:subnet.a", "skipped", ""),
    ]
    text = history_text(read_history(tmp_path, "shop"), Style(colored=False))
    assert "interrupted  1 created, 1 not done, 20s, cron@ops-1" in text
    assert "it was killed, or its host went down" in text
    assert not read_history(tmp_path, "another").runs
    assert not read_history(tmp_path, "shop", successful=True).runs


def test_a_half_done_replacement_and_what_was_under_way_are_named(tmp_path: Path) -> None:
    steps = (
        StepRecord("replace:instance.web-1@i-1", "replace"),
        StepRecord("delete:instance.web-1@i-1", "delete"),
        StepRecord("create:vpc.main", "create"),
        StepRecord("create:instance.api-1", "create"),
        StepRecord("create:subnet.a", "create"),
    )
    record = made(run="a" * 32, command="apply", steps=steps)
    begun = Begun(history_file(tmp_path, record), record)
    begun.note(done(steps[0].key, "2026-11-24T03:00:20Z") | {"action": "replace"})
    begun.note(done(steps[2].key, "2026-11-24T03:00:20Z"))
    begun.note(done(steps[3].key, "2026-11-24T03:00:21Z") | {"how": "interrupted", "id": ""})  # AWS may have made it
    kill(begun)
    lines = history_text(read_history(tmp_path, "shop"), Style(colored=False)).splitlines()
    told = {line.strip() for line in lines}
    assert "there twice, old and new, and both cost: instance.web-1" in told, "as the terminal would have said"
    assert "begun and not finished, so look at them with status: instance.api-1" in told


def test_the_next_run_takes_it_into_the_history_once(tmp_path: Path) -> None:
    kill(begin(tmp_path))
    other = begin(tmp_path, "b" * 32)
    for _ in range(2):
        write_history(made(run="c" * 32, started="2026-11-24T04:00:00Z"), tmp_path)
    assert [record.run[0] for record in read(tmp_path)] == ["c", "c", "a"]
    assert [file.name.split(".")[1][0] for file in tmp_path.rglob(f"*{ENDING}")] == ["b"], "another is under way"
    kill(other)
    assert sorted(record.run[0] for record in read(tmp_path)) == ["a", "b", "c", "c"]


def test_one_whose_end_was_recorded_isnt_told_twice(tmp_path: Path) -> None:
    begun = begin(tmp_path)
    write_history(made(run="a" * 32, result="corrected"), tmp_path)
    kill(begun)
    assert [record.result for record in read(tmp_path)] == ["corrected"]
    write_history(made(run="b" * 32, started="2026-11-24T04:00:00Z"), tmp_path)
    assert [record.result for record in read(tmp_path)] == ["in_sync", "corrected"]
    assert not [*tmp_path.rglob(f"*{ENDING}")]


@pytest.mark.parametrize("data", [b"", b"{}\n", b"x\n", None], ids=str)
def test_what_cant_be_read_hides_nothing(tmp_path: Path, data: bytes | None) -> None:
    begun = begin(tmp_path)
    begun.note(done("create:vpc.main", "2026-11-24T03:00:20Z") if data else {"key": "x", "at": "yesterday"})
    kill(begun)
    (file,) = tmp_path.rglob(f"*{ENDING}")
    if data is not None:
        file.write_bytes(data)
    past = read_history(tmp_path, "shop")
    assert (past.runs, past.unreadable) == ((), 1)
    write_history(made(), tmp_path)
    past = read_history(tmp_path, "shop")
    assert (len(past.runs), past.unreadable) == (1, 0)


def test_only_what_had_started_was_interrupted(tmp_path: Path) -> None:
    step = Step("create", Address("vpc", "main"))
    recorder = Recorder("apply", "shop", "eu-west-1", mask=Mask())
    recorder.begin = lambda: begin(tmp_path)
    recorder(Event("started", step))
    assert recorder.begun is not None
    kill(recorder.begun)
    assert [step.how for step in read(tmp_path)[0].steps] == ["interrupted", "skipped"]


@pytest.mark.parametrize("fails", [False, True], ids=["done", "failed"])
def test_a_run_that_ends_leaves_its_record_only(tmp_path: Path, fails: bool) -> None:
    step = Step("create", Address("vpc", "main"))

    async def main() -> None:
        aws = Aws(silent, max_workers=1)  # type: ignore[arg-type]  # nobody asks it
        async with recorded(
            aws, DesiredStack("shop", "eu-west-1", {}), "apply", Settings(tmp_path), pytest.fail
        ) as run:
            assert not [*tmp_path.rglob(f"*{ENDING}")], "nothing has been changed yet"
            run(Event("started", step))
            assert len([*tmp_path.rglob(f"*{ENDING}")]) == 1
            run(Event("done", step, 1.0, "vpc-1"))
            aws.close()
            if fails:
                raise AwsError("ec2", "create_vpc", "Denied", "No.", "")

    with pytest.raises(AwsError) if fails else nullcontext():
        asyncio.run(main())
    assert not [*tmp_path.rglob(f"*{ENDING}")]
    assert [record.result for record in read(tmp_path)] == ["failed" if fails else "in_sync"]


def silent(*_: object) -> dict[str, Any]:
    raise AssertionError


def test_a_folder_that_cant_be_written_to_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "history").write_text("a file")
    with pytest.raises(OSError):
        begin(tmp_path)
