"""A fleet where nothing can be written but one folder, as examples/fleet-cloudformation.yaml runs the image."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.e2e.tool import COMMAND
from tests.processes import GUARD, default_signals

if TYPE_CHECKING:
    from tests.e2e.tool import Tool

pytest.importorskip("celery", reason="the extra fleet isn't installed")

from tests.e2e.fleets import OnQueue, make_fleet, make_queue

ROOT: Final = Path(__file__).parent.parent.parent
_IMAGE: Final = (ROOT / "Containerfile").read_text(encoding="utf-8")
_SEALED: Final = """
set -eu
mount --bind "$1" "$1"
while read -r _ place _; do
    case $place in
        /proc | /proc/* | /sys | /sys/* | /dev | /dev/* | "$1") ;;
        *) mount -o remount,bind,ro "$place" ;;
    esac
done < /proc/mounts
cd /
shift
exec "$@"
"""
"""Runs a command in a mount namespace where only the first argument's folder can be written."""


def _may_seal() -> bool:
    tried = ["unshare", "--mount", "true"]
    return bool(shutil.which(tried[0])) and subprocess.run(tried, capture_output=True, check=False).returncode == 0


def _sealed(state: Path) -> list[str]:
    return ["unshare", "--mount", "sh", "-c", _SEALED, "sealed", str(state)]


pytestmark = pytest.mark.skipif(not _may_seal(), reason="no mount namespace can be made here: it takes root")


@pytest.fixture
def fleet(sandbox: Tool) -> OnQueue:
    """One whose stack has drifted, with its cell on the queue."""
    found = make_fleet(sandbox, ("111111111111",), ("us-east-1",), make_queue(sandbox, visibility=2, receives=3))
    found.apply()
    found.drift()
    sandbox.run("fleet", "enqueue", "--queue", found.url, "--account", "111111111111")
    return found


@pytest.fixture
def environment(fleet: OnQueue) -> dict[str, str]:
    """What a task of ECS has, but for the image's own."""
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{fleet.port}", "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing", "AWS_EC2_METADATA_DISABLED": "true", "ALB_RECONCILE_FLEET_QUEUE": fleet.url,
    }  # fmt: skip


def _own(state: Path) -> dict[str, str]:
    """The variables that the image sets, with another folder in the place of its volume."""
    (text,) = re.findall(r"^ENV ((?:.*\\\n)*.*)$", _IMAGE, re.MULTILINE)
    pairs = dict(pair.split("=", 1) for pair in text.replace("\\\n", "").split())
    return {name: re.sub(r"^/state", str(state), value) for name, value in pairs.items() if name != "PATH"}


@pytest.fixture
def sealed(tmp_path: Path, environment: dict[str, str]) -> tuple[list[str], dict[str, str]]:
    """How commands are run, and their environment."""
    state = tmp_path / "volume"
    state.mkdir()
    variables = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **environment, **_own(state)}
    written = [*_sealed(state), "sh", "-c", "touch /tmp/written /var/tmp/written /written"]
    assert subprocess.run(written, env=variables, capture_output=True, check=False).returncode != 0
    assert not Path("/tmp/written").exists()
    return [*_sealed(state), COMMAND], variables


def test_a_worker_corrects_a_cell(fleet: OnQueue, sealed: tuple[list[str], dict[str, str]]) -> None:
    command, environment = sealed
    worker = [*command, "fleet", "worker", str(fleet.tool.folder / "fleet.yaml")]
    with default_signals():
        process = subprocess.Popen(worker, env=environment, stderr=subprocess.PIPE, encoding="utf-8")
    with process:
        assert process.stderr is not None
        told = []
        for line in process.stderr:
            told.append(line)
            if '"cell_done"' in line or not line.startswith("{"):
                process.terminate()
        process.wait(GUARD)
    (done,) = [found for line in told if (found := json.loads(line))["event"] == "cell_done"]
    assert (done["result"], done["message"], done["stacks"]) == ("succeeded", "done", {"corrected": 1}), told
    assert process.returncode == 0
    (cell,) = fleet.cells()
    assert fleet.groups(cell) == 1
