"""Coming over as a user does: what runs is exported, adopted as the export says, and changed; under traffic with SOAK=1."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.e2e.tool import DEMO, Account, Tool
from tests.processes import GUARD

if TYPE_CHECKING:
    from pathlib import Path


def _come_over(tool: Tool, account: Account) -> None:
    """Let go of the demo, and bring it back by a spec that is written from what runs."""
    tool.run("apply", "--yes", DEMO)
    tool.run("release", "--yes", DEMO)
    (vpc,) = (item["VpcId"] for item in account.ec2.describe_vpcs()["Vpcs"] if not item["IsDefault"])
    said = tool.run("export", "--vpc", vpc, "-o", "over.yaml").stdout
    tool.run(*said.rpartition("Next: alb-reconcile ")[2].split(), "--yes")
    assert tool.plan("over.yaml")["steps"] == []


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


@pytest.mark.skipif(not os.environ.get("SOAK"), reason="starts Envoy and rolls twice; with SOAK=1")
def test_a_roll_after_coming_over_costs_no_request(tmp_path: Path) -> None:
    tool = Tool(tmp_path, "--sandbox", ALB_RECONCILE_SANDBOX_TRAFFIC="on")
    tool.run("sandbox", "start", "--speed", "30")
    try:
        _come_over(tool, Account(tool.state()["port"]))
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
    finally:
        tool.run("sandbox", "stop")


def _status(tool: Tool) -> dict[str, list[str]]:
    found: dict[str, list[str]] = json.loads(tool.run("status", "--format", "json", "over.yaml").stdout)
    return found
