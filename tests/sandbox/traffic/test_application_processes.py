"""Applications as processes: installed once in a folder of their own, then started like any other instance's process."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from typing import TYPE_CHECKING

from alb_reconcile.sandbox.application import Application
from alb_reconcile.sandbox.client import METADATA
from alb_reconcile.sandbox.traffic.processes import Processes, Program
from tests.processes import until
from tests.sandbox.traffic.test_processes import ONE, SLEEPS, Make, gone, make

if TYPE_CHECKING:
    from pathlib import Path

    from tests.sandbox.traffic.test_processes import Machine

__all__ = ["make"]  # a fixture

PROGRAM = """
import json, os, sys, time
root = os.environ["ALB_RECONCILE_ROOT"]
settings = json.load(open(root + "/etc/alb-reconcile/application.json"))
os.chdir(root + "/opt/application")
print(sys.argv[1], *os.listdir(), flush=True)
for line in settings[sys.argv[1]]:
    exec(line)
"""
SLEEP = "time.sleep(600)"
TELL = "print(json.dumps({k: os.environ.get(k) for k in settings['names']}), flush=True)"


def app(install: list[str], start: list[str], log_group: str = "", **settings: object) -> Application:
    return Application(PROGRAM, json.dumps({"install": install, "start": start, **settings}), 8080, log_group)


GOOD = replace(ONE, ports=(8080,), application=app(["open('made', 'w')"], [SLEEP]))


def said(machine: Machine, text: str) -> bool:
    return text in machine.processes.console("i-1").decode()


def test_it_is_installed_once_and_then_started(make: Make) -> None:
    machine = make()
    first = machine.step(GOOD)["i-1"]
    assert (first.state, first.restarts, first.note) == ("sets up", 0, "")
    machine.until(lambda _: said(machine, "start made\n"), GOOD)
    told = machine.step(GOOD)["i-1"]
    assert (told.state, told.local_port, told.restarts) == ("runs", first.local_port, 0)
    assert machine.processes.addresses() == {("i-1", 8080): told.local_port}
    assert machine.processes.console("i-1") == b"install\nstart made\n"
    rebooted = replace(GOOD, boots=2)
    machine.until(lambda _: machine.processes.console("i-1") == b"start made\n", rebooted)
    pid = machine.step(rebooted)["i-1"].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    machine.until(lambda told: told["i-1"].state == "waits", rebooted)
    machine.now += 3.01
    machine.until(lambda _: machine.processes.console("i-1") == b"start made\n" * 2, rebooted)
    assert machine.processes.console("i-2") == b""


def test_it_finds_the_sandbox_in_place_of_aws(tmp_path: Path) -> None:
    names = ["PORT", "HOST", "AWS_ENDPOINT_URL", "AWS_EC2_METADATA_SERVICE_ENDPOINT", "VERSION", "INSTANCE_ID"]
    instance = replace(GOOD, application=app([], [TELL, SLEEP], names=names))
    processes = Processes(Program.choose("", tmp_path), tmp_path / "instances", endpoint="http://127.0.0.1:1")
    try:

        def tells() -> bool:
            processes.begin([instance])
            return processes.console("i-1").endswith(b"}\n")

        until(tells)
        told = json.loads(processes.console("i-1").splitlines()[-1])
        assert list(told.values()) == [
            str(processes.tell()[0].local_port), "127.0.0.1", "http://127.0.0.1:1", f"http://127.0.0.1:1{METADATA}/i-1",
            None, None,
        ]  # fmt: skip
    finally:
        processes.close()


def test_one_that_cant_be_installed_stays_without_a_process(make: Make) -> None:
    machine = make()
    broken = replace(GOOD, application=app(["print('no compiler')", "sys.exit(3)"], [SLEEP]))
    told = machine.until(lambda told: told["i-1"].state == "failed", broken)["i-1"]
    log = machine.folder / "instances" / "i-1.log"
    assert (told.pid, told.restarts) == (None, 0)
    assert told.note == f"not installed: exit code 3: no compiler; see {log}"
    machine.now += 1000
    assert machine.step(replace(broken, boots=2))["i-1"].state == "failed"
    assert machine.processes.console("i-1") == b"install\nno compiler\n"
    assert machine.step(replace(broken, state="stopped"))["i-1"].state == "stopped"


def test_one_that_is_stopped_while_it_is_installed_isnt_installed_again(make: Make) -> None:
    machine = make()
    slow = replace(GOOD, application=app([SLEEP], []))
    machine.until(lambda _: said(machine, "install"), slow)
    machine.until(lambda told: told["i-1"].pid is None, replace(slow, state="stopping"))
    told = machine.step(replace(slow, boots=2))["i-1"]
    assert (told.state, told.note.partition(";")[0]) == ("failed", "not installed: killed by SIGTERM: install")


def test_user_data_that_changes_later_installs_nothing(make: Make) -> None:
    """cloud-init runs it once for an instance."""
    machine = make(SLEEPS)
    plain = machine.step(ONE)["i-1"]
    machine.until(lambda told: told["i-1"].pid is None, replace(ONE, state="stopping"))
    again = machine.step(replace(GOOD, boots=2))["i-1"]
    assert (again.state, again.note, again.local_port) == ("runs", "", plain.local_port)
    assert machine.processes.console("i-1") == b""


def test_its_folder_goes_with_it(make: Make, tmp_path: Path) -> None:
    machine = make()
    home = machine.folder / "instances" / "i-1"
    pid = machine.step(GOOD)["i-1"].pid
    assert home.stat().st_mode & 0o777 == 0o700
    machine.until(lambda _: not home.exists())
    assert pid is not None
    gone(pid)
    machine.step(GOOD)
    machine.processes.clear()
    assert not home.exists()
    machine.step(GOOD)
    machine.processes.close()
    assert not home.exists()
    home.mkdir()
    (home / "left").touch()
    make()
    assert not home.exists()


def test_its_lines_are_read_for_its_log_group_but_not_those_of_its_installation(make: Make) -> None:
    machine = make()
    lines = ["print('one\\ntwo', flush=True)", "print('half', end='', flush=True)", SLEEP]
    logged = replace(GOOD, application=app(["print('installed')"], lines, log_group="/web"))
    machine.until(lambda _: said(machine, "half"), logged)
    assert machine.processes.take_lines() == {"i-1": ("/web", ["start", "one", "two"])}
    machine.processes.remark("i-1", "refused")
    assert machine.processes.take_lines() == {"i-1": ("/web", ["half"])}
    machine.processes.remark("i-1", "refused again")
    assert machine.processes.take_lines() == {}
    assert machine.processes.console("i-1").endswith(b"\nCloudWatch agent: refused again\n")
    machine.until(lambda told: told["i-1"].pid is None, replace(logged, state="stopping"))
    machine.until(lambda _: said(machine, "half"), replace(logged, boots=2))
    assert machine.processes.take_lines() == {"i-1": ("/web", ["start", "one", "two"])}
