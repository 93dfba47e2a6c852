"""What stands between the tool and the sandbox: it refuses operations as AWS would, or never answers one."""

from __future__ import annotations

import http.client
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.golden.scene import Scene

DENIED: Final = (403, "UnauthorizedOperation", "You are not authorized to perform this operation.")
EXPIRED: Final = (400, "ExpiredToken", "The security token included in the request is expired")


class Gate(ThreadingHTTPServer):
    """`faults`: the answer to each call of an operation, or with `*` to all of AWS's; `held` is never answered."""

    daemon_threads = True

    def __init__(self, upstream: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = upstream
        self.faults: dict[str, tuple[int, str, str]] = {}
        self.held: str | None = None
        self.holding = threading.Event()
        self.released = threading.Event()

    def handle_error(self, *_: Any) -> None:
        """A caller that was killed meanwhile is part of it."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Gate

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._forward(b"")

    def do_PUT(self) -> None:
        self._forward(self._body())

    def do_POST(self) -> None:
        body = self._body()
        action = parse_qs(body.decode("latin-1")).get("Action", [""])[0]
        fault = self.server.faults.get(action) or (self.server.faults.get("*") if action else None)
        if fault is not None:
            status, code, message = fault
            self._answer(status, _error("/ec2/" in self.headers.get("Authorization", ""), code, message))
        elif action and action == self.server.held:
            self.server.holding.set()
            self.server.released.wait(100)
            self.close_connection = True
        else:
            self._forward(body)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _forward(self, body: bytes) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.upstream, timeout=60)
        try:
            headers = {key: value for key, value in self.headers.items() if key.lower() != "host"}
            connection.request(self.command, self.path, body, headers)  # with the upstream's own Host
            response = connection.getresponse()
            self._answer(response.status, response.read(), response.getheaders())
        finally:
            connection.close()

    def _answer(self, status: int, content: bytes, headers: list[tuple[str, str]] | None = None) -> None:
        self.send_response_only(status)
        for name, value in headers or ():
            if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _error(of_ec2: bool, code: str, message: str) -> bytes:
    error = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    if of_ec2:
        return f"<Response><Errors>{error}</Errors><RequestID>r-0123456789</RequestID></Response>".encode()
    return f"<ErrorResponse>{error}<RequestId>r-0123456789</RequestId></ErrorResponse>".encode()


@contextmanager
def gate_before(scene: Scene) -> Iterator[Gate]:
    """A gate that the scene's commands take for the sandbox."""
    place = Path(scene.environment["ALB_RECONCILE_SANDBOX_DIR"])
    state = json.loads((place / "sandbox.json").read_text())
    with Gate(state["port"]) as gate:
        thread = threading.Thread(target=gate.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        own = scene.folder / "gate"
        own.mkdir()
        (own / "sandbox.json").write_text(json.dumps({**state, "port": gate.server_port}))
        scene.environment["ALB_RECONCILE_SANDBOX_DIR"] = str(own)
        try:
            yield gate
        finally:
            gate.released.set()
            gate.shutdown()
            thread.join()
            scene.environment["ALB_RECONCILE_SANDBOX_DIR"] = str(place)
