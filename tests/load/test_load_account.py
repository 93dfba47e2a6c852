"""What `make test-aws` does in a real account, done in the sandbox: a stack's life, and questions that AWS is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.account import measurements
from tests.account.__main__ import STACKS, main
from tests.account.place import ACCOUNT, REGION
from tests.forked import run_forked
from tests.load.stage import LONGEST

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.account.place import Program
    from tests.load.stage import Stage


@pytest.fixture
def program(hasty: Stage, monkeypatch: pytest.MonkeyPatch) -> Program:
    """The command line in an environment in which the sandbox is the account."""
    environment = hasty.tool.environment
    for name, value in ({ACCOUNT: "123456789012", REGION: "us-east-1"} | environment).items():
        monkeypatch.setenv(name, value)

    def run(arguments: list[str], folder: Path, given: Mapping[str, str]) -> tuple[int, str]:
        ended = run_forked(arguments, folder=folder, environment={**environment, **given}, timeout=LONGEST)
        return ended.returncode, ended.stdout + (ended.stderr if ended.returncode else "")

    return run


def test_stacks_live_and_leave_nothing(program: Program, capsys: pytest.CaptureFixture[str]) -> None:
    ended = main(["try", "--sandbox", "--yes"], program)
    said = capsys.readouterr()
    assert ended == 0, said
    assert said.out.count("requests failed\n") == said.out.count("all of it holds") == len(STACKS)


def test_each_question_has_an_answer(program: Program, capsys: pytest.CaptureFixture[str]) -> None:
    ended = main(["measure", "--sandbox", "--yes", "all"], program)
    said = capsys.readouterr()
    assert ended == 0, said
    assert said.out.count("→ ") == len(measurements.ALL)
