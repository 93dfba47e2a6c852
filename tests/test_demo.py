"""The demos: they end well, and fail where something that they say isn't so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.verification.client import Endpoint, Reply, Shot
from alb_reconcile.verification.load import Answer
from alb_reconcile.verification.matching import Request
from tests.demo import STORIES, Stage, chart, check, perform

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
@pytest.mark.parametrize("name", STORIES)
def test_a_demo_is_true(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.demo", name],
        cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("This is alb-reconcile on a local AWS"), "it says at once what it waits for"
    assert "✓ " in done.stdout
    assert "The local AWS has ended." in done.stdout


def says_what_is_not_so(stage: Stage) -> None:
    check([1, 2], "The first claim holds.")
    check([], "The two instances take turns.")


def runs_what_fails(stage: Stage) -> None:
    stage.run("validate", "nothing.yaml")


@pytest.mark.parametrize(
    ("story", "claim"),
    [
        (says_what_is_not_so, "The two instances take turns."),
        (runs_what_fails, "the command exits with 0; it was 3"),
    ],
)
def test_a_claim_that_is_not_true_fails_the_demo(
    story: Callable[[Stage], None], claim: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert perform(story) == 1
    assert f"This isn't true: {claim}" in capsys.readouterr().err


def test_a_chart_has_each_versions_share_of_a_time() -> None:
    shot = Shot("demo", Endpoint("localhost", 80, 80), Request("localhost"))
    pairs = [("1", "1")] * 6 + [("1", "2")] + [("2", "2")] * 5
    answers = [
        Answer(shot, float(second), 0, 0.01, Reply(200, version=version))
        for second, pair in enumerate(pairs)
        for version in pair
    ]
    lines = chart(answers).splitlines()
    assert lines[0].split("s  ")[1] == "░" * 40 + "   version 1    2   version 2    0"
    assert lines[6].split("s  ")[1] == "░" * 20 + "█" * 20 + "   version 1    1   version 2    1"
    assert lines[11].split("s  ")[1] == "█" * 40 + "   version 1    0   version 2    2"
