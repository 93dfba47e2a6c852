"""What `make test-aws` does in a real account, done in the sandbox: a stack's life, and questions that AWS is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from tests.account.__main__ import STACKS, main
from tests.account.place import ACCOUNT, REGION
from tests.account.service import SPECS
from tests.forked import run_forked
from tests.load.stage import LONGEST, SOAK

if TYPE_CHECKING:
    from pathlib import Path

    from tests.account.place import Program
    from tests.load.stage import Stage

MEASURED = [
    "case-of-host-headers",
    "http-tokens-alone",
    "overlapping-range",
    "propagation-of-rules",
    "words-of-route53",
]


@pytest.fixture
def program(hasty: Stage, monkeypatch: pytest.MonkeyPatch) -> Program:
    """The command line in an environment in which the sandbox is the account."""
    environment = hasty.tool.environment
    for name, value in ({ACCOUNT: "123456789012", REGION: "us-east-1"} | environment).items():
        monkeypatch.setenv(name, value)

    def run(arguments: list[str], folder: Path) -> tuple[int, str]:
        ended = run_forked(arguments, folder=folder, environment=environment, timeout=LONGEST)
        return ended.returncode, ended.stdout + ended.stderr

    return run


def one_instance(folder: Path) -> str:
    """The demo with one instance: the smallest stack that can be rolled."""
    spec = yaml.safe_load((SPECS / "demo.yaml").read_text(encoding="utf-8"))
    spec["instances"]["web"] |= {"count": 1, "rollout": {"max_surge": 1, "min_ready": "0s", "health_timeout": "2h"}}
    file = folder / "one.yaml"
    file.write_text(yaml.safe_dump(spec), encoding="utf-8")
    return str(file)


def test_a_stack_lives_and_leaves_nothing(program: Program, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stacks = STACKS if SOAK else [one_instance(tmp_path)]
    ended = main(["try", "--sandbox", "--yes", *stacks], program)
    said = capsys.readouterr()
    assert ended == 0, said
    assert said.out.count("requests failed\n") == said.out.count("all of it holds") == len(stacks)
    assert "0.0225 USD/h" in said.out


def test_each_question_has_an_answer(program: Program, capsys: pytest.CaptureFixture[str]) -> None:
    ended = main(["measure", "--sandbox", "--yes", *(["all"] if SOAK else MEASURED)], program)
    said = capsys.readouterr()
    assert ended == 0, said
    assert said.out.count("→ ") == said.out.count("━━ ") >= len(MEASURED)
    assert "shown as Api.Example.COM" in said.out
    assert "InvalidVpc.Range" in said.out
