"""A proxy in front of a sandbox that counts the calls that change something, and can kill the caller or hold a call."""

from __future__ import annotations

import http.client
import json
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from tests.e2e.tool import Tool

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable, Iterator

_EXPIRED = (
    b"<Response><Errors><Error><Code>RequestExpired</Code><Message>Request has expired.</Message></Error></Errors>"
    b"<RequestID>r-1</RequestID></Response>"
)
READS = ("Describe", "Get", "List")


class Proxy(ThreadingHTTPServer):
    """Calls are counted from 1. `kill_at` names the one before or after which the victim is killed."""

    daemon_threads = True

    def __init__(self, upstream: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = upstream
        self.lock = threading.Lock()
        self.changes: list[str] = []
        self.kill_at: tuple[int, str] | None = None
        self.victim: subprocess.Popen[str] | None = None
        self.signed: float | None = None
        """Seconds after which a change that was signed then is refused, as AWS does after 300."""
        self.refused: list[str] = []
        self.held: str | None = None
        """The operation that is never answered."""
        self.holding = threading.Event()
        self.released = threading.Event()

    def arm(self, number: int, when: str) -> None:
        with self.lock:
            self.changes, self.kill_at, self.victim = [], (number, when), None

    def disarm(self) -> None:
        with self.lock:
            self.changes, self.kill_at, self.victim = [], None, None

    def kill(self) -> None:
        assert self.victim is not None
        self.victim.kill()
        self.victim.wait()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._forward(b"")

    def do_PUT(self) -> None:
        """S3's, which no test counts."""
        self._forward(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        action = parse_qs(body.decode("latin-1")).get("Action", [""])[0]
        if not action or action.startswith(READS):
            self._forward(body)
            return
        server = self.server
        if server.signed is not None and _age(self.headers["X-Amz-Date"]) > server.signed:
            server.refused.append(action)
            self._answer(400, _EXPIRED)
            return
        with server.lock:  # one change at a time, so that the count is what happened
            if server.victim is not None and server.victim.poll() is not None:
                return
            server.changes.append(action)
            at = server.kill_at if server.kill_at and server.kill_at[0] == len(server.changes) else None
            if at and at[1] == "before":
                server.kill()
                return
            if action == server.held:
                server.holding.set()
                server.released.wait(60)
                return
            self._forward(body, answer=at is None)
            if at:
                server.kill()

    def _forward(self, body: bytes, *, answer: bool = True) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.upstream, timeout=60)
        try:
            headers = {**self.headers, "Host": f"127.0.0.1:{self.server.upstream}"}
            connection.request(self.command, self.path, body, headers)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        if not answer:
            return
        self._answer(response.status, content, response.getheaders())

    def _answer(self, status: int, content: bytes, headers: Iterable[tuple[str, str]] = ()) -> None:
        try:
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except OSError:  # the caller was killed meanwhile
            self.close_connection = True

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:  # so was this one
            self.close_connection = True


def _age(stamp: str) -> float:
    """Seconds since a request was signed; stamps are in whole ones."""
    return time.time() - datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp() - 1


@contextmanager
def in_front_of(sandbox: Tool, folder: Path) -> Iterator[tuple[Proxy, Tool]]:
    """A proxy, and a tool that takes it for the sandbox."""
    state = sandbox.state()
    with Proxy(state["port"]) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            tool = Tool(folder, "--sandbox")
            place = Path(tool.environment["ALB_RECONCILE_SANDBOX_DIR"])
            place.mkdir()
            (place / "sandbox.json").write_text(json.dumps({**state, "port": proxy.server_port}))
            yield proxy, tool
        finally:
            proxy.released.set()
            proxy.shutdown()
            thread.join()
