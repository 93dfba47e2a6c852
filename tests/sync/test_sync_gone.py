"""A stack of which nothing is there: an outage where this host's history had it, and nobody's business where it was destroyed here."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from unittest.mock import AsyncMock, patch

import pytest

from alb_reconcile.engine.plan.planner import POINT_THERE
from alb_reconcile.journal.history import history_file, write_history
from alb_reconcile.journal.notify import State, judge
from alb_reconcile.journal.record import RunRecord, StepRecord
from alb_reconcile.model.errors import ExitCode, ReconcileError
from alb_reconcile.sync.drift import new_names
from alb_reconcile.sync.selection import NEVER_APPLIED
from tests.adoption.adopting import Keeper
from tests.harness import demo
from tests.journal.records import made
from tests.sync.acts import delete_balancer, dns_name
from tests.sync.rounds import go_round

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness import Spec
    from tests.kinds.hand import Hand

LATER = {"started": "2099-01-01T00:00:00Z", "ended": "2099-01-01T00:01:00Z", "user": "ann", "host": "desk"}
DELETED = StepRecord("delete:load_balancer.public@arn:lb", "delete", how="done", id="arn:lb")
LET_GO = StepRecord("update:load_balancer.public@arn:lb", "update", how="done", id="arn:lb")


def mine(**changes: object) -> RunRecord:
    """A run of the stack at hand."""
    return made(**{"stack": "demo", "region": "us-east-1", "place": "sandbox", **changes})


def gone(hand: Hand, spec: Spec) -> None:
    """Somebody destroys it from another host."""
    hand.world.destroy(spec)
    hand.wait(4000)


def why(record: RunRecord) -> str:
    (reason,) = {step.reason for step in record.withheld}
    return reason


@pytest.mark.slow
def test_a_destroy_from_another_host_is_an_outage_until_somebody_sees_to_it(
    hand: Hand, spec: Spec, tmp_path: Path
) -> None:
    _, before = go_round(hand, spec, tmp_path)
    assert before.result == "in_sync"
    gone(hand, spec)
    seen = before.started.replace("T", " ")
    for _ in range(3):
        report, record = go_round(hand, spec, tmp_path)
        assert (report.code, record.result) == (ExitCode.FAILED, "failed")
        assert record.not_ready == (f"was in sync at {seen}; nothing of it is there now",)
        assert why(record).startswith(
            "nothing of the stack is there, and no completed destroy or forget of it is recorded here: "
        )
        assert {step.cause for step in record.withheld} == {"drift"}
        assert judge(State("in_sync"), record) == (State("failing", unmade=("load_balancer.public",)), "failing")
        history_file(tmp_path, record).write_text(record.to_json() + "\n"), "what is older isn't kept for ever"
    hand.make(spec)
    report, record = go_round(hand, spec, tmp_path)
    assert (report.code, record.result) == (ExitCode.OK, "in_sync")


@pytest.mark.parametrize("is_whole", [True, False])
def test_who_hears_that_it_is_over_hears_the_new_dns_name(
    hand: Hand, spec: Spec, tmp_path: Path, *, is_whole: bool
) -> None:
    spec |= {"sync": {"report": ["load_balancer"]}}
    hand.make(spec)
    go_round(hand, spec, tmp_path)
    old, texts = dns_name(hand), list[str]()
    gone(hand, spec) if is_whole else delete_balancer(hand)
    go_round(hand, spec, tmp_path, texts=texts)
    with patch("alb_reconcile.sync.rounds.survey", AsyncMock(side_effect=ReconcileError("AWS can't be reached"))):
        assert go_round(hand, spec, tmp_path)[1].result == "failed", "a round that sees nothing forgets nothing"
    hand.make(spec)
    go_round(hand, spec, tmp_path, texts=texts)
    told = f"load_balancer.public answers as {dns_name(hand)}: if that isn't its former name, {POINT_THERE}"
    assert dns_name(hand) != old
    assert texts[-1] == f"demo (us-east-1): in sync again; {told}"
    (issue,) = (tmp_path / "issues").glob("*.md")
    assert told in issue.read_text(encoding="utf-8")
    go_round(hand, spec, tmp_path, texts=texts)
    assert len(texts) == 2
    assert issue.read_text(encoding="utf-8").count(told) == 1


def test_a_load_balancer_that_a_history_knows_of_gets_another_name(hand: Hand, spec: Spec) -> None:
    """After a destroy from another host, at the end of an `apply`."""
    gone(hand, spec)
    result = hand.world.apply(spec)
    assert new_names(result.plan, result.outcomes, None) == {}
    (text,) = new_names(result.plan, result.outcomes, None, was_there=True).values()
    assert POINT_THERE in text
    failed = [replace(item, how="failed") for item in result.outcomes]
    assert new_names(result.plan, failed, None, was_there=True) == {}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"command": "apply", "result": "corrected"}, "was in sync at"),
        ({"command": "adopt", "result": "corrected", "steps": (LET_GO,)}, "was there at"),
        ({"result": "left", "steps": (replace(LET_GO, how="withheld"),)}, "was there at"),
        ({"command": "apply", "result": "failed", "steps": (replace(LET_GO, key="create:vpc.main", action="create"),)}, "was there at"),
        ({"command": "destroy", "result": "failed", "steps": (DELETED,)}, ""),
        ({"result": "held"}, ""),
        ({"result": "left", "steps": (StepRecord("create:vpc.main", "create", how="withheld", reason=NEVER_APPLIED),)}, ""),
        ({"result": "left", "steps": (StepRecord("create:instance.web-3", "create", how="withheld", reason="the spec has changed"),)}, "was there at"),
        ({"not_ready": ("1 of 2 targets is healthy",)}, "was there at"),
        ({"spec_digest": ""}, ""),  # of a spec that wanted nothing
        ({"command": "apply", "result": "corrected", "spec_digest": "", "steps": (DELETED,)}, ""),
    ],
)  # fmt: skip
def test_what_shows_that_it_was_there(hand: Hand, tmp_path: Path, changes: dict[str, object], told: str) -> None:
    write_history(mine(**changes), tmp_path)
    report, record = go_round(hand, demo(), tmp_path)
    assert report.code == (ExitCode.FAILED if told else ExitCode.CHANGES)
    assert [line[: len(told)] for line in record.not_ready] == [told] * bool(told)
    assert told or why(record) == NEVER_APPLIED


@pytest.mark.parametrize(
    "ended",
    [
        {"result": "interrupted", "steps": (DELETED,)},  # it may have ended elsewhere
        {"result": "in_sync"},  # found: whoever ran it in the outage ended the alarm, and had the blame
    ],
)
def test_a_destroy_that_had_no_end_or_nothing_to_do_is_no_word(
    hand: Hand, tmp_path: Path, ended: dict[str, object]
) -> None:
    write_history(mine(), tmp_path)
    write_history(mine(command="destroy", **ended, **LATER), tmp_path)
    assert go_round(hand, demo(), tmp_path)[0].code is ExitCode.FAILED


def test_what_was_destroyed_here_is_no_outage(hand: Hand, tmp_path: Path) -> None:
    write_history(mine(), tmp_path)
    write_history(mine(command="destroy", result="corrected", steps=(DELETED,), user="ann", host="desk"), tmp_path)
    told = "as it was destroyed on this host 2026-11-24 03:00:00Z by ann@desk: run apply once, or remove the spec"
    for _ in range(2):
        report, record = go_round(hand, demo(), tmp_path)
        assert (report.code, record.result) == (ExitCode.CHANGES, "left")
        assert why(record) == f"nothing of the stack is there, {told}"


def test_what_was_forgotten_here_is_to_be_left_alone(hand: Hand, spec: Spec, tmp_path: Path) -> None:
    go_round(hand, spec, tmp_path)
    Keeper(hand.world).forget(spec)
    forgotten = mine(command="forget", result="corrected", steps=(LET_GO,), **LATER)
    write_history(forgotten, tmp_path)
    told = "forgotten on this host 2099-01-01 00:00:00Z by ann@desk: remove the spec from this folder; "
    for _ in range(2):
        report, record = go_round(hand, spec, tmp_path)
        assert report.code is ExitCode.CHANGES
        assert told in why(record)
        assert "alb-reconcile adopt spec.yaml takes it back" in why(record)


def test_what_was_forgotten_elsewhere_serves_and_is_no_outage(hand: Hand, spec: Spec, tmp_path: Path) -> None:
    go_round(hand, spec, tmp_path)
    Keeper(hand.world).forget(spec)
    report, record = go_round(hand, spec, tmp_path)
    assert (report.code, record.not_ready) == (ExitCode.CHANGES, ())
    assert "adopt spec.yaml takes over what exists" in why(record)
    assert why(record).endswith("; if somebody ran forget, remove the spec from this folder")
    delete_balancer(hand)
    assert go_round(hand, spec, tmp_path)[0].code is ExitCode.FAILED, "nobody is served any more"


def test_to_forget_a_part_lets_go_of_that_part_only(hand: Hand, tmp_path: Path) -> None:
    write_history(mine(), tmp_path)
    part = replace(LET_GO, key="update:instance.web-2@i-1", id="i-1")
    write_history(mine(command="forget", result="corrected", steps=(part,), **LATER), tmp_path)
    assert go_round(hand, demo(), tmp_path)[0].code is ExitCode.FAILED
    write_history(mine(command="forget", result="corrected", spec_digest="", steps=(part,), **LATER), tmp_path)
    assert go_round(hand, demo(), tmp_path)[0].code is ExitCode.CHANGES, "of all that was left"


def test_what_the_spec_ignores_is_nobodys_outage(hand: Hand, tmp_path: Path) -> None:
    """A round that may say nothing is "in sync", also over a stack that was never there."""
    spec = {**demo(), "sync": {"ignore": ["create"]}}
    for _ in range(2):
        assert go_round(hand, spec, tmp_path)[0].code is ExitCode.OK


def test_what_was_in_a_sandbox_before_this_one_is_gone_with_it(hand: Hand, tmp_path: Path) -> None:
    write_history(mine(), tmp_path)
    report, record = go_round(hand, demo(), tmp_path, began="2026-11-24T03:00:01Z")
    assert (report.code, why(record)) == (ExitCode.CHANGES, NEVER_APPLIED)
    assert go_round(hand, demo(), tmp_path, began="2026-11-24T03:00:00Z")[0].code is ExitCode.FAILED
