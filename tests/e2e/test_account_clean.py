"""`make test-aws-clean`: what a killed `make test-aws` leaves in the account is found and removed, and nothing else is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.account import measurements
from tests.account.__main__ import main
from tests.account.place import ACCOUNT, REGION, TAG
from tests.processes import until

if TYPE_CHECKING:
    from tests.e2e.tool import Account, Tool

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def named(sandbox: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sandbox is the account that is named."""
    for name, value in ({ACCOUNT: "123456789012", REGION: "us-east-1"} | sandbox.environment).items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("named")
def test_what_a_killed_run_left_is_removed(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    stranger = account.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    account.ec2.create_tags(Resources=[stranger], Tags=[{"Key": f"{TAG}s", "Value": "near miss"}])
    before = account.census()
    command = [sys.executable, "-m", "tests.account", "try", "--sandbox", "--yes", "runbook"]
    with subprocess.Popen(
        command, cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as running:
        until(lambda: account.elb.describe_load_balancers()["LoadBalancers"])
        os.killpg(running.pid, signal.SIGKILL)
    assert account.census() != before
    assert main(["clean", "--sandbox", "--yes", "--run", "another"]) == 0
    assert account.census() != before
    assert main(["clean", "--sandbox", "--yes"]) == 0
    assert account.census() == before
    assert not account.ec2.describe_key_pairs()["KeyPairs"]
    assert not account.ec2.describe_addresses()["Addresses"]
    capsys.readouterr()
    assert main(["clean", "--sandbox"]) == 0
    assert capsys.readouterr().out == f"Nothing in us-east-1 has the tag {TAG}.\n"


@pytest.mark.usefixtures("named")
@pytest.mark.parametrize("name", [ACCOUNT, REGION])
def test_it_doesnt_guess_where(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv(name)
    assert main(["try", "--sandbox", "--yes"]) == 2
    assert f"{name} must be set" in capsys.readouterr().err


@pytest.mark.usefixtures("named")
def test_another_account_is_refused(
    account: Account, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = account.census()
    monkeypatch.setenv(ACCOUNT, "210987654321")
    assert main(["try", "--sandbox", "--yes"]) == 2
    assert "the credentials are those of account 123456789012" in capsys.readouterr().err
    assert account.census() == before


@pytest.mark.usefixtures("named")
def test_nothing_is_made_without_a_word(
    account: Account, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The costs are shown, and whoever doesn't type the account's id has changed their mind."""
    before = account.census()
    monkeypatch.setattr("builtins.input", lambda _: "yes")
    assert main(["try", "--sandbox", "private"]) == 2
    said = capsys.readouterr()
    assert "0.16 USD an hour\n" in said.out
    assert "2 × NAT gateway" in said.out
    assert "4 × public IPv4 address" in said.out
    assert said.err == "Nothing was done.\n"
    assert account.census() == before


def test_the_page_has_each_measurement() -> None:
    page = (ROOT / "docs" / "explanation" / "real-account.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert rows == [f"| `{each.name}` | {each.question} |" for each in measurements.ALL.values()]
