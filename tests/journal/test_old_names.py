"""The DNS name of a load balancer that goes is in the history, however the run ends that deletes it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.cli.render.history import history_json, history_text
from alb_reconcile.cli.render.style import Style
from alb_reconcile.engine.apply import Event, Outcome
from alb_reconcile.journal.begun import Begun
from alb_reconcile.journal.history import History, history_file, read_history, write_history
from alb_reconcile.journal.mask import Mask
from alb_reconcile.journal.recorder import Recorder
from alb_reconcile.model.errors import AwsError, InterruptedRun, ReconcileError, UnreachableError
from tests.harness import demo, world
from tests.journal.records import made

if TYPE_CHECKING:
    from pathlib import Path

    from alb_reconcile.model.plan import Plan, Step

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
    """Found: of a destroy that ended while its interfaces went, nobody could say what points at the old name; last where AWS refused the look at
    those."""
    plan, step, name = going
    recorder = recorder_of(plan)
    recorder.outcomes = (Outcome(step, "interrupted" if isinstance(error, InterruptedRun) else "failed", error=error),)
    check(History((recorder.close(account="123456789012"),), 0), name)


@pytest.mark.parametrize("operation", ["delete_load_balancer", "modify_load_balancer_attributes"])
def test_where_aws_refused_to_delete_it(going: tuple[Plan, Step, str], operation: str) -> None:
    plan, step, _ = going
    recorder = recorder_of(plan)
    recorder.outcomes = (Outcome(step, "failed", error=refused(operation)),)
    assert KEPT not in recorder.close(account="123456789012").to_json()


@pytest.mark.parametrize("ended", [False, True], ids=["in the middle", "after it"])
def test_of_a_run_that_was_killed(going: tuple[Plan, Step, str], tmp_path: Path, ended: bool) -> None:
    """Found: neither before the next run took it over from the journal, nor afterwards."""
    plan, step, name = going
    recorder = recorder_of(plan)
    record = recorder.so_far("123456789012")
    recorder.begin = lambda: Begun(history_file(tmp_path, record), record)
    recorder(Event("started", step))
    if ended:
        recorder(Event("done", step, 1.0, step.id or ""))
    assert recorder.begun is not None
    os.close(recorder.begun._number)  # what the kernel does
    check(read_history(tmp_path, plan.stack), name)
    later = made(stack=plan.stack, region=plan.region, account="123456789012", started="2099-01-01T00:00:00Z")
    write_history(later, tmp_path)
    check(read_history(tmp_path, plan.stack), name)


def test_where_nobody_has_begun_it_stays(going: tuple[Plan, Step, str]) -> None:
    plan, step, _ = going
    recorder = recorder_of(plan)
    recorder.outcomes = (Outcome(step, "interrupted"),)
    assert KEPT not in recorder.close(account="123456789012").to_json()
