"""What is said of a run that didn't end well."""

from alb_reconcile.aws.polling import WaitError
from alb_reconcile.cli.render.progress import render_outcomes
from alb_reconcile.engine.apply import Outcome
from alb_reconcile.model.address import Address
from alb_reconcile.model.decisions import DUPLICATE
from alb_reconcile.model.errors import InterruptedRun, ReconcileError
from alb_reconcile.model.plan import Step


def step(kind: str) -> Step:
    return Step("create", Address(kind, "main"))


def test_whatever_wasnt_done_is_listed_once() -> None:
    group, vpc, subnet, gateway, table = (
        step(kind) for kind in ("security_group", "vpc", "subnet", "internet_gateway", "route_table")
    )
    text = render_outcomes(
        [
            Outcome(step("target_group"), "done"),
            Outcome(group, "failed", error=ReconcileError("AWS said no")),
            Outcome(step("listener"), "skipped", cause=group),
            Outcome(vpc, "interrupted"),
            Outcome(gateway, "skipped", cause=vpc),
            Outcome(table, "skipped", cause=vpc),
            Outcome(subnet, "interrupted"),
        ]
    )
    assert text.splitlines() == [
        "1 of 7 done, 1 failed, 5 not done.",
        "  security_group.main: AWS said no",
        "    not done because of it: listener.main",
        "  not done: vpc.main, internet_gateway.main, route_table.main, subnet.main",
        "Nothing is rolled back; run the same command again to continue.",
    ]


def test_a_replacement_is_one_thing() -> None:
    """Its second half isn't named beside the first."""
    new = Step("replace", Address("instance", "web-1"), "i-1")
    old = Step("delete", Address("instance", "web-1"), "i-1", part_of=new.key)
    failed = [Outcome(new, "failed", error=ReconcileError("AWS said no")), Outcome(old, "skipped", cause=new)]
    assert render_outcomes(failed).splitlines()[:2] == [
        "0 of 1 done, 1 failed, 0 not done.",
        "  instance.web-1: AWS said no",
    ]
    assert "not done because" not in render_outcomes(failed)
    assert "there twice" not in render_outcomes(failed)
    half = [Outcome(new, "done"), Outcome(old, "skipped")]
    assert "  there twice, old and new, and both cost: instance.web-1" in render_outcomes(half).splitlines()
    assert render_outcomes(half).startswith("0 of 1 done, 1 begun, 0 failed, 0 not done."), "it has a ✓ above"
    assert render_outcomes([Outcome(new, "done"), Outcome(old, "done")]).startswith(
        "1 of 1 done, 0 failed, 0 not done."
    )


def test_what_an_interrupted_run_had_begun_may_be_there() -> None:
    """An instance that was asked for and wasn't running yet."""
    new = Step("replace", Address("instance", "web-1"), "i-1")
    old = Step("delete", Address("instance", "web-1"), "i-1", part_of=new.key)
    later = Outcome(step("rule"), "interrupted")
    begun = [
        Outcome(new, "interrupted", error=InterruptedRun("interrupted")),
        Outcome(old, "skipped", cause=new),
        later,
    ]
    assert render_outcomes(begun).splitlines()[1:3] == [
        "  not done: instance.web-1, rule.main",
        "  begun and not finished, so look at them with status: instance.web-1",
    ]
    assert "begun" not in render_outcomes([later])


def test_a_second_run_of_a_bad_version_is_told_the_same() -> None:
    """The old one is a duplicate then, and may not leave before the new one is healthy."""
    leaves = Step("delete", Address("registration", "web/web-1:80"), "arn|i-1:80", reason=DUPLICATE)
    old = Step("delete", Address("instance", "web-1"), "i-1", reason=DUPLICATE)
    error = WaitError("waited 600 s for: 2 other healthy targets before i-1:80 may be deregistered (now 1)")
    lines = render_outcomes(
        [Outcome(leaves, "failed", error=error), Outcome(old, "skipped", cause=leaves)]
    ).splitlines()
    assert "  there twice, old and new, and both cost: instance.web-1" in lines
    assert "If the new version is at fault" in lines[-1]
    drains = Outcome(leaves, "failed", error=WaitError("waited 600 s for: target i-1:80 to be drained (now draining)"))
    assert "If the new version" not in render_outcomes([drains])
