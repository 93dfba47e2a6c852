"""One way to count: each resource once, with what AWS deletes along with it."""

from __future__ import annotations

from dataclasses import replace

from alb_reconcile.cli.render.history import done_counts, history_text
from alb_reconcile.cli.render.style import Style
from alb_reconcile.journal.history import History
from alb_reconcile.journal.record import StepRecord
from alb_reconcile.model.counting import by_resource, count_resources, total
from tests.journal.records import made

REPLACED = (StepRecord("replace:instance.web-1@i-1", "replace"), StepRecord("delete:instance.web-1@i-1", "delete"))
CHANGED = (StepRecord("attach:listener.a@arn", "update"), StepRecord("update:listener.a@arn", "update"))
TWICE = (StepRecord("delete:vpc.main@vpc-1", "delete"), StepRecord("delete:vpc.main@vpc-2", "delete"))
WITH_OTHERS = StepRecord("delete:load_balancer.a@arn", "delete", also_deletes=("listener.a/http", "rule.a/http/x"))


def test_each_resource_counts_once() -> None:
    steps = (StepRecord("create:vpc.new", "create"), *REPLACED, *CHANGED, *TWICE)
    assert count_resources(by_resource(steps)) == {"create": 1, "update": 1, "replace": 1, "delete": 2}
    assert total(steps) == 5


def test_what_goes_along_counts_too() -> None:
    assert count_resources(by_resource([WITH_OTHERS])) == {"create": 0, "update": 0, "replace": 0, "delete": 3}


def test_the_history_adds_up() -> None:
    """Of what is done in part nothing counts as done, and each resource is named once."""
    first, second = (replace(step, how=how) for step, how in zip(REPLACED, ("done", "failed"), strict=True))
    stopped = (*(replace(step, how="done") for step in TWICE), replace(WITH_OTHERS, how="interrupted"), first, second)
    record = made(command="destroy", result="interrupted", steps=stopped)
    assert done_counts(record) == ["2 deleted"]
    assert "2 deleted, 1 failed, 3 not done, " in history_text(History((record,), 0), Style(colored=False))
    half = made(
        result="interrupted", steps=(first, replace(second, how="skipped"), replace(TWICE[0], how="interrupted"))
    )
    assert "1 begun, 1 not done, " in history_text(History((half,), 0), Style(colored=False)), "as apply has said it"
    left = made(result="left", steps=tuple(replace(step, how="withheld") for step in (*REPLACED, *CHANGED)))
    lines = history_text(History((left,), 0), Style(colored=False)).splitlines()[1:]
    assert [line.split(" not corrected")[0].strip() for line in lines[1:]] == [
        "· replace instance.web-1",
        "· update listener.a",
    ]
