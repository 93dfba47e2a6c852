"""`make test-aws` in the sandbox, in its cheapest form, and `make test-aws-clean`; tests/load has the rest, for `make soak`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.account import answers, measurements
from tests.account.__main__ import main
from tests.account.place import ACCOUNT, REGION, TAG
from tests.forked import run_forked
from tests.processes import GUARD

if TYPE_CHECKING:
    from tests.e2e.tool import Account, Tool

ROOT = Path(__file__).parent.parent.parent
NAMED = {ACCOUNT: "123456789012", REGION: "us-east-1"}


@pytest.fixture
def named(sandbox: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sandbox is the account that is named."""
    for name, value in (NAMED | sandbox.environment).items():
        monkeypatch.setenv(name, value)


NETWORK = """stack: small
region: us-east-1
vpcs: {main: {cidr_block: 10.0.0.0/16}}
subnets: {one: {cidr_block: 10.0.0.0/24, availability_zone: a}}
"""


def quietly(arguments: list[str], folder: Path, given: Mapping[str, str]) -> tuple[int, str]:
    """The command line in a process that is forked."""
    ended = run_forked(arguments, folder=folder, environment=os.environ | given, timeout=GUARD)
    return ended.returncode, ended.stdout + (ended.stderr if ended.returncode else "")


@pytest.mark.usefixtures("named")
def test_a_stack_lives_and_leaves_nothing(
    account: Account, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.account.__main__.secrets.token_hex", lambda _: "4b22e3")  # in YAML 1.2 a number
    before = account.census()
    (tmp_path / "small.yaml").write_text(NETWORK)
    assert main(["try", "--sandbox", "--yes", str(tmp_path / "small.yaml")], quietly) == 0
    assert "all of it holds" in capsys.readouterr().out
    assert account.census() == before


@pytest.mark.usefixtures("named")
def test_what_a_killed_run_left_is_removed_and_nothing_else(account: Account) -> None:
    def vpcs() -> set[str]:
        return {item["VpcId"] for item in account.ec2.describe_vpcs()["Vpcs"]}

    before = vpcs()
    left, stranger = (account.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"] for _ in range(2))
    for vpc, key in ((left, TAG), (stranger, f"{TAG}s")):
        account.ec2.create_tags(Resources=[vpc], Tags=[{"Key": key, "Value": "4b22e3"}])
    for words, kept in ((["--run", "another"], {left, stranger}), ([], {stranger})):
        assert main(["clean", "--sandbox", "--yes", *words]) == 0
        assert vpcs() == before | kept


@pytest.mark.usefixtures("named")
@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (ACCOUNT, None, f"{ACCOUNT} must be set"),
        (REGION, None, f"{REGION} must be set"),
        (ACCOUNT, "210987654321", "the credentials are those of account 123456789012"),
        (REGION, "us-east-1", "Nothing was done.\n"),  # since "yes" isn't the account's id
        (REGION, "us-east-1", "2 × NAT gateway"),
    ],
)
def test_nothing_is_made_without_a_word(
    name: str, value: str | None, said: str, account: Account, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    before = account.census()
    monkeypatch.setattr("builtins.input", lambda _: "yes")
    if value is None:
        monkeypatch.delenv(name)
    else:
        monkeypatch.setenv(name, value)
    assert main(["try", "--sandbox", "private"]) == 2
    told = capsys.readouterr()
    assert said in told.out + told.err
    assert account.census() == before


NAME = "overlapping-range"


@pytest.mark.usefixtures("named")
def test_the_sandbox_answers_as_aws_has() -> None:
    """Whatever is kept that needs no service; tests/load asks for the rest."""
    found = [file.stem for file in answers.FOLDER.glob("*.json")]
    assert set(found) <= set(measurements.ALL), "of a measurement that there isn't any more"
    alone = [name for name in found if not measurements.ALL[name].on_service]
    assert main(["measure", "--sandbox", "--yes", NAME, *alone]) == 0


def test_the_page_has_each_measurement() -> None:
    page = (ROOT / "docs" / "explanation" / "real-account.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert rows == [f"| `{each.name}` | {each.question} |" for each in measurements.ALL.values()]
