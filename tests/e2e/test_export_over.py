"""Coming over as a user does: what another tool has made is exported, adopted and changed, under traffic."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.tool import REGION, Tool
from tests.load.sender import Load

if TYPE_CHECKING:
    from collections.abc import Iterator


MAKERS = {"aws_cli.sh": "sh", "script.py": sys.executable, "playbook.yaml": "ansible-playbook"}
"""What makes a service, and what runs it."""
NEEDED = {"aws_cli.sh": "aws", "playbook.yaml": "ansible-playbook"}


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[Tool]:
    """A sandbox of its own, whose load balancers carry requests."""
    tool = Tool(tmp_path, "--sandbox", ALB_RECONCILE_SANDBOX_TRAFFIC="on")
    tool.run("sandbox", "start", "--speed", "30")
    yield tool
    tool.run("sandbox", "stop")


@pytest.mark.parametrize("maker", MAKERS)
def test_what_another_tool_has_made_is_rolled_after_coming_over(busy: Tool, maker: str) -> None:
    """Exported, adopted as the export says, and rolled: no request fails."""
    if maker in NEEDED and shutil.which(NEEDED[maker]) is None:
        pytest.skip(f"{NEEDED[maker]} isn't there: pip install awscli ansible boto3")
    where = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{busy.state()['port']}", "AWS_DEFAULT_REGION": REGION, "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "PWD": str(busy.folder),
    }  # fmt: skip
    made = subprocess.run(
        [MAKERS[maker], Path(__file__).parent / "makers" / maker], cwd=busy.folder, env=busy.environment | where,
        capture_output=True, text=True,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    vpc = (busy.folder / "vpc").read_text() if maker.endswith(".yaml") else made.stdout.split()[-1]
    said = busy.run("export", "--vpc", vpc, "-o", "over.yaml").stdout
    busy.run(*said.rpartition("Next: alb-reconcile ")[2].split(), "--yes")
    assert busy.plan("over.yaml")["steps"] == []
    file = busy.folder / "over.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("t3.micro", "t3.small"), encoding="utf-8")
    (url, *_) = json.loads(busy.run("status", "--format", "json", "over.yaml").stdout)["urls"]
    with Load(url, rate=50) as load:
        load.until(50)
        busy.run("apply", "--yes", "--allow", "replace=9", "over.yaml")
        load.more(50)
    assert load.failures[:5] == []
    assert busy.plan("over.yaml")["steps"] == []
