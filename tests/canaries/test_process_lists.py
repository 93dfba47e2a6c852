"""Real commands with secrets in all places, held at a gate: no process that runs meanwhile has one among its arguments, and none that they
have started has one in its environment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import alb_reconcile
from tests.canaries.canaries import leaks, leaks_in_files
from tests.canaries.process_lists import descendants, process_list, texts_of
from tests.canaries.test_canaries import ENVIRONMENT, FILES, SECRETS, SOUGHT
from tests.e2e.proxy import in_front_of
from tests.e2e.tool import Tool, client
from tests.processes import rest_of, until

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.canaries.process_lists import Child

ALL = {
    **ENVIRONMENT,
    "AWS_ACCESS_KEY_ID": "testing",
    "ALB_RECONCILE_WEBHOOK_URL": f"https://hooks.example.com/{SECRETS['webhook URL']}",
    "ALB_RECONCILE_FLEET_QUEUE": f"redis://:{SECRETS['queue']}@127.0.0.1:1/0",
    "OTEL_EXPORTER_OTLP_HEADERS": f"x-api-key={SECRETS['OTLP header']}",
    "PYTHONPATH": str(Path(alb_reconcile.__file__).parent.parent),
}
"""The environment of each command."""
PARTS = ("process_reaper.py", "envoy", "web-api.py")
"""Of the arguments of what a sandbox has started."""


def write_files(folder: Path) -> list[Path]:
    """What a user has."""
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in FILES]


def in_arguments(children: Iterable[Child]) -> dict[str, set[str]]:
    """The secrets that are among the arguments, by process."""
    found = {place: leaks(SOUGHT, text) for place, text in texts_of(children).items()}
    return {place: names for place, names in found.items() if names}


def in_environments(children: Iterable[Child]) -> dict[str, set[str]]:
    """The same of their environments."""
    found = {child.command: leaks(SOUGHT, child.environment) for child in children}
    return {command: names for command, names in found.items() if names}


def of(pid: int) -> dict[int, Child]:
    """What a process has started and that runs, by ids."""
    found = process_list()
    return {each: found[each] for each in descendants([pid]) - {pid} if each in found}


@pytest.mark.slow
def test_no_process_of_an_apply_and_its_sandbox_has_a_secret(tmp_path: Path) -> None:
    """The sandbox, its Envoy and its instances go on when the command has ended."""
    tool = Tool(tmp_path / "sandbox", "--sandbox", **{**ALL, "ALB_RECONCILE_SANDBOX_TRAFFIC": "on"})
    with tool.started("sandbox", "start", "--speed", "300") as starting:
        said = rest_of(starting)
    try:
        sandbox = int(tool.state()["pid"])
        client("s3", tool.state()["port"]).create_bucket(Bucket="leases")
        with in_front_of(tool, tmp_path / "user") as (proxy, host):
            host.environment |= ALL
            inputs = write_files(host.folder)
            gate = proxy.hold("CreateListener")
            with host.started("apply", "--yes", "-vv", "stack.yaml") as process:
                gate.wait()
                until(lambda: all(part in str(of(sandbox).values()) for part in PARTS))
                everything, started = process_list(), of(sandbox) | of(process.pid)
                process.kill()
                said += rest_of(process)
        assert b"stack.yaml" in everything[process.pid].arguments
        assert in_arguments(everything.values()) == {}
        assert in_environments([everything[sandbox], *started.values()]) == {}
        assert "elbv2 create_load_balancer" in said
        assert leaks(SOUGHT, said) == set()
        assert leaks_in_files(SOUGHT, tmp_path, inputs) == {}
    finally:
        with tool.started("sandbox", "stop") as stopping:
            rest_of(stopping)
