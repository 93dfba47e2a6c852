"""What the run before left undone is told as that, as far as this host's history says it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.journal.history import write_history
from alb_reconcile.journal.record import StepRecord
from alb_reconcile.model.address import Address
from alb_reconcile.model.plan import Step
from alb_reconcile.sync.unfinished import describe_leftovers
from tests.journal.records import FAILED, UPDATE, corrected, made

if TYPE_CHECKING:
    from pathlib import Path

GROUP, GATEWAY = Address("target_group", "web"), Address("internet_gateway", "main")
STEPS = [Step("update", GROUP, "arn:tg"), Step("create", GATEWAY)]
NOT_BEGUN = StepRecord("replace:internet_gateway.main@igw-1", "replace", how="skipped")
SKIPPED = StepRecord("create:internet_gateway.main", "create", how="skipped")
SEEN = made(spec_file="cut.yaml")
GOES_ON = "; `alb-reconcile apply shop.yaml` continues it"


@pytest.mark.parametrize(
    ("steps", "result", "told"),
    [
        ((FAILED, SKIPPED), "failed", "which failed: target_group.web, internet_gateway.main"),
        ((UPDATE, replace(SKIPPED, how="interrupted")), "interrupted", "which was interrupted: internet_gateway.main"),
        ((UPDATE,), "failed", ""),
        ((NOT_BEGUN,), "interrupted", ""),  # it was there then: somebody has deleted it since
        ((replace(NOT_BEGUN, how="interrupted"),), "interrupted", "which was interrupted: internet_gateway.main"),
        ((FAILED,), "left", ""),
        ((replace(FAILED, key="update:target_group.other@arn:tg"),), "failed", ""),
    ],
)
def test_what_wasnt_done_and_still_differs(
    tmp_path: Path, steps: tuple[StepRecord, ...], result: str, told: str
) -> None:
    run = made(command="apply", started="2026-11-24T02:12:00Z", result=result, steps=steps)
    write_history(run, tmp_path)
    before = "left by the apply of 2026-11-24 02:12:00Z, "
    assert describe_leftovers(tmp_path, SEEN, STEPS) == (f"{before}{told}{GOES_ON}" if told else "")
    other = describe_leftovers(tmp_path, replace(SEEN, spec_digest="the one before"), STEPS)
    assert other.endswith(" finishes or undoes it" if told else "")
    assert not describe_leftovers(tmp_path, replace(SEEN, account="2"), STEPS), "another account's"
    write_history(made(), tmp_path)
    assert not describe_leftovers(tmp_path, SEEN, STEPS), "a run since then has seen to it"


@pytest.mark.parametrize(("file", "said"), [("shop.yaml", "/home/ann/shop.yaml"), ("", "'/etc/my cut.yaml'")])
def test_what_a_destroy_has_left_isnt_finished_by_mistake(tmp_path: Path, file: str, said: str) -> None:
    """One by the stack's name is taken back with the spec at hand."""
    run = made(command="destroy", result="interrupted", steps=(SKIPPED,), spec_folder="/home/ann", spec_file=file)
    write_history(run, tmp_path)
    told = describe_leftovers(tmp_path, replace(SEEN, spec_folder="/etc", spec_file="my cut.yaml"), STEPS)
    assert told.endswith(f"; `alb-reconcile apply {said}` takes it back, `alb-reconcile destroy {said}` finishes it")


def test_the_first_run_is_told_whatever_looked_at_it_since(tmp_path: Path) -> None:
    """Rounds of sync that left it to a person, were held, or failed on it again."""
    write_history(
        made(command="apply", started="2026-11-24T02:12:00Z", result="interrupted", steps=(FAILED,)), tmp_path
    )
    left = replace(FAILED, how="withheld")
    rounds = [("left", (left,)), ("held", ()), ("failed", (FAILED,)), ("left", (left,))]
    for number, (result, steps) in enumerate(rounds):
        write_history(made(started=f"2026-11-24T03:0{number}:00Z", result=result, steps=steps), tmp_path)
    told = "left by the apply of 2026-11-24 02:12:00Z, which was interrupted: target_group.web"
    assert describe_leftovers(tmp_path, SEEN, STEPS) == f"{told}{GOES_ON}"
    again = made(command="apply", started="2026-11-24T03:08:00Z", result="interrupted", steps=(FAILED,))
    write_history(corrected(command="apply", started="2026-11-24T03:07:00Z"), tmp_path)
    write_history(again, tmp_path)
    assert "apply of 2026-11-24 03:08:00Z" in describe_leftovers(tmp_path, SEEN, STEPS), "it was done in between"
    write_history(made(started="2026-11-24T03:09:00Z"), tmp_path)
    assert not describe_leftovers(tmp_path, SEEN, STEPS), "it was in sync then"


def test_no_history_says_nothing(tmp_path: Path) -> None:
    assert not describe_leftovers(tmp_path, SEEN, STEPS)
    (tmp_path / "history").write_text("a file")
    assert not describe_leftovers(tmp_path, SEEN, STEPS)
