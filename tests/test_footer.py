"""What a terminal shows while a run goes on: a footer that says what runs and how far it is, and colours that can be read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.cli.render.footer import Footer, Row
from alb_reconcile.cli.render.progress import Progress
from alb_reconcile.cli.render.style import Style
from alb_reconcile.engine.apply import Event
from alb_reconcile.engine.stack import Awaited
from alb_reconcile.model.address import Address
from tests.harness import demo, world

if TYPE_CHECKING:
    from alb_reconcile.model.plan import Plan

PLAIN = Style(colored=False)
TARGET = "target i-0123456789abcdef0:80 to be healthy (now initial Elb.InitialHealthChecking)"
CURSOR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


@pytest.fixture(scope="module")
def plan() -> Plan:
    with world() as aws:
        return aws.plan(demo())


def shown(progress: Progress) -> list[tuple[str, str]]:
    return [(row.name, row.text) for row in progress.rows()]


def test_it_says_what_runs_and_counts_what_is_done(plan: Plan) -> None:
    progress = Progress(PLAIN, plan)
    assert progress.summary().startswith("0 of 16 done · 0s · about ")
    first, second = plan.steps[:2]
    progress(Event("started", first))
    progress(Event("waiting", second, 1.0, "i-0123456789abcdef0 to be running (now pending)"))
    assert shown(progress) == [
        (str(first.address), "is created"),
        (str(second.address), "waits to be running (now pending)"),
    ]
    progress(Event("done", first, 1.0, "vpc-1"))
    progress(Event("failed", second, 1.0, "AWS said no"))
    assert shown(progress) == []
    assert progress.summary().startswith("1 of 16 done · 1 failed · ")


def test_the_last_minute_has_the_load_balancer_and_its_targets(plan: Plan) -> None:
    progress = Progress(PLAIN, plan)
    for step in plan.steps:
        progress(Event("done", step))
    assert shown(progress) == [("the whole stack", "is read again: is all as the spec wants it?")]
    balancer, group = Address("load_balancer", "public"), Address("target_group", "web")
    targets = [Address("registration", f"web/web-{number}:80") for number in (1, 2, 3)]
    progress.waiting(Awaited(balancer, balancer, "the load balancer to be active (now provisioning)", "active"))
    for target in targets:
        progress.waiting(Awaited(target, group, "not looked at yet"))
    assert ("target_group.web", "not looked at yet") in shown(progress), "not that they are ill"
    for target in targets:
        progress.waiting(Awaited(target, group, TARGET))
    progress.waiting(Awaited(targets[0], group, ""))
    progress.waiting(Awaited(targets[1], group, TARGET.replace("initial Elb.Initial", "unhealthy Elb.Initial")))
    assert shown(progress) == [
        ("load_balancer.public", "waits to be active (now provisioning)"),
        ("target_group.web", "1 of 3 targets healthy (1 initial, 1 unhealthy)"),
    ]
    assert progress.summary().startswith("16 of 16 done · ")
    for address, within in ((balancer, balancer), *((target, group) for target in targets)):
        progress.waiting(Awaited(address, within, ""))
    assert shown(progress) == []


def test_without_a_terminal_each_wait_that_was_told_has_its_end(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(PLAIN, plan)
    balancer, group = Address("load_balancer", "public"), Address("target_group", "web")
    told, silent = (Address("registration", f"web/web-{number}:80") for number in (1, 2))
    progress.waiting(Awaited(balancer, balancer, "the load balancer to be active (now provisioning)", "active"))
    progress.waiting(Awaited(told, group, TARGET))
    progress.waiting(Awaited(silent, group, "not looked at yet"))
    progress.waiting(Awaited(balancer, balancer, "", "active"))
    for address, within in ((told, group), (silent, group)):
        progress.waiting(Awaited(address, within, ""))
    lines = capsys.readouterr().out.splitlines()
    assert [re.sub(r"[\d.]+ s", "0 s", line) for line in lines if "✓" in line] == [
        "  ✓ load_balancer.public active (0 s)",
        "  ✓ registration.web/web-1:80 healthy (0 s)",
    ]


@pytest.mark.parametrize("width", [20, 60, 80, 120, 200])
def test_no_line_is_wider_than_the_terminal(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    footer = Footer(PLAIN, width=width, height=10)
    rows = [
        Row(f"registration.{'web-' * number}{number}:80", "waits for " + "words " * 40, 61.0) for number in range(12)
    ]
    footer.show(rows, "0 of 12 done · 1m 1s · about 2m to 8m 20s left")
    lines = CURSOR.sub("", capsys.readouterr().out).splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) == 7, "as many as the terminal has room for"
    assert lines[5].strip() == "… and 7 more"
    footer.close()


@pytest.mark.parametrize(
    ("environment", "no_color", "colored", "fine"),
    [
        ({}, False, False, False),
        ({"FORCE_COLOR": "1", "TERM": "xterm-256color"}, False, True, True),
        ({"FORCE_COLOR": "0"}, False, False, False),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False, False),
        ({"FORCE_COLOR": "1"}, True, False, False),
        ({"NO_COLOR": ""}, False, False, False),
    ],
)
def test_who_decides_on_colours(
    environment: dict[str, str], no_color: bool, colored: bool, fine: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FORCE_COLOR", "NO_COLOR", "TERM", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    style = Style.detect(no_color=no_color)
    assert style.colored is colored
    assert style.fine is fine or not colored
