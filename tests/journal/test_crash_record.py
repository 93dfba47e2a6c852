"""Runs that were killed: what the history says of them; and the DNS name of a load balancer that goes, however its run ends."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.aws.client import Aws
from alb_reconcile.cli.render.history import history_json, history_text
from alb_reconcile.cli.render.style import Style
from alb_reconcile.engine.apply import Event, Outcome
from alb_reconcile.journal.crash_record import ENDING, Begun
from alb_reconcile.journal.history import History, history_file, read_history, write_history
from alb_reconcile.journal.mask import Mask
from alb_reconcile.journal.record import StepRecord
from alb_reconcile.journal.recorder import Recorder, recorded
from alb_reconcile.journal.settings import Settings
from alb_reconcile.model.address import Address
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.errors import AwsError, InterruptedRun, ReconcileError, UnreachableError
from alb_reconcile.model.plan import Step
from tests.harness import demo, world
from tests.journal.records import made

if TYPE_CHECKING:
    from pathlib import Path

    from alb_reconcile.journal.record import RunRecord
    from alb_reconcile.model.plan import Plan

STEPS = (StepRecord("create:vpc.main", "create"), StepRecord("create:subnet.a", "create"))


def begin(folder: Path, run: str = "a" * 32, **changes: Any) -> Begun:
    record = made(run=run, command="apply", steps=STEPS, **changes)
    return Begun(history_file(folder, record), record)


def kill(begun: Begun) -> None:
    """What the kernel does."""
    os.close(begun._number)


def read(folder: Path) -> tuple[RunRecord, ...]:
    return read_history(folder, "shop", "eu-west-1").runs


def done(key: str, second: int = 20, **more: object) -> dict[str, object]:
    at = f"2026-11-24T03:00:{second}Z"
    return {"key": key, "action": "create", "how": "done", "seconds": 2.5, "id": "vpc-1", "at": at, **more}


def test_a_killed_run_is_in_the_history_with_what_it_did(tmp_path: Path) -> None:
    begun = begin(tmp_path)
    begun.note(done("create:vpc.main"))
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
    keys = ("replace:instance.web-1@i-1", "delete:instance.web-1@i-1", "create:vpc.main", "create:instance.api-1")
    record = made(run="a" * 32, command="apply", steps=tuple(StepRecord(key, key.partition(":")[0]) for key in keys))
    begun = Begun(history_file(tmp_path, record), record)
    begun.note(done(keys[0], action="replace"))
    begun.note(done(keys[2]))
    begun.note(done(keys[3], 21, how="interrupted", id=""))  # AWS may have made it
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
    begun.note(done("create:vpc.main") if data else {"key": "x", "at": "yesterday"})
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


KEPT = "its DNS name was "


@pytest.fixture(scope="module")
def going() -> tuple[Plan, Step, str]:
    """What a destroy is to do, its step at the load balancer, and that one's name."""
    with world() as aws:
        aws.apply(demo())
        (balancer,) = aws.client("elbv2").describe_load_balancers()["LoadBalancers"]
        plan = aws.plan(demo(), destroy=True)
    (step,) = [item for item in plan.steps if item.address.kind == "load_balancer"]
    return plan, step, balancer["DNSName"]


def recorder_of(plan: Plan) -> Recorder:
    recorder = Recorder("destroy", plan.stack, plan.region, mask=Mask())
    recorder.plan = plan
    return recorder


def check(past: History, name: str) -> None:
    """Both forms have it, once."""
    text = history_text(past, Style(colored=False))
    assert text.count(f"{KEPT}{name}") == 1
    steps = json.loads(history_json(past))["runs"][-1]["steps"]
    assert [step["reason"] for step in steps if KEPT in step.get("reason", "")] == [f"{KEPT}{name}"]


def refused(operation: str, code: str = "AccessDenied", **how: Any) -> AwsError:
    service = "ec2" if operation.endswith("interfaces") else "elbv2"
    return AwsError(service, operation, code, "no", "", **how)


@pytest.mark.parametrize(
    "error",
    [
        InterruptedRun("stopped"),
        ReconcileError("they are still there"),
        refused("describe_network_interfaces", "ExpiredToken"),
        UnreachableError("there are no credentials any more"),
        refused("delete_load_balancer", "ServiceUnavailable", ambiguous=True),
        refused("delete_load_balancer", "ExpiredToken", retries=1),
    ],
    ids=["stopped", "in time", "expired", "unreachable", "reply lost", "reply lost and then refused"],
)
def test_where_it_went_or_may_have_gone(going: tuple[Plan, Step, str], error: ReconcileError) -> None:
    plan, step, name = going
    recorder = recorder_of(plan)
    recorder.outcomes = (Outcome(step, "interrupted" if isinstance(error, InterruptedRun) else "failed", error=error),)
    check(History((recorder.close(account="123456789012"),), 0), name)


@pytest.mark.parametrize("operation", ["delete_load_balancer", "modify_load_balancer_attributes", ""])
def test_where_it_stayed(going: tuple[Plan, Step, str], operation: str) -> None:
    """AWS refused to delete it, or nothing of it was begun."""
    plan, step, _ = going
    recorder = recorder_of(plan)
    failed = Outcome(step, "failed", error=refused(operation))
    recorder.outcomes = (failed if operation else Outcome(step, "interrupted"),)
    assert KEPT not in recorder.close(account="123456789012").to_json()


@pytest.mark.parametrize("ended", [False, True], ids=["in the middle", "after it"])
def test_of_a_run_that_was_killed(going: tuple[Plan, Step, str], tmp_path: Path, ended: bool) -> None:
    plan, step, name = going
    recorder = recorder_of(plan)
    record = recorder.so_far("123456789012")
    recorder.begin = lambda: Begun(history_file(tmp_path, record), record)
    recorder(Event("started", step))
    if ended:
        recorder(Event("done", step, 1.0, step.id or ""))
    assert recorder.begun is not None
    kill(recorder.begun)
    check(read_history(tmp_path, plan.stack), name)
    later = made(stack=plan.stack, region=plan.region, account="123456789012", started="2099-01-01T00:00:00Z")
    write_history(later, tmp_path)
    check(read_history(tmp_path, plan.stack), name)
