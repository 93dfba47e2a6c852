"""Servers that the tool talks to beside AWS: a service behind a load balancer, and a webhook's receiver."""

from __future__ import annotations

import itertools
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Server(ThreadingHTTPServer):
    """Answers with one of `names` after the other and `status`; keeps the headers and bodies of what is posted."""

    daemon_threads = True

    def __init__(self, names: Sequence[str], status: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.turns = itertools.cycle(names or [""])
        self.status = status
        self.posted: list[tuple[dict[str, str], str]] = []

    def handle_error(self, *_: Any) -> None:
        """A client that leaves is none of the test's."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        content = json.dumps({"instance_id": next(self.server.turns), "version": "v1"}).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        self.server.posted.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(204)
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextmanager
def serving(*names: str, status: int = 200) -> Iterator[Server]:
    """A server for the length of a block."""
    with Server(names, status) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
