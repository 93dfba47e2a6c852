"""Instances as processes: what they are told, and that they end when they have to, whatever ends the sandbox."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import pytest

from alb_reconcile.sandbox.traffic.processes import Processes, Program
from alb_reconcile.sandbox.traffic.snapshot import Instance
from tests.processes import GUARD, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alb_reconcile.sandbox.client import Process

PYTHON = f"{sys.executable} -I -S -c"
ONE = Instance("i-1", "running", "us-east-1a", "10.0.1.5", "abc123", 1, (80,))
TWO = Instance("i-2", "running", "us-east-1b", "10.0.2.5", "abc123", 1, (80,))
DIRECT = build_opener(ProxyHandler({}))
SLEEPS = f"{PYTHON} 'import time; time.sleep(600)'"


class Machine:
    """Processes, stepped by the test as the sandbox steps them."""

    def __init__(self, folder: Path, serve: str = "") -> None:
        self.now = 1000.0
        self.folder = folder
        self.processes = Processes(Program.choose(serve, folder), folder / "instances", clock=lambda: self.now)

    def step(self, *instances: Instance) -> dict[str, Process]:
        self.processes.begin(instances)
        self.processes.end()
        return {item.instance_id: item for item in self.processes.tell()}

    def until(self, holds: Callable[[dict[str, Process]], object], *instances: Instance) -> dict[str, Process]:
        told: dict[str, Process] = {}

        def look() -> object:
            told.update(self.step(*instances))
            return holds(told)

        until(look)
        return told


Make = Callable[..., Machine]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Machine] = []

    def start(serve: str = "") -> Machine:
        made.append(Machine(tmp_path, serve))
        return made[-1]

    yield start
    for machine in made:
        machine.processes.close()


def is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(pid: int) -> None:
    until(lambda: not is_there(pid))


def answer(port: int) -> dict[str, str]:
    """The demo's, as soon as it is up."""
    found: list[dict[str, str]] = []

    def ask() -> object:
        with suppress(URLError):
            found.append(json.loads(DIRECT.open(f"http://127.0.0.1:{port}/", timeout=GUARD).read()))
        return found

    until(ask)
    return found[0]


def test_each_instance_serves_the_demo_as_itself(make: Make) -> None:
    told = make().step(ONE, TWO, replace(ONE, id="i-3", state="stopped"))
    assert (told["i-1"].state, told["i-3"].state, told["i-3"].pid) == ("runs", "stopped", None)
    found = [answer(told[name].local_port) for name in ("i-1", "i-2")]
    assert [item["instance_id"] for item in found] == ["i-1", "i-2"]
    assert [item["availability_zone"] for item in found] == ["us-east-1a", "us-east-1b"]
    assert {item["version"] for item in found} == {"abc123"}


def test_stopping_starting_and_rebooting_reach_the_process(make: Make) -> None:
    machine = make()
    first = machine.step(ONE)["i-1"]
    answer(first.local_port)
    machine.until(lambda told: told["i-1"].state == "stopped", replace(ONE, state="stopping"))
    assert first.pid is not None
    assert not is_there(first.pid)
    second = machine.step(replace(ONE, state="pending", boots=2))["i-1"]
    assert (second.state, second.local_port) == ("runs", first.local_port)
    answer(second.local_port)
    rebooted = replace(ONE, boots=3)
    third = machine.until(lambda told: told["i-1"].pid not in (None, second.pid), rebooted)["i-1"]
    assert (third.local_port, third.restarts, third.note) == (first.local_port, 0, "")
    machine.until(lambda told: told["i-1"].state == "stopped", replace(rebooted, state="shutting-down"))


def test_one_that_is_deaf_to_sigterm_is_killed_after_a_while(make: Make) -> None:
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    machine = make(f"{PYTHON} {shlex.quote(deaf)}")
    pid = machine.step(ONE)["i-1"].pid
    assert pid is not None
    log = machine.folder / "instances" / "i-1.log"
    machine.until(lambda _: log.read_text(), ONE)
    stopping = replace(ONE, state="stopping")
    assert machine.step(stopping)["i-1"].state == "ends"
    assert machine.step(stopping)["i-1"].pid == pid
    machine.now += 11
    assert machine.until(lambda told: told["i-1"].pid is None, stopping)["i-1"].state == "stopped"


def test_a_crashed_one_is_started_again_after_three_seconds(make: Make) -> None:
    machine = make(SLEEPS)
    before = machine.step(ONE)["i-1"]
    assert before.pid is not None
    os.kill(before.pid, signal.SIGKILL)
    waits = machine.until(lambda told: told["i-1"].pid is None, ONE)["i-1"]
    assert (waits.state, waits.restarts, waits.note.partition(";")[0]) == ("waits", 1, "killed by SIGKILL")
    machine.now += 3.01
    after = machine.step(ONE)["i-1"]
    assert (after.state, after.local_port, after.restarts) == ("runs", before.local_port, 1)


def test_a_terminated_instance_finishes_what_it_is_answering(make: Make) -> None:
    """Of a body that no buffers can hold it has read some, when all but its last byte is sent: it is at it."""
    machine = make()
    started = machine.step(ONE)["i-1"]
    answer(started.local_port)
    assert started.pid is not None
    size = 10 << 20
    with socket.create_connection(("127.0.0.1", started.local_port), timeout=GUARD) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        client.sendall(f"POST /last HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode())
        client.sendall(b"x" * (size - 1))
        machine.step(replace(ONE, state="shutting-down"))
        assert machine.step() == {}
        client.sendall(b"x")
        with client.makefile("rb") as told:
            assert told.readline() == b"HTTP/1.1 200 OK\r\n"
            assert b'"path": "/last"' in told.read()
    machine.until(lambda _: not is_there(started.pid or 0))
    assert machine.step() == {}


ALONE = """
import os, signal, sys
from pathlib import Path
from alb_reconcile.sandbox.traffic.snapshot import Instance
from alb_reconcile.sandbox.traffic.processes import Processes, Program
processes = Processes(Program.choose(sys.argv[2], Path("/")), Path(sys.argv[1]))
processes.begin([Instance("i-1", "running", "a", "", "", 1, (80,))])
print(processes.tell()[0].pid, processes._reaper._process.pid, flush=True)
signal.pause()
"""


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="what is left is found through /proc")
@pytest.mark.slow
def test_where_all_was_killed_at_once_the_next_start_cleans_up(tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", ALONE, str(tmp_path / "state"), SLEEPS]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        instance, reaper = map(int, process.stdout.readline().split())
        os.kill(reaper, signal.SIGKILL)
        process.kill()
    gone(reaper)
    assert is_there(instance)
    Processes(Program.choose("", tmp_path), tmp_path / "other").close()
    assert is_there(instance)
    Processes(Program.choose("", tmp_path), tmp_path / "state").close()
    gone(instance)
