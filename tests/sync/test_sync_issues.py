"""`sync --issue` from the command line: drift by hand, who it was by CloudTrail, and the issue's end."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from alb_reconcile.cli.main import main
from alb_reconcile.journal.history import write_history
from alb_reconcile.journal.record import StepRecord
from alb_reconcile.model.host import iso
from alb_reconcile.sandbox.strict import StrictAws
from tests.harness import FAKE_ENVIRONMENT
from tests.journal.records import made

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SPEC = """\
stack: shop
region: us-east-1
vpcs: {main: {cidr_block: 10.0.0.0/16, enable_dns_hostnames: true}}
sync: {report: [update]}
"""


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StrictAws]:
    for name, value in FAKE_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ALB_RECONCILE_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("ALB_RECONCILE_LOCK_DIR", str(tmp_path / "locks"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stack.yaml").write_text(SPEC)
    with StrictAws(clock=time.monotonic) as strict:
        yield strict


def sync() -> int:
    return main(["sync", "stack.yaml", "--issue", "issues"])


def switch(ec2: Any, *, on: bool) -> str:
    """Somebody changes the stack's VPC by hand. Returns its id."""
    [vpc] = [item["VpcId"] for item in ec2.describe_vpcs()["Vpcs"] if not item["IsDefault"]]
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": on})
    return str(vpc)


def test_what_a_killed_run_left_is_told_until_it_is_done(
    aws: StrictAws, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["apply", "stack.yaml", "--yes"]) == 0
    vpc = switch(boto3.client("ec2"), on=False)
    cut = StepRecord(f"update:vpc.main@{vpc}", "update", how="interrupted")
    killed = made(command="apply", stack="shop", region="us-east-1", account="123456789012", steps=(cut,))
    now = iso(time.time())
    write_history(replace(killed, started=now, ended=now, result="interrupted"), tmp_path / "state")
    told = "which was interrupted: vpc.main; `alb-reconcile apply"
    assert main(["sync", "stack.yaml"]) == 2
    assert told in capsys.readouterr().out
    (tmp_path / "stack.yaml").write_text(SPEC.replace("report", "correct"))
    assert main(["sync", "stack.yaml"]) == 0
    out = capsys.readouterr().out
    assert "corrected  1 updated" in out
    assert told not in out, "nothing is left to continue"
    assert "what is called drift here may be left by the apply of" in out
    (tmp_path / "stack.yaml").write_text(SPEC)
    assert main(["sync", "stack.yaml"]) == 0
    assert "left by" not in capsys.readouterr().out


def test_drift_is_an_issue_until_it_is_gone(aws: StrictAws, tmp_path: Path) -> None:
    assert main(["apply", "stack.yaml", "--yes"]) == 0
    assert sync() == 0
    assert not (tmp_path / "issues").exists()
    vpc = switch(ec2 := boto3.client("ec2"), on=False)
    assert sync() == 2
    [file] = (tmp_path / "issues").glob("*.md")
    text = file.read_text(encoding="utf-8")
    assert "State: open" in text
    assert "### `update vpc.main`" in text
    assert f"- `{vpc}`" in text
    assert "enable_dns_hostnames: false → true" in text
    assert "- Last changed by `arn:aws:sts::123456789012:user/moto`: `ModifyVpcAttribute`" in text
    assert sync() == 2
    assert file.read_text(encoding="utf-8") == text
    switch(ec2, on=True)
    assert sync() == 0
    assert "State: closed" in file.read_text(encoding="utf-8")
