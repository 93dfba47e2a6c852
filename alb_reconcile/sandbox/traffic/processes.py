"""Runs each running instance as a process of this machine: its application, the demo's web API or the user's own."""

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
from typing import BinaryIO, Final, Literal

from alb_reconcile.sandbox.client import HOST, Process
from alb_reconcile.sandbox.traffic import homes, process_reaper
from alb_reconcile.sandbox.traffic.snapshot import Addresses, Instance

RESTART: Final = 3.0
"""Seconds until a process that ended by itself is started again: RestartSec of the demo's unit."""
_QUICK: Final = 10.0
"""A process that ended within these seconds of its start has failed to start. After five such failures in a row (`_PATIENT`), the pause
doubles each time, up to `_LONGEST`."""
_PATIENT: Final = 5
_LONGEST: Final = 60.0
GRACE: Final = 10.0
"""Seconds between SIGTERM and SIGKILL."""
_KEPT: Final = ("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR", "TZ")
_MARK: Final = "ALB_RECONCILE_SANDBOX_INSTANCES"
_PORTS: Final = range(20000, 32000)
"""Ports below those that the system uses for outgoing connections, so that a restarted process finds its port free."""
_WANTED: Final = ("pending", "running")
AGENT: Final = "CloudWatch agent: "
"""The beginning of lines of the log that are no output of the application."""
_CONSOLE: Final = 65536
"""The most bytes of an instance's output that EC2 gives (GetConsoleOutput: 'up to 64 KB')."""
_MOST: Final = 1_000_000
"""The most bytes of a log that are read at once for a log group."""


def web_api_file() -> Path:
    """The file of the demo's web API: in a wheel it is inside the package, in a checkout next to the package."""
    package = Path(__file__).parent.parent.parent
    inside = package / "user-data" / "web-api.py"
    return inside if inside.is_file() else package.parent / "specs" / "user-data" / "web-api.py"


@dataclass(frozen=True)
class Program:
    """The command that the instances run, and its folder."""

    arguments: tuple[str, ...]
    folder: Path

    @classmethod
    def choose(cls, serve: str, folder: Path) -> Program:
        """The user's command line, split as by a shell but run without one; if it is empty, the demo's web API."""
        if serve:
            return cls(tuple(shlex.split(serve)), folder)
        return cls((sys.executable, "-I", "-S", str(web_api_file()), "serve"), Path("/"))


class Reaper:
    """The process that kills the instances' process groups when this process has ended."""

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
        """Let the group be killed when this process ends."""
        self._groups.add(group)
        self._tell(group)

    def let_go(self, group: int) -> None:
        """Don't kill a group that has ended, since another group may get its number."""
        self._groups.discard(group)
        self._tell(-group)

    def _tell(self, number: int) -> None:
        try:
            self._write([number])
        except BrokenPipeError:  # the reaper was killed
            self._process.communicate()
            self._process = self._start()
            self._write(self._groups)

    def _write(self, numbers: Iterable[int]) -> None:
        if self._process.stdin is None:
            raise AssertionError("the reaper was started with a pipe")
        self._process.stdin.write("".join(f"{number}\n" for number in numbers).encode())

    def close(self) -> None:
        """Kill the groups that are left, and wait for the reaper's end."""
        with suppress(BrokenPipeError):
            self._process.communicate()


class _Service:
    """The process of one instance, through all its restarts."""

    def __init__(self, instance: Instance, port: int) -> None:
        self.instance = instance
        self.port = port
        self.process: subprocess.Popen[bytes] | None = None
        self.boots = instance.boots
        self.started = self.due = 0.0
        self.kill_at: float | None = None
        """When to kill the process; None unless it has got SIGTERM."""
        self.restarts = self.quick = 0
        self.note = ""
        self.setup: Literal["wanted", "runs", "done", "failed"] = "wanted" if instance.application else "done"
        """How far the application's installation is; it runs once for an instance."""
        self.logged = -1
        """The boot whose output is in the log."""
        self.began = 0
        """How long the log was when the process was started."""
        self.read: int | None = None
        """How much of the log has been read for the log group; None before the application's first start."""
        self.unread: list[str] = []
        """The last lines of the boot before, which weren't read when the log was emptied."""

    @property
    def wanted(self) -> bool:
        return self.instance.state in _WANTED

    def tell(self) -> Process:
        process = self.process  # read once, since another thread may change it
        if process is None:
            starts = "waits" if self.due else "failed" if self.setup == "failed" else "starts"
            state = starts if self.wanted else "stopped"
        else:
            state = ("sets up" if self.setup == "runs" else "runs") if self.kill_at is None else "ends"
        pid = process.pid if process else None
        mine = self.instance
        return Process(mine.id, state, self.port, pid, self.restarts, self.note, mine.ports, mine.owner)


class Processes:
    """Keeps a process for each instance that is pending or running. Only one thread may use it, except `tell`.

    `folder` holds a log for each instance, with the output since its boot, and a folder for each application. `clock` is in real seconds,
    not AWS's. `endpoint`: the URL of the sandbox's API.
    """

    def __init__(
        self,
        program: Program,
        folder: Path,
        *,
        clock: Callable[[], float] = time.monotonic,
        restart: float = RESTART,
        endpoint: str = "",
    ) -> None:
        self._program, self._folder, self._clock, self._restart = program, folder, clock, restart
        self._endpoint = endpoint
        self._services: dict[str, _Service] = {}
        self._leaving: list[_Service] = []
        """Processes of terminated instances that haven't ended yet."""
        folder.mkdir(parents=True, exist_ok=True)
        for log in folder.glob("*.log"):
            log.unlink()
        _end_remains(str(folder))
        for home in folder.glob("i-*/"):
            homes.remove_home(home)
        self._reaper = Reaper()

    def addresses(self) -> Addresses:
        """The local port for each instance and each port of its web API. An instance keeps its local port as long as it exists."""
        return {(name, port): item.port for name, item in self._services.items() for port in item.instance.ports}

    def begin(self, instances: Sequence[Instance]) -> None:
        """Take over the instances' states, start missing processes, and restart those that ended by themselves when their pause is over."""
        for instance in instances:
            if instance.id not in self._services:
                self._services[instance.id] = _Service(instance, self._free_port())
            service = self._services[instance.id]
            service.instance = replace(instance, application=service.instance.application)  # from the first boot
        for name in self._services.keys() - {instance.id for instance in instances}:
            self._let_go(self._services.pop(name))
        now = self._clock()
        for service in self._leaving:
            self._notice_end(service, now)
            if service.process is None:
                self._remove_home(service)
        self._leaving = [service for service in self._leaving if service.process is not None]
        for service in self._services.values():
            self._notice_end(service, now)
            if service.process is None and service.wanted and service.setup != "failed" and now >= service.due:
                self._start(service, now)

    def end(self) -> None:
        """Send SIGTERM to processes of instances that are to stop or to reboot, and SIGKILL to those that haven't ended in time."""
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
        """All processes, in the order of instance ids. While an application is installed, its note is the last line of the output."""
        told = ((service, service.tell()) for _, service in sorted(self._services.copy().items()))
        return tuple(
            replace(item, note=self._last_line(service).removeprefix(": ")) if item.state == "sets up" else item
            for service, item in told
        )

    def clear(self) -> None:
        """Kill all processes, and forget the instances."""
        for service in (*self._services.values(), *self._leaving):
            if service.process is not None:
                _signal(service.process.pid, signal.SIGKILL)
                service.process.wait()
                self._reaper.let_go(service.process.pid)
            self._log(service).unlink(missing_ok=True)
            self._remove_home(service)
        self._services, self._leaving = {}, []

    def close(self) -> None:
        """Kill all processes and the processes that they have started."""
        self._reaper.close()
        for service in (*self._services.values(), *self._leaving):
            if service.process is not None:
                service.process.wait()
            self._remove_home(service)

    def console(self, instance_id: str) -> bytes:
        """The last 64 KB that an instance has written since its boot. Any thread may ask."""
        service = self._services.get(instance_id)
        try:
            return _end_of(self._log(service), 0, _CONSOLE) if service else b""
        except OSError:  # it has written nothing yet, or was just terminated
            return b""

    def take_lines(self) -> dict[str, tuple[str, list[str]]]:
        """The log group of each application that has one, and the whole lines that the application has written since the last call."""
        found = {}
        for name, service in self._services.items():
            group = service.instance.application.log_group if service.instance.application else ""
            if group and (lines := [*service.unread, *self._read_on(service)]):
                found[name] = (group, lines)
            service.unread = []
        return found

    def remark(self, instance_id: str, text: str) -> None:
        """Add a line of the CloudWatch agent's to an instance's log."""
        if service := self._services.get(instance_id):
            file = self._log(service)
            with file.open("ab") as log:
                begun = b"\n" if _end_of(file, 0, 1).strip() else b""
                log.write(begun + f"{AGENT}{text}\n".encode())

    def _read_on(self, service: _Service) -> list[str]:
        if service.read is None:
            return []
        with suppress(OSError), self._log(service).open("rb") as log:
            log.seek(service.read)
            data = log.read(_MOST)
            end = data.rfind(b"\n") + 1 or (len(data) if len(data) == _MOST else 0)
            service.read += end
            lines = data[:end].decode("utf-8", "replace").split("\n")
            return [line for line in lines if line.strip() and not line.startswith(AGENT)]
        return []

    def _start(self, service: _Service, now: float) -> None:
        service.boots, service.started, service.due, service.kill_at = service.instance.boots, now, 0.0, None
        try:
            arguments, folder, own = self._how_to_run(service)
            with self._log(service).open("ab") as log:
                self._mark_start(service, log)
                service.process = subprocess.Popen(  # noqa: S603  # the demo's web API, or what the user asked for
                    arguments,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={name: os.environ[name] for name in _KEPT if name in os.environ} | own,
                    cwd=folder,
                    start_new_session=True,
                )
        except OSError as error:
            self._crashed(service, now, f"can't be started: {error.strerror}: {error.filename}")
        else:
            self._reaper.hold(service.process.pid)

    def _how_to_run(self, service: _Service) -> tuple[tuple[str, ...], Path, dict[str, str]]:
        """A process's command, folder and environment. Makes the folder of an application that isn't installed."""
        instance, mark = service.instance, {_MARK: str(self._folder)}
        if instance.application is None:
            return (
                self._program.arguments,
                self._program.folder,
                mark
                | {
                    "PORT": str(service.port),
                    "BIND": HOST,
                    "INSTANCE_ID": instance.id,
                    "AVAILABILITY_ZONE": instance.zone,
                    "VERSION": instance.user_data_digest,
                },
            )
        home = self._home(service)
        if service.setup == "wanted":
            homes.make_home(home, instance.application)
            service.setup = "runs"
        step: homes.Step = "install" if service.setup == "runs" else "start"
        own = homes.environment_of(home, instance.id, service.port, self._endpoint)
        return homes.command_of(home, step), home, mark | own

    def _mark_start(self, service: _Service, log: BinaryIO) -> None:
        """Empty the log at a boot, and note where the process's output begins."""
        if service.logged != service.boots:
            service.unread = self._read_on(service)
            log.truncate(0)
            service.logged, service.read = service.boots, None
        service.began = log.seek(0, os.SEEK_END)
        if service.read is None and service.setup == "done":
            service.read = service.began

    def _notice_end(self, service: _Service, now: float) -> None:
        process = service.process
        if process is None or process.poll() is None:
            return
        _signal(process.pid, signal.SIGKILL)  # processes that it may have left in its group
        self._reaper.let_go(process.pid)
        service.process = None
        if service.setup == "runs":
            self._end_setup(service, process.returncode)
        elif service.kill_at is not None:
            service.note, service.due, service.quick = "", 0.0, 0
        else:
            self._crashed(
                service, now, f"{_how(process.returncode)}{self._last_line(service)}; see {self._log(service)}"
            )

    def _end_setup(self, service: _Service, code: int) -> None:
        """Note how the installation has ended. It isn't repeated, as cloud-init doesn't."""
        service.setup = "failed" if code or service.kill_at is not None else "done"
        if service.setup == "failed":
            service.note = f"not installed: {_how(code)}{self._last_line(service)}; see {self._log(service)}"

    def _crashed(self, service: _Service, now: float, note: str) -> None:
        service.quick = service.quick + 1 if now - service.started < _QUICK else 0
        pause = min(self._restart * 2 ** max(0, service.quick - _PATIENT), max(_LONGEST, self._restart))
        service.restarts += 1
        service.note, service.due = note, now + pause

    def _let_go(self, service: _Service) -> None:
        """Release a terminated instance's port. Its process may still use the time that it has to end."""
        self._log(service).unlink(missing_ok=True)
        if service.process is not None:
            service.instance = replace(service.instance, state="terminated")
            self._leaving.append(service)
        else:
            self._remove_home(service)

    def _home(self, service: _Service) -> Path:
        return self._folder / service.instance.id

    def _remove_home(self, service: _Service) -> None:
        if service.instance.application:
            homes.remove_home(self._home(service))

    def _log(self, service: _Service) -> Path:
        return self._folder / f"{service.instance.id}.log"

    def _last_line(self, service: _Service) -> str:
        with suppress(OSError):
            text = _end_of(self._log(service), service.began, 4096).decode("utf-8", "replace")
            if lines := [line for line in text.strip().splitlines() if not line.startswith(AGENT)]:
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


def _end_of(file: Path, start: int, most: int) -> bytes:
    """What a file has from `start` on, or the last `most` bytes of that."""
    with file.open("rb") as stream:
        stream.seek(max(start, stream.seek(0, os.SEEK_END) - most))
        return stream.read()


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
    """Kill processes that an earlier sandbox of this folder left, as when its reaper was killed, too (on Linux, which has /proc)."""
    mark = f"{_MARK}={folder}".encode()
    for file in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if mark in file.read_bytes().split(b"\0"):
                os.kill(int(file.parent.name), signal.SIGKILL)
