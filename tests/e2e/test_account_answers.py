"""Answers of AWS's to `make test-aws MEASURE=…` are kept as files, and the sandbox is held to them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.account import answers, measurements
from tests.account.__main__ import main
from tests.e2e.test_account import NAMED
from tests.e2e.test_account import named as named  # a fixture

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.tool import Tool

NAME = "overlapping-range"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(answers, "FOLDER", tmp_path / "answers")
    return tmp_path / "answers" / f"{NAME}.json"


def test_an_account_answers_and_the_sandbox_is_held_to_it(
    file: Path, sandbox: Tool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (sandbox.environment | NAMED).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("tests.account.place.Place.real", lambda _self, seconds: seconds / 600)
    with monkeypatch.context() as on_aws:  # the sandbox is AWS, as far as the program can tell
        on_aws.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{sandbox.state()['port']}")
        on_aws.setenv("AWS_ACCESS_KEY_ID", "testing")
        on_aws.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        assert main(["measure", "--yes", NAME]) == 0
    told = json.loads(file.read_text())
    assert told["region"] == "us-east-1"
    assert told["question"] == measurements.ALL[NAME].question
    assert told["answers"][""].startswith("refused: InvalidVpc.Range “")
    capsys.readouterr()
    assert main(["measure", "--sandbox", "--yes", NAME]) == 0
    file.write_text(json.dumps(told | {"answers": {"": "refused: InvalidVpcRange"}}))
    assert main(["measure", "--sandbox", "--yes", NAME]) == 1
    said = capsys.readouterr()
    assert (
        f"✗ {NAME}: AWS, us-east-1, {told['measured']}: refused: InvalidVpcRange; here: refused: InvalidV" in said.err
    )
    assert main(["measure", "--sandbox", "--yes", "words-of-route53"]) == 0, "nothing is kept of that one"


@pytest.mark.usefixtures("named")
def test_the_sandbox_answers_as_aws_has() -> None:
    """Whatever is kept that needs no service; tests/load asks for the rest."""
    kept = [file.stem for file in answers.FOLDER.glob("*.json")]
    assert set(kept) <= set(measurements.ALL), "of a measurement that there isn't any more"
    alone = [name for name in kept if not measurements.ALL[name].on_service]
    assert main(["measure", "--sandbox", "--yes", NAME, *alone]) == 0


@pytest.mark.parametrize(
    ("aws", "here", "is_right"),
    [
        ("refused: InvalidVpc.Range “The CIDR …”", "refused: InvalidVpc.Range “It overlaps”", True),
        ("refused: InvalidVpc.Range “The CIDR …”", "refused: InvalidParameterValue “The CIDR …”", False),
        ("accepted", "refused: InvalidVpc.Range", False),
        ("active after 164.2 s", "active after 60.0 s", True),
        ("active after 3 min", "active after 164.2 s", True),
        ("active after 164.2 s", "active after 40.0 s", False),
        ("active after 20.0 s", "active after 1.0 s", True),  # as long as one call may take in a fast sandbox
        ("yes, after 9 s", "no, after 9 s", False),
        ("with status 200", "with status 502", False),
    ],
)
def test_codes_agree_exactly_and_times_roughly(aws: str, here: str, *, is_right: bool) -> None:
    assert answers.agree(aws, here) == answers.agree(here, aws) == is_right


def test_what_the_sandbox_cant_know_is_left_out(file: Path) -> None:
    file.parent.mkdir()
    told = {
        "measured": "2026-12-01",
        "region": "eu-west-1",
        "answers": {"interfaces": "for 60.0 s", "name": "for 90.0 s"},
    }
    file.write_text(json.dumps(told))
    assert answers.differences(NAME, {"interfaces": "for 65.0 s"}) == []
    assert answers.differences(NAME, {"interfaces": "for 600.0 s"}) == [
        "interfaces: AWS, eu-west-1, 2026-12-01: for 60.0 s; here: for 600.0 s"
    ]
    (nothing,) = answers.differences(NAME, {"other": "yes"})
    assert "nothing of it" in nothing
