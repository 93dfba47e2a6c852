"""Coming over as a user does: what runs is exported, adopted as the export says, and changed; under traffic with SOAK=1."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.at_length import only_at_length
from tests.e2e.tool import DEMO, REGION, Account, Tool
from tests.processes import GUARD

if TYPE_CHECKING:
    from collections.abc import Iterator


def _come_over(tool: Tool, account: Account) -> None:
    """Let go of the demo, and bring it back by a spec that is written from what runs."""
    tool.run("apply", "--yes", DEMO)
    tool.run("release", "--yes", DEMO)
    (vpc,) = (item["VpcId"] for item in account.ec2.describe_vpcs()["Vpcs"] if not item["IsDefault"])
    _adopt_export(tool, vpc)


def _adopt_export(tool: Tool, vpc: str) -> None:
    said = tool.run("export", "--vpc", vpc, "-o", "over.yaml").stdout
    tool.run(*said.rpartition("Next: alb-reconcile ")[2].split(), "--yes")
    assert tool.plan("over.yaml")["steps"] == []


@only_at_length("tests/docs/test_docs_pages.py::test_pages_say_what_happens")
def test_what_runs_comes_over_and_is_changed(sandbox: Tool, account: Account) -> None:
    _come_over(sandbox, account)
    file = sandbox.folder / "over.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("interval_seconds: 10", "interval_seconds: 15"), encoding="utf-8")
    told = sandbox.run("apply", "--yes", "over.yaml").stdout
    assert "Converged." in told
    assert sandbox.plan("over.yaml")["steps"] == []


def test_a_reader_that_leaves_disturbs_nothing(sandbox: Tool, account: Account) -> None:
    vpc = account.ec2.create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
    with sandbox.started("export", "--vpc", vpc, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(GUARD) in (0, 1)
        assert process.stderr is not None
        assert process.stderr.read() == ""


soak_only = pytest.mark.skipif(not os.environ.get("SOAK"), reason="starts Envoy and rolls instances; with SOAK=1")


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[Tool]:
    """A sandbox of its own, whose load balancers carry requests."""
    tool = Tool(tmp_path, "--sandbox", ALB_RECONCILE_SANDBOX_TRAFFIC="on")
    tool.run("sandbox", "start", "--speed", "30")
    yield tool
    tool.run("sandbox", "stop")


@soak_only
def test_a_roll_after_coming_over_costs_no_request(busy: Tool) -> None:
    _come_over(busy, Account(busy.state()["port"]))
    _roll_under_requests(busy)


MAKERS = {
    "aws_cli.sh": ("aws", "the AWS CLI isn't there: pip install awscli"),
    "script.py": (sys.executable, ""),
    "playbook.yaml": ("ansible-playbook", "Ansible isn't there: pip install ansible boto3"),
}
"""What makes a service, the command that it needs, and why it is skipped without."""


@soak_only
@pytest.mark.parametrize("maker", MAKERS)
def test_what_another_tool_has_made_is_rolled_after_coming_over(busy: Tool, maker: str) -> None:
    command, reason = MAKERS[maker]
    if shutil.which(command) is None:
        pytest.skip(reason)
    file = Path(__file__).parent / "makers" / maker
    run = {".sh": ["sh"], ".py": [sys.executable], ".yaml": ["ansible-playbook"]}[file.suffix]
    where = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{busy.state()['port']}", "AWS_DEFAULT_REGION": REGION, "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "PWD": str(busy.folder),
    }  # fmt: skip
    made = subprocess.run([*run, file], cwd=busy.folder, env=busy.environment | where, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    vpc = (busy.folder / "vpc").read_text() if file.suffix == ".yaml" else made.stdout.split()[-1]
    _adopt_export(busy, vpc)
    _roll_under_requests(busy)
    assert busy.plan("over.yaml")["steps"] == []


def _roll_under_requests(tool: Tool) -> None:
    """Give all instances another type, while somebody asks all the time, and always gets an answer."""
    url = str(next(iter(_status(tool)["urls"])))
    codes: list[int] = []
    over = threading.Event()

    def ask() -> None:
        with httpx.Client(trust_env=False, timeout=GUARD) as client:
            while not over.is_set():
                codes.append(client.get(url).status_code)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        file = tool.folder / "over.yaml"
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace("instance_type: t3.micro", "instance_type: t3.small"), encoding="utf-8")
        tool.run("apply", "--yes", "--allow", "replace=9", "over.yaml")
    finally:
        over.set()
        asking.join()
    assert len(codes) > 100
    assert set(codes) == {200}


def _status(tool: Tool) -> dict[str, list[str]]:
    found: dict[str, list[str]] = json.loads(tool.run("status", "--format", "json", "over.yaml").stdout)
    return found
