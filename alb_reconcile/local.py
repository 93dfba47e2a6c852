"""The local AWS from the client's side: its process, its state file, and how to talk to it. Never imports moto."""

from __future__ import annotations

import importlib.util
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Literal

from alb_reconcile.errors import ReconcileError

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST: Final = "127.0.0.1"
IDENTITY: Final = "/alb-reconcile/sandbox"
"""Where the server says who it is; a POST with its token empties it."""
SPEED: Final = 10.0
REGION: Final = "us-east-1"
"""The region of a spec that names none, where the environment doesn't either."""
_PATIENCE: Final = 60.0
_POLL: Final = 0.05

Answer = Literal["ours", "other", "refused", "mute"]


class SandboxError(ReconcileError):
    """The sandbox can't be started or stopped; the text says why and what to do."""


@dataclass(frozen=True)
class Sandbox:
    """A running sandbox, as its state file describes it. `token` tells it from any other process on its port."""

    pid: int
    port: int
    speed: float
    started: str
    token: str

    @property
    def endpoint_url(self) -> str:
        """What AWS_ENDPOINT_URL has to be."""
        return f"http://{HOST}:{self.port}"

    def write(self, file: Path) -> None:
        """Write the state file, in one go."""
        draft = file.with_name(f"{file.name}.{self.pid}")
        draft.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
        draft.replace(file)

    def ask(self, *, empty: bool = False, timeout: float = 3.0) -> Answer:
        """Who answers on its port. With `empty`, it is told to forget everything."""
        connection = HTTPConnection(HOST, self.port, timeout=timeout)
        try:
            connection.request(
                "POST" if empty else "GET", IDENTITY, headers={"X-Token": self.token} if empty else {}
            )
            told = json.loads(connection.getresponse().read())
        except ConnectionRefusedError:
            return "refused"
        except TimeoutError:
            return "mute"
        except (OSError, HTTPException, ValueError):
            return "other"
        finally:
            connection.close()
        ours = isinstance(told, dict) and (told.get("pid"), told.get("token")) == (self.pid, self.token)
        return "ours" if ours else "other"


def folder() -> Path:
    """Where the sandbox keeps its state file, its lock and its log."""
    chosen = os.environ.get("ALB_RECONCILE_SANDBOX_DIR")
    if chosen:
        return Path(chosen)
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "alb-reconcile"


def state_file() -> Path:
    """What a running sandbox is found by."""
    return folder() / "sandbox.json"


def read_state(file: Path) -> Sandbox | None:
    """What the state file says; None if there is none, or none that makes sense."""
    with suppress(OSError, ValueError, TypeError):
        found = Sandbox(**json.loads(file.read_text(encoding="utf-8")))
        if all(type(item) is int and item > 0 for item in (found.pid, found.port)) and found.speed > 0:
            return found
    return None


def running() -> Sandbox | None:
    """The sandbox that runs now. Raises SandboxError if it hangs."""
    found = read_state(state_file())
    if found is None:
        return None
    answer = found.ask()
    if answer == "mute":
        raise SandboxError(
            f"the sandbox (process {found.pid}) doesn't answer at {found.endpoint_url}; end it with: kill -9 {found.pid}"
        )
    return found if answer == "ours" else None


def start(port: int | None = None, speed: float | None = None) -> tuple[Sandbox, bool]:
    """The running sandbox, and whether it was started for that. Cleans up after one that was killed.

    Raises SandboxError where a running one differs from what is asked for, a port is taken, or the extra is missing.
    """
    if any(importlib.util.find_spec(name) is None for name in ("moto", "flask_cors")):
        raise SandboxError("the sandbox needs an extra: pip install 'alb-reconcile[sandbox]'")
    with _locked() as lock:
        found = running()
        if found is not None:
            return _same(found, port, speed), False
        state_file().unlink(missing_ok=True)
        with _listen(port or 0) as listener:
            process = _spawn(lock, listener, speed or SPEED)
    # The server inherited the lock, and lets go of it when it serves or dies.
    with _locked():
        found = running()
    if found is None:
        process.poll()
        raise SandboxError(f"the sandbox didn't start; see {folder() / 'sandbox.log'}")
    return found, True


def stop() -> Sandbox | None:
    """End the running sandbox, with all that is in it. Returns the one that ended."""
    with _locked():
        found = running()
        if found is not None:
            os.kill(found.pid, signal.SIGTERM)
            deadline = time.monotonic() + 10
            while found.ask(timeout=1) == "ours":
                if time.monotonic() > deadline:
                    raise SandboxError(f"the sandbox (process {found.pid}) doesn't end; kill -9 {found.pid}")
                time.sleep(_POLL)  # another process's end can only be polled for
        state_file().unlink(missing_ok=True)
    return found


def reset() -> Sandbox | None:
    """Empty the running sandbox. Returns it."""
    found = running()
    if found is not None and found.ask(empty=True, timeout=30) != "ours":
        raise SandboxError(f"the sandbox at {found.endpoint_url} couldn't be emptied; stop it instead")
    return found


def _same(found: Sandbox, port: int | None, speed: float | None) -> Sandbox:
    if port not in (None, found.port) or speed not in (None, found.speed):
        raise SandboxError(
            f"a sandbox runs already, at {found.endpoint_url} with speed {found.speed:g}; stop it first: alb-reconcile sandbox stop"
        )
    return found


def _listen(port: int) -> socket.socket:
    """The server's socket. It is made here, so that whoever connects early waits instead of being refused."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise SandboxError(
            f"the sandbox can't listen on port {port}: {(error.strerror or str(error)).lower()}; name another --port, or none"
        ) from None
    return listener


def _spawn(lock: IO[str], listener: socket.socket, speed: float) -> subprocess.Popen[bytes]:
    package = str(Path(__file__).parent.parent)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (package, environment.get("PYTHONPATH"))))
    arguments = {
        "listener": listener.fileno(),
        "lock": lock.fileno(),
        "state": state_file().absolute(),
        "speed": speed,
        "token": secrets.token_hex(8),
    }
    with (folder() / "sandbox.log").open("w", encoding="utf-8") as log:
        return subprocess.Popen(  # noqa: S603  # this interpreter, and values made here
            [sys.executable, "-m", "alb_reconcile.sandbox.server"]
            + [f"--{name}={value}" for name, value in arguments.items()],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            cwd=folder(),
            pass_fds=(listener.fileno(), lock.fileno()),
            start_new_session=True,
        )


@contextmanager
def _locked() -> Iterator[IO[str]]:
    """Hold the folder's lock: one start or stop at a time. The kernel lets go of it for whoever dies."""
    import fcntl

    try:
        folder().mkdir(parents=True, exist_ok=True, mode=0o700)
        stream = (folder() / "sandbox.lock").open("a", encoding="utf-8")
    except OSError as error:
        raise SandboxError(
            f"the sandbox's state can't be kept in {folder()}: {error.strerror}; set ALB_RECONCILE_SANDBOX_DIR"
        ) from None
    with stream:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise SandboxError(
                        f"another start or stop of the sandbox has held {stream.name} for {_PATIENCE:.0f} s; end it"
                    ) from None
                time.sleep(_POLL)  # a blocking flock has no time-out
                continue
            break
        yield stream


def now_text() -> str:
    """The time of day for the state file."""
    return datetime.now(UTC).isoformat(timespec="seconds")
