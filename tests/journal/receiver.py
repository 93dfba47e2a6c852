"""A local webhook receiver that answers, refuses, redirects, hangs or drips."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator


@dataclass
class Receiver:
    """`requests` holds method, path, headers (names in lower case) and body of each request that came whole."""

    port: int = 0
    status: int = 204
    location: str = ""
    manner: str = "answer"
    """answer; hang: say nothing; drip: a header that never ends; close: hang up."""
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    receiver: Receiver

    def handle_error(self, *_: Any) -> None:
        """Whoever hangs up on the test is part of it."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        receiver = self.server.receiver
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        receiver.requests.append((self.command, self.path, headers, body))
        if receiver.manner == "hang":
            receiver.ended.wait(60)
        if receiver.manner in ("hang", "close"):
            self.close_connection = True
            return
        self.send_response(receiver.status)
        if receiver.location:
            self.send_header("Location", receiver.location)
        self.send_header("Content-Length", "0")
        while receiver.manner == "drip" and not receiver.ended.wait(0.05):
            self.send_header("X-More", "x")
            self.flush_headers()
        self.end_headers()

    def do_GET(self) -> None:
        """What a client makes of a POST that it was redirected with."""
        self.do_POST()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def receiving(context: ssl.SSLContext | None = None, **settings: Any) -> Iterator[Receiver]:
    """A receiver for the length of a block; over TLS with a context."""
    server = _Server(("127.0.0.1", 0), _Handler)
    receiver = server.receiver = Receiver(port=server.server_port, **settings)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield receiver
    finally:
        receiver.ended.set()
        server.shutdown()
        thread.join()
        server.server_close()
