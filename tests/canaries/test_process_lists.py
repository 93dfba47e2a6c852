"""Real commands with secrets in all places, held at a gate: no process that runs meanwhile has one among its arguments, and none that they
have started has one in its environment."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from subprocess import PIPE
from typing import TYPE_CHECKING

import pytest
import yaml

import alb_reconcile
from tests.canaries.canaries import canary, leaks, leaks_in_files, plain_canary
from tests.canaries.process_lists import descendants, process_list, recorded_children, texts_of
from tests.canaries.test_canaries import CERTIFICATE, ENVIRONMENT, FLEET, FORMS, KEY, SECRETS, SMALL, SOUGHT, spec
from tests.e2e.proxy import in_front_of
from tests.e2e.tool import Tool, client
from tests.journal.receiver import receiving
from tests.processes import read_until, rest_of, until
from tests.redis_server import running_redis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

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
FILES = {
    "stack.yaml": yaml.safe_dump(spec(), sort_keys=False, allow_unicode=True),
    "start.sh": f"#!/bin/sh\nexport PASSWORD='{SECRETS['user data file']}'\n",
    "oidc": SECRETS["oidc file"],
    "own.pem": CERTIFICATE,
    "own.key": KEY,
    "fleet.yaml": FLEET,
    "small.yaml": SMALL,
}
PARTS = ("process_reaper.py", "envoy", "web-api.py")
"""Of the arguments of what a sandbox has started."""
PROBES = {"any": canary("probe"), "plain": plain_canary("probe"), "key": KEY.split("\n")[12]}
"""Others than those that are sought: other tests may search the same machine meanwhile."""


def write_files(folder: Path) -> list[Path]:
    """What a user has."""
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in FILES]


def in_arguments(children: Iterable[Child], secrets: Mapping[str, str | bytes] = SOUGHT) -> dict[str, set[str]]:
    """The secrets that are among the arguments, by process."""
    found = {place: leaks(secrets, text) for place, text in texts_of(children).items()}
    return {place: names for place, names in found.items() if names}


def in_environments(children: Iterable[Child], secrets: Mapping[str, str | bytes] = SOUGHT) -> dict[str, set[str]]:
    """The same of their environments."""
    found = {child.command: leaks(secrets, child.environment) for child in children}
    return {command: names for command, names in found.items() if names}


def of(pid: int) -> dict[int, Child]:
    """What a process has started and that runs, by ids."""
    found = process_list()
    return {each: found[each] for each in descendants([pid]) - {pid} if each in found}


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


def test_no_process_of_a_fleets_queue_has_a_secret(tmp_path: Path) -> None:
    """The clock has put cells on a queue that asks for a password; the worker, which has one of them, waits for AWS."""
    pytest.importorskip("celery", reason="the extra fleet isn't installed")
    from redis import Redis

    (tmp_path / "redis").mkdir()
    with running_redis(tmp_path / "redis") as port, receiving(manner="hang") as aws:
        with Redis(port=port) as server:
            server.config_set("requirepass", SECRETS["queue"])
        queue = f"redis://:{SECRETS['queue']}@127.0.0.1:{port}/0"
        tool = Tool(tmp_path / "user", "-v", "--endpoint-url", f"http://127.0.0.1:{aws.port}", **ALL)
        tool.environment["ALB_RECONCILE_FLEET_QUEUE"] = queue
        inputs = write_files(tool.folder)
        with tool.started("fleet", "beat") as beat, tool.started("fleet", "worker") as worker:
            said = read_until(beat, "enqueued") + read_until(worker, "worker_ready")
            until(lambda: aws.requests)
            everything, started = process_list(), of(beat.pid) | of(worker.pid)
            for process in (beat, worker):
                process.kill()
                said += rest_of(process)
    assert {beat.pid, worker.pid} <= everything.keys()
    assert in_arguments(everything.values()) == {}
    assert in_environments(started.values()) == {}
    assert leaks(SOUGHT, said) == set()
    assert leaks_in_files(SOUGHT, tmp_path / "user", inputs) == {}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", PROBES)
def test_a_leak_in_a_process_list_would_be_found(name: str, form: Callable[[str], str]) -> None:
    """In each form, among the arguments and in the environment, in what was started and in what runs."""
    text = form(PROBES[name])
    command = [sys.executable, "-c", "print(flush=True); input()", f"--x={text}"]
    with (
        recorded_children() as children,
        subprocess.Popen(command, stdin=PIPE, stdout=PIPE, encoding="utf-8", env={"X": f"y{text}"}) as process,
    ):
        read_until(process, "\n")
        seen = [process_list()[process.pid], of(os.getpid())[process.pid]]
        process.communicate("\n")
    for child in (*children, *seen):
        assert in_arguments([child], PROBES) == {"process 1": {name}}
        assert in_environments([child], PROBES) == {child.command: {name}}


@pytest.mark.parametrize(
    "start",
    [
        lambda secret: subprocess.run(["true", secret], check=True),
        lambda secret: subprocess.run(f"true {secret}", shell=True, check=True),
        lambda secret: os.waitpid(os.posix_spawn("/bin/true", ["true", secret], {}), 0),
        lambda secret: os.execv("/nonexistent", ["true", secret]),
        lambda secret: os.system(f"true {secret}"),
    ],
    ids=["list", "shell", "posix_spawn", "exec", "system"],
)
def test_each_way_to_start_a_process_is_recorded(start: Callable[[str], object]) -> None:
    with recorded_children() as children, suppress(FileNotFoundError):
        start(PROBES["plain"])
    assert in_arguments(children, PROBES)["process 1"] == {"plain"}
    before = len(children)
    subprocess.run(["true"], check=True)
    assert len(children) == before
