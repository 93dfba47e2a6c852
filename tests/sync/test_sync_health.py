"""A stack that is as its spec says and serves nobody is no success, and neither is one in which a target is ill."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.cli.render.style import Style
from alb_reconcile.cli.render.sync import sync_text
from alb_reconcile.journal.history import write_history
from alb_reconcile.journal.record import ADVICE, NO_USE, StepRecord
from alb_reconcile.model.errors import ExitCode
from tests.journal.records import made
from tests.kinds.hand import edited
from tests.sync.acts import deregister, make_ill, stop, told_by_status
from tests.sync.rounds import go_round

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness import Spec
    from tests.kinds.hand import Hand


def test_no_healthy_target_is_a_failure_where_something_else_is_corrected(hand: Hand, spec: Spec) -> None:
    make_ill(hand, "web-1", "web-2")
    hand.changed_tags("ec2", hand["vpc.main"], {"Name": "other"})
    ending = hand.world.sync(spec)
    assert ending.problems == ("no target of target_group.web is healthy (unhealthy)",)
    assert ending.is_failed
    assert hand.world.plan(spec).is_empty


def test_who_is_new_or_leaves_or_is_stopped_isnt_ill(hand: Hand, spec: Spec) -> None:
    """Health checks of a target that was registered a moment ago have just begun."""
    deregister(hand, "web-1")
    make_ill(hand, "web-2")
    again = [{"Id": hand["instance.web-1"], "Port": 80}]
    hand.elb.register_targets(TargetGroupArn=hand["target_group.web"], Targets=again)
    hand.wait(1)
    ending = hand.world.sync(spec)
    assert (ending.problems, len(ending.not_ready)) == ((), 1)


@pytest.mark.parametrize("names", [("web-1",), ("web-1", "web-2")])
def test_that_somebody_stopped_them_is_an_outage_where_status_calls_it_one(
    hand: Hand, spec: Spec, names: tuple[str, ...]
) -> None:
    stop(hand, *names)
    ending = hand.world.sync(spec)
    is_down = len(names) == 2
    assert ending.problems == ("2 of 2 targets of target_group.web are unused, so it serves nobody",) * is_down
    assert any("serves nobody" in line for line in told_by_status(hand, spec)) == is_down


@pytest.mark.parametrize("state", ["stopped", "any"])
def test_that_the_spec_lets_them_be_stopped_is_no_failure(hand: Hand, spec: Spec, state: str) -> None:
    """A service that is off at night must not call somebody each round."""
    spec["instances"]["web"]["state"] = state
    hand.make(spec, allow={"empty-target-group": 1})
    stop(hand, "web-1", "web-2")
    ending = hand.world.sync(spec)
    assert (ending.problems, ending.not_ready) == ((), ())


def test_a_group_without_requests_may_be_ill(hand: Hand, spec: Spec) -> None:
    spec["load_balancers"]["public"]["listeners"]["http"]["default_action"] = {"fixed_response": {"status_code": 503}}
    hand.make(spec)
    make_ill(hand, "web-1", "web-2")
    ending = hand.world.sync(spec)
    assert (ending.problems, ending.not_ready) == ((), ())


@pytest.mark.parametrize("is_back", [False, True])
def test_after_a_swap_that_failed_the_copy_that_is_ill_is_named_and_nobody_calls_it_an_outage(
    hand: Hand, spec: Spec, *, is_back: bool
) -> None:
    serving = hand["target_group.web"]
    hand.world.strict.health = lambda group, *_: None if group == serving else "unhealthy"
    wrong = edited(spec, "target_groups/web/health_check/path", "/typo")
    assert hand.world.apply(wrong).failures
    wanted = spec if is_back else wrong
    groups = hand.elb.describe_target_groups()["TargetGroups"]
    (name,) = (item["TargetGroupName"] for item in groups if item["TargetGroupArn"] != serving)
    which = f"the leftover target_group.web ({name}), which apply deletes,"
    which = which if is_back else f"the new target_group.web ({name}), at weight 0,"
    assert told_by_status(hand, wanted) == [f"2 of 2 targets of {which} aren't healthy (unhealthy)"]
    ending = hand.world.sync(wanted)
    assert (ending.problems, ending.not_ready, ending.notes) == ((), (), () if is_back else (ADVICE,))
    beside = [reason for reason in ending.selection.withheld.values() if NO_USE in reason]
    assert bool(beside) is not is_back
    assert all(f" in targetgroup/{name}/" in reason for reason in beside), "the same target is in both"
    if is_back:
        assert told_by_status(hand, wanted) == [], "nothing forwards to it any more"
        hand.make(spec)


def test_a_stack_that_runs_in_another_region(hand: Hand, spec: Spec, tmp_path: Path) -> None:
    """Whoever follows the advice to apply it once makes a second one."""
    hand.world.destroy(spec)
    hand.wait(4000)
    step = StepRecord("create:vpc.main", "create", how="done")
    write_history(made(command="apply", stack="demo", place="sandbox", result="corrected", steps=(step,)), tmp_path)
    report, record = go_round(hand, spec, tmp_path)
    assert record.result == "left"
    (why,) = {step.reason for step in record.withheld}  # the webhook and the issue have it, too
    assert why.startswith("nothing of the stack is there; its last run on this host that changed something, ")
    assert why.endswith("was in eu-west-1, account 123456789012: is this the right region?")
    assert len(sync_text(report, Style(colored=False)).splitlines()) == 3


def test_drift_after_a_run_that_ended_early_may_be_its_doing(hand: Hand, spec: Spec, tmp_path: Path) -> None:
    """A rule that the run had taken away, and that the spec before it has again, isn't somebody's deed."""
    ended = made(command="apply", stack="demo", region="us-east-1", place="sandbox", result="failed")
    write_history(replace(ended, started="2026-11-24T02:12:00Z"), tmp_path)
    hand.elb.delete_rule(RuleArn=hand["rule.public/http/soon"])
    report, record = go_round(hand, spec, tmp_path)
    (notes,) = report.notes.values()
    assert notes == ("what is called drift here may be left by the apply of 2026-11-24 02:12:00Z, which failed",)
    hand.changed_tags("ec2", hand["vpc.main"], {"Name": "other"})
    report, record = go_round(hand, spec, tmp_path)
    assert record.result == "corrected"
    assert list(report.notes.values()) == [()], "it was in sync in between"


def test_what_a_round_makes_of_it(hand: Hand, spec: Spec, tmp_path: Path) -> None:
    report, record = go_round(hand, spec, tmp_path)
    assert (report.code, record.result, record.is_success) == (ExitCode.OK, "in_sync", True)
    make_ill(hand, "web-1")
    report, record = go_round(hand, spec, tmp_path)
    assert (report.code, record.result, record.is_success) == (ExitCode.OK, "in_sync", False)
    assert record.not_ready == ("1 of 2 targets of target_group.web isn't healthy (unhealthy)",)
    make_ill(hand, "web-2")
    report, record = go_round(hand, spec, tmp_path)
    assert (report.code, record.result, record.is_success) == (ExitCode.FAILED, "failed", False)
    assert record.not_ready == ("no target of target_group.web is healthy (unhealthy)",)
    metrics = (tmp_path / "metrics.prom").read_text(encoding="utf-8")
    assert 'last_run_result{account="123456789012",region="us-east-1",result="failed",stack="demo"} 1.0' in metrics


def test_a_load_balancer_without_its_tags_serves(hand: Hand, spec: Spec) -> None:
    (tags,) = hand.elb.describe_tags(ResourceArns=[arn := hand["load_balancer.public"]])["TagDescriptions"]
    hand.elb.remove_tags(ResourceArns=[arn], TagKeys=[item["Key"] for item in tags["Tags"]])
    ending = hand.world.sync(spec)
    assert f"{arn} is there already" in ending.selection.withheld["create:load_balancer.public"]
    assert ending.problems == ()
    assert not ending.is_failed
