"""Runs each running instance as a process of this machine, which serves the demo's web API or the user's own."""

from __future__ import annotations

import os
import random
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from alb_reconcile.sandbox.client import HOST, Process
from alb_reconcile.sandbox.traffic import process_reaper
from alb_reconcile.sandbox.traffic.snapshot import Addresses, Instance

RESTART: Final = 3.0
"""Seconds until a process that ended by itself is started again: RestartSec of the demo's unit."""
_QUICK: Final = 10.0
"""One that ended sooner than that didn't come up; after five in a row the pause doubles, up to the longest."""
_PATIENT: Final = 5
_LONGEST: Final = 60.0
GRACE: Final = 10.0
"""Seconds between SIGTERM and SIGKILL."""
_KEPT: Final = ("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR", "TZ")
_MARK: Final = "ALB_RECONCILE_SANDBOX_INSTANCES"
_PORTS: Final = range(20000, 32000)
"""Below the ports that the system gives to outgoing connections, so that a restart finds its port free."""
_WANTED: Final = ("pending", "running")


def web_api_file() -> Path:
    """The demo's web API: in a wheel it lies inside the package, in a checkout beside it."""
    package = Path(__file__).parent.parent.parent
    inside = package / "user-data" / "web-api.py"
    return inside if inside.is_file() else package.parent / "specs" / "user-data" / "web-api.py"


@dataclass(frozen=True)
class Program:
    """What the instances run, and in which folder."""

    arguments: tuple[str, ...]
    folder: Path

    @classmethod
    def choose(cls, serve: str, folder: Path) -> Program:
        """The user's own command line, split like a shell does and run without one; without it the demo's."""
        if serve:
            return cls(tuple(shlex.split(serve)), folder)
        return cls((sys.executable, "-I", "-S", str(web_api_file()), "serve"), Path("/"))


class Reaper:
    """The process that kills the instances' process groups when this one is gone."""

    def __init__(self) -> None:
        self._groups: set[int] = set()
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603  # this interpreter and a file of this package
            [sys.executable, "-I", "-S", process_reaper.__file__],
            stdin=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )

    def hold(self, group: int) -> None:
        """From now on the group dies with this process."""
        self._groups.add(group)
        self._tell(group)

    def let_go(self, group: int) -> None:
        """The group has ended; its number may come to mean another one."""
        self._groups.discard(group)
        self._tell(-group)

    def _tell(self, number: int) -> None:
        try:
            self._write([number])
        except BrokenPipeError:  # somebody has killed it
            self._process.communicate()
            self._process = self._start()
            self._write(self._groups)

    def _write(self, numbers: Iterable[int]) -> None:
        if self._process.stdin is None:
            raise AssertionError("the reaper was started with a pipe")
        self._process.stdin.write("".join(f"{number}\n" for number in numbers).encode())

    def close(self) -> None:
        """Kill the groups that are left, and wait for that."""
        with suppress(BrokenPipeError):
            self._process.communicate()


class _Service:
    """One instance's process, over all its starts."""

    def __init__(self, instance: Instance, port: int) -> None:
        self.instance = instance
        self.port = port
        self.process: subprocess.Popen[bytes] | None = None
        self.boots = instance.boots
        self.started = self.due = 0.0
        self.kill_at: float | None = None
        """Set once it has been told to end."""
        self.restarts = self.quick = 0
        self.note = ""

    @property
    def wanted(self) -> bool:
        return self.instance.state in _WANTED

    def tell(self) -> Process:
        process = self.process  # once, since another thread may be at it
        if process is None:
            state = ("waits" if self.due else "starts") if self.wanted else "stopped"
        else:
            state = "runs" if self.kill_at is None else "ends"
        pid = process.pid if process else None
        mine = self.instance
        return Process(mine.id, state, self.port, pid, self.restarts, self.note, mine.ports, mine.owner)


class Processes:
    """Keeps a process for each instance that is pending or running. It is used by one thread; `tell` by any.

    `folder` holds a log for each instance, with the output since its last start. `clock` is in seconds of HTTP time.
    """

    def __init__(
        self, program: Program, folder: Path, *, clock: Callable[[], float] = time.monotonic, restart: float = RESTART
    ) -> None:
        self._program, self._folder, self._clock, self._restart = program, folder, clock, restart
        self._services: dict[str, _Service] = {}
        self._leaving: list[_Service] = []
        """Those whose instance is terminated while they still finish what they do."""
        folder.mkdir(parents=True, exist_ok=True)
        for log in folder.glob("*.log"):
            log.unlink()
        _end_remains(str(folder))
        self._reaper = Reaper()

    def addresses(self) -> Addresses:
        """The local port is an instance's own for as long as it is there; its web API answers at no other port of AWS's."""
        return {(name, port): item.port for name, item in self._services.items() for port in item.instance.ports}

    def begin(self, instances: Sequence[Instance]) -> None:
        """Note what is wanted, start what isn't there yet, and what has ended by itself and waited long enough."""
        for instance in instances:
            if instance.id not in self._services:
                self._services[instance.id] = _Service(instance, self._free_port())
            self._services[instance.id].instance = instance
        for name in self._services.keys() - {instance.id for instance in instances}:
            self._let_go(self._services.pop(name))
        now = self._clock()
        for service in self._leaving:
            self._notice_end(service, now)
        self._leaving = [service for service in self._leaving if service.process is not None]
        for service in self._services.values():
            self._notice_end(service, now)
            if service.process is None and service.wanted and now >= service.due:
                self._start(service, now)

    def end(self) -> None:
        """Tell those to end that aren't wanted any more or are to be rebooted, and kill those that don't."""
        now = self._clock()
        for service in (*self._services.values(), *self._leaving):
            if service.process is None:
                continue
            if service.kill_at is not None:
                if now >= service.kill_at:
                    _signal(service.process.pid, signal.SIGKILL)
            elif not service.wanted or service.boots != service.instance.boots:
                service.kill_at = now + GRACE
                _signal(service.process.pid, signal.SIGTERM)

    def tell(self) -> tuple[Process, ...]:
        """What there is, by instance id."""
        return tuple(service.tell() for _, service in sorted(self._services.copy().items()))

    def clear(self) -> None:
        """Kill all of them, and forget the instances."""
        for service in (*self._services.values(), *self._leaving):
            if service.process is not None:
                _signal(service.process.pid, signal.SIGKILL)
                service.process.wait()
                self._reaper.let_go(service.process.pid)
            self._log(service).unlink(missing_ok=True)
        self._services, self._leaving = {}, []

    def close(self) -> None:
        """Kill all of them, and everything that they have started."""
        self._reaper.close()
        for service in (*self._services.values(), *self._leaving):
            if service.process is not None:
                service.process.wait()

    def _start(self, service: _Service, now: float) -> None:
        instance = service.instance
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ} | {
            "PORT": str(service.port),
            "BIND": HOST,
            "INSTANCE_ID": instance.id,
            "AVAILABILITY_ZONE": instance.zone,
            "VERSION": instance.user_data_digest,
            _MARK: str(self._folder),
        }
        service.boots, service.started, service.due, service.kill_at = instance.boots, now, 0.0, None
        try:
            with self._log(service).open("wb") as log:
                service.process = subprocess.Popen(  # noqa: S603  # the demo's web API, or what the user asked for
                    self._program.arguments,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=environment,
                    cwd=self._program.folder,
                    start_new_session=True,
                )
        except OSError as error:
            self._crashed(service, now, f"can't be started: {error.strerror}: {error.filename}")
        else:
            self._reaper.hold(service.process.pid)

    def _notice_end(self, service: _Service, now: float) -> None:
        process = service.process
        if process is None or process.poll() is None:
            return
        _signal(process.pid, signal.SIGKILL)  # what it may have left in its group
        self._reaper.let_go(process.pid)
        service.process = None
        if service.kill_at is not None:
            service.note, service.due, service.quick = "", 0.0, 0
        else:
            self._crashed(
                service, now, f"{_how(process.returncode)}{self._last_line(service)}; see {self._log(service)}"
            )

    def _crashed(self, service: _Service, now: float, note: str) -> None:
        service.quick = service.quick + 1 if now - service.started < _QUICK else 0
        pause = min(self._restart * 2 ** max(0, service.quick - _PATIENT), max(_LONGEST, self._restart))
        service.restarts += 1
        service.note, service.due = note, now + pause

    def _let_go(self, service: _Service) -> None:
        """The instance is terminated: its address is free, its process has the rest of its time to end."""
        self._log(service).unlink(missing_ok=True)
        if service.process is not None:
            service.instance = replace(service.instance, state="terminated")
            self._leaving.append(service)

    def _log(self, service: _Service) -> Path:
        return self._folder / f"{service.instance.id}.log"

    def _last_line(self, service: _Service) -> str:
        with suppress(OSError), self._log(service).open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 4096))
            lines = log.read().decode("utf-8", "replace").strip().splitlines()
            if lines:
                return ": " + "".join(char for char in lines[-1] if char.isprintable())[:200]
        return ""

    def _free_port(self) -> int:
        taken = {service.port for service in self._services.values()}
        for port in _shuffled_ports():
            with socket.socket() as probe, suppress(OSError):
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if port not in taken:
                    probe.bind((HOST, port))
                    return port
        raise OSError(f"no port from {_PORTS.start} to {_PORTS.stop} is free for an instance")


def _shuffled_ports() -> Iterator[int]:
    first = random.randrange(len(_PORTS))  # noqa: S311  # for sandboxes side by side, nothing secret
    return (_PORTS[(first + step) % len(_PORTS)] for step in range(len(_PORTS)))


def _signal(group: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _how(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def _end_remains(folder: str) -> None:
    """Kill what an earlier sandbox of this folder left behind, if its reaper was killed with it (Linux has /proc)."""
    mark = f"{_MARK}={folder}".encode()
    for file in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if mark in file.read_bytes().split(b"\0"):
                os.kill(int(file.parent.name), signal.SIGKILL)
