"""The client of the local AWS: starts and stops its process, reads its state file, and sends requests to it. Never imports moto."""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import IO, Any, Final, Literal
from urllib.parse import urlencode

from alb_reconcile.model.errors import ReconcileError, needs_extra
from alb_reconcile.model.files import open_file, read_file, write_file
from alb_reconcile.model.machine import remedy
from alb_reconcile.sandbox.environment import environment_of

HOST: Final = "127.0.0.1"
IDENTITY: Final = "/alb-reconcile/sandbox"
"""The path at which the server identifies itself to requests with its token, which is in the state file. A POST empties the sandbox."""
TRAFFIC: Final = IDENTITY + "/traffic"
"""The path at which the server lists its doors and its instances' processes."""
PREPARATION: Final = IDENTITY + "/preparation"
"""The path of a POST, with the server's token, that makes the resources which a stack names and doesn't declare."""
METADATA: Final = IDENTITY + "/metadata"
"""The path below which each instance has its metadata service, at its id."""
OBJECTS: Final = IDENTITY + "/objects"
"""The path of a POST, with the server's token, that stores its body in S3. The query has the bucket, the key and the bucket's region."""
SPEED: Final = 10.0
LAG: Final = 10.0
"""The most seconds, on AWS's clock, until a change has reached the load balancers."""
SERVE_PORTS: Final = "80"
REGION: Final = "us-east-1"
"""The region if neither the spec nor the environment names one."""
_TIMEOUT: Final = 60.0
_POLL: Final = 0.05

Answer = Literal["ours", "other", "refused", "mute"]


class SandboxError(ReconcileError):
    """The sandbox can't be started or stopped; the text says why and what to do."""


@dataclass(frozen=True)
class Door:
    """A listener's port on this machine. `protocol` and `port` are the listener's; a browser can open `url`.

    `is_open`: whether security groups let clients in. If they don't, the port refuses connections, which on AWS would time out.
    """

    listener_arn: str
    load_balancer_arn: str
    protocol: str
    port: int
    local_port: int
    url: str
    is_open: bool = True


@dataclass(frozen=True)
class Process:
    """The process of an instance's web API. `pid` is None while it doesn't run; `note` then says why, unless the user stopped it.

    Requests to any of its `ports` go to `local_port`. `owner` is the instance's entry and stack, if it has one.
    """

    instance_id: str
    state: str
    local_port: int
    pid: int | None
    restarts: int
    note: str
    ports: tuple[int, ...]
    owner: str = ""


@dataclass(frozen=True)
class Traffic:
    """The doors and processes that carry the sandbox's traffic. `problem` says why they aren't up to date; empty if they are.

    `gaps`: load balancers' ARNs, each with a setting that isn't imitated.
    """

    doors: tuple[Door, ...] = ()
    processes: tuple[Process, ...] = ()
    problem: str = ""
    gaps: tuple[tuple[str, str], ...] = ()

    @property
    def urls(self) -> dict[str, str]:
        """Each listener's local URL, by ARN."""
        return {door.listener_arn: door.url for door in self.doors}

    @classmethod
    def read(cls, told: Any) -> Traffic:
        """Read the server's JSON. Raises TypeError or KeyError for other JSON."""
        doors = tuple(Door(**item) for item in told["doors"])
        gaps = tuple((str(arn), str(text)) for arn, text in told.get("gaps", ()))
        return cls(doors, tuple(Process(**item) for item in told["processes"]), told["problem"], gaps)


@dataclass(frozen=True)
class Sandbox:
    """A running sandbox, as its state file describes it. `token` distinguishes it from any other process on its port.

    `traffic`: whether its load balancers carry requests; `lag`: the most seconds until they learn of a change; `serve`: the command of the
    user's own web API, empty for the demo's; `serve_ports`: the web API's ports, separated by commas, for instances with user data that
    doesn't name any; `ca_file`: the CA certificates for its HTTPS listeners; `provider`: the identity provider's address; `names`: the name
    server's port.
    """

    pid: int
    port: int
    speed: float
    started: str
    token: str
    traffic: bool = False
    serve: str = ""
    ca_file: str | None = None
    lag: float = LAG
    serve_ports: str = SERVE_PORTS
    provider: str | None = None
    names: int | None = None

    @property
    def endpoint_url(self) -> str:
        """The value for AWS_ENDPOINT_URL."""
        return f"http://{HOST}:{self.port}"

    def write(self, file: Path) -> None:
        """Write the state file atomically."""
        draft = file.with_name(f"{file.name}.{self.pid}")
        write_file(draft, json.dumps(asdict(self), indent=2).encode() + b"\n")
        draft.replace(file)

    def ask(self, *, empty: bool = False, timeout: float = 10.0) -> Answer:
        """Which process answers on the sandbox's port. With `empty`, the sandbox is emptied."""
        headers = {"X-Token": self.token}
        try:
            told = self._request("POST" if empty else "GET", IDENTITY, headers, timeout)
        except ConnectionRefusedError:
            return "refused"
        except TimeoutError:
            return "mute"
        except (OSError, HTTPException, ValueError):
            return "other"
        ours = isinstance(told, dict) and (told.get("pid"), told.get("token")) == (self.pid, self.token)
        return "ours" if ours else "other"

    def look(self) -> Traffic:
        """The current traffic; empty if the sandbox was started without traffic. Raises SandboxError."""
        if not self.traffic:
            return Traffic()
        try:
            return Traffic.read(self._request("GET", TRAFFIC, {}, 10.0))
        except (OSError, HTTPException, ValueError, TypeError, KeyError):
            raise SandboxError(
                f"the sandbox at {self.endpoint_url} doesn't report its listeners' ports; is it still running? See: alb-reconcile sandbox status"
            ) from None

    def put(self, file: Path, bucket: str, key: str, region: str) -> str:
        """Store a file in S3, in a bucket with versions that is made in this region if it is missing. Returns the object's version; empty
        in a bucket without versions. Raises SandboxError, and OSError for a file that can't be read."""
        with os.fdopen(open_file(file, os.O_RDONLY), "rb") as stream:
            headers = {"X-Token": self.token, "Content-Length": str(os.fstat(stream.fileno()).st_size)}
            query = urlencode({"bucket": bucket, "key": key, "region": region})
            connection = HTTPConnection(HOST, self.port, timeout=_TIMEOUT)
            try:
                connection.request("POST", f"{OBJECTS}?{query}", stream, headers)
                version = str(json.loads(connection.getresponse().read())["version"])
            except (OSError, HTTPException, ValueError, TypeError, KeyError):
                raise SandboxError(
                    f"the sandbox at {self.endpoint_url} doesn't take {file}; see its log beside its state file"
                ) from None
            finally:
                connection.close()
        return version if version != "null" else ""

    def _request(self, method: str, path: str, headers: dict[str, str], timeout: float) -> Any:
        connection = HTTPConnection(HOST, self.port, timeout=timeout)
        try:
            connection.request(method, path, headers=headers)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()


def folder() -> Path:
    """The folder of the sandbox's state file, lock and log."""
    chosen = os.environ.get("ALB_RECONCILE_SANDBOX_DIR")
    if chosen:
        return Path(chosen)
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "alb-reconcile"


def state_file() -> Path:
    """The file by which a running sandbox is found."""
    return folder() / "sandbox.json"


def failure_file() -> Path:
    """The file in which a sandbox that can't start writes why."""
    return folder() / "sandbox.failed"


def read_state(file: Path) -> Sandbox | None:
    """The sandbox that the state file describes; None if there is no such file, or it can't be read."""
    with suppress(OSError, ValueError, TypeError):
        found = Sandbox(**json.loads(read_file(file, 65_536)))
        if all(type(item) is int and item > 0 for item in (found.pid, found.port)) and found.speed > 0:
            return found if isinstance(found.token, str) else None
    return None


def running() -> Sandbox | None:
    """The sandbox that is running. Raises SandboxError if it hangs."""
    found = read_state(state_file())
    if found is None:
        return None
    answer = found.ask()
    if answer == "mute":
        raise SandboxError(
            f"the sandbox (process {found.pid}) doesn't answer at {found.endpoint_url}; end it with: kill -9 {found.pid}"
        )
    return found if answer == "ours" else None


def start(
    port: int | None = None,
    speed: float | None = None,
    *,
    lag: float | None = None,
    traffic: bool | None = None,
    serve: str = "",
    serve_ports: str = "",
) -> tuple[Sandbox, bool]:
    """The running sandbox, and whether this call started it. Cleans up after a sandbox that was killed.

    `traffic` defaults to ALB_RECONCILE_SANDBOX_TRAFFIC (on or off), else to on; `serve` is a command line, `serve_ports` are port numbers
    separated by commas.
    Raises SandboxError if the running sandbox has other settings, a port is taken, the extra or the command is missing, or the sandbox
    doesn't start.
    """
    if any(importlib.util.find_spec(name) is None for name in ("moto", "flask_cors")):
        raise SandboxError(needs_extra("the sandbox needs", "sandbox"))
    if serve:
        serve = _runnable(serve)
    with _locked() as lock:
        found = running()
        if found is not None:
            return _same(found, port, speed, lag, traffic, serve, serve_ports), False
        wanted = _traffic_by_default() if traffic is None else traffic
        state_file().unlink(missing_ok=True)
        failure_file().unlink(missing_ok=True)
        with _listen(port or 0) as listener:
            times = {"speed": speed or SPEED, "lag": LAG if lag is None else lag}
            process = _spawn(
                lock,
                listener,
                {
                    **times,
                    "serve": serve,
                    "serve-ports": serve_ports or SERVE_PORTS,
                    "traffic": "on" if wanted else "off",
                },
            )
    # The server has inherited the lock, and releases it when it serves or dies.
    with _locked():
        found = running()
    if found is None:
        process.poll()
        with suppress(OSError):
            raise SandboxError(read_file(failure_file(), 65_536).decode())
        raise SandboxError(f"the sandbox didn't start; see {folder() / 'sandbox.log'}")
    return found, True


def _traffic_by_default() -> bool:
    word = os.environ.get("ALB_RECONCILE_SANDBOX_TRAFFIC") or "on"
    if word not in ("on", "off"):
        raise SandboxError(f"ALB_RECONCILE_SANDBOX_TRAFFIC is {word!r}; set it to on or off, or unset it")
    return word == "on"


def _runnable(command: str) -> str:
    """The command with the absolute path of its program, which is searched for from the user's folder. Raises SandboxError."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise SandboxError(f"--serve {command}: {str(error).lower()}; quote it as for a shell") from None
    program = shutil.which(words[0])
    if program is None:
        told = f"there is no command {words[0]} here; if it is a script,"
        told = f"{words[0]} is not executable; chmod +x it, or" if Path(words[0]).is_file() else told
        raise SandboxError(f"--serve {command}: {told} name the program that runs it")
    return shlex.join([str(Path(program).absolute()), *words[1:]])


def stop() -> Sandbox | None:
    """Stop the running sandbox; everything in it is lost. Returns the sandbox that ended."""
    with _locked():
        found = running()
        if found is not None:
            os.kill(found.pid, signal.SIGTERM)
            deadline = time.monotonic() + 10
            while found.ask(timeout=1) == "ours":
                if time.monotonic() > deadline:
                    raise SandboxError(f"the sandbox (process {found.pid}) doesn't stop; kill -9 {found.pid}")
                time.sleep(_POLL)  # not a child of this process: its end can only be polled for
        state_file().unlink(missing_ok=True)
    return found


def reset() -> Sandbox | None:
    """Empty the running sandbox. Returns the sandbox."""
    found = running()
    if found is not None and found.ask(empty=True, timeout=30) != "ours":
        raise SandboxError(f"the sandbox at {found.endpoint_url} couldn't be emptied; stop it instead")
    return found


def _same(
    found: Sandbox,
    port: int | None,
    speed: float | None,
    lag: float | None,
    traffic: bool | None,
    serve: str,
    serve_ports: str,
) -> Sandbox:
    differs = port not in (None, found.port) or speed not in (None, found.speed) or lag not in (None, found.lag)
    differs |= serve not in ("", found.serve) or serve_ports not in ("", found.serve_ports)
    if differs or traffic not in (None, found.traffic):
        carries = "" if found.traffic else ", without traffic"
        serves = f", serving {found.serve}" if found.serve else ""
        serves += f", instances at ports {found.serve_ports}" if found.serve_ports != SERVE_PORTS else ""
        raise SandboxError(
            f"a sandbox is already running at {found.endpoint_url} with speed {found.speed:g}, lag {found.lag:g}{carries}{serves}; stop it first, which takes all that is in it: alb-reconcile sandbox stop"
        )
    return found


def _listen(port: int) -> socket.socket:
    """The server's socket. It is made here, so that an early connection waits instead of being refused."""
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


def _spawn(lock: IO[bytes], listener: socket.socket, options: dict[str, Any]) -> subprocess.Popen[bytes]:
    arguments = {
        "listener": listener.fileno(),
        "lock": lock.fileno(),
        "state": state_file().absolute(),
        "failure": failure_file().absolute(),
        "cwd": Path.cwd(),
        **options,
    }
    with os.fdopen(open_file(folder() / "sandbox.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as log:
        return subprocess.Popen(  # noqa: S603  # this interpreter, and values made here
            [sys.executable, "-m", "alb_reconcile.sandbox.server"]
            + [f"--{name}={value}" for name, value in arguments.items()],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment_of(os.environ),
            cwd=folder(),
            pass_fds=(listener.fileno(), lock.fileno()),
            start_new_session=True,
        )


@contextmanager
def _locked() -> Iterator[IO[bytes]]:
    """Hold the folder's lock: one start or stop at a time. The kernel releases the lock of a process that dies."""
    import fcntl

    try:
        folder().mkdir(parents=True, exist_ok=True, mode=0o700)
        flags = os.O_RDWR | os.O_CREAT if os.access(folder(), os.W_OK) else os.O_RDONLY  # another user's sandbox
        stream = os.fdopen(open_file(folder() / "sandbox.lock", flags), "rb")
    except OSError as error:
        raise SandboxError(
            f"the sandbox's state can't be kept in {folder()}: {error.strerror}; "
            + remedy(error, "set ALB_RECONCILE_SANDBOX_DIR, or let its owner chmod 755 it")
        ) from None
    with stream:
        deadline = time.monotonic() + _TIMEOUT
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise SandboxError(
                        f"another start or stop of the sandbox has held sandbox.lock in {folder()} for {_TIMEOUT:.0f} s; end it"
                    ) from None
                time.sleep(_POLL)  # a blocking flock has no time-out
        yield stream
