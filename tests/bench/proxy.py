"""A threaded HTTP proxy that notes each API call and adds a delay: `python -m tests.bench.proxy UPSTREAM_PORT`.

It prints its port and ends with its standard input. `GET /bench/calls` returns what it noted and forgets it;
`POST /bench/delay` takes the delay in seconds. Connections are kept alive on both sides and served by a thread each,
with each request and each answer in one packet: what it costs beside the delay is under a millisecond.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final
from urllib.parse import parse_qs

_SERVICE: Final = re.compile(r"Credential=[^/]+/[0-9]+/[^/]+/([^/]+)/aws4_request")
_NAMES: Final = {"elasticloadbalancing": "elbv2"}
_HOP_BY_HOP: Final = frozenset({"connection", "transfer-encoding", "keep-alive", "content-length", "server", "date"})


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, upstream: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = upstream
        self.delay = 0.1
        self.lock = threading.Lock()
        self.calls: list[tuple[str, str, float, float, int]] = []


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server
    _upstream: http.client.HTTPConnection | None = None

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith("/bench/"):
            self._control(body)
            return
        started = time.monotonic()
        time.sleep(self.server.delay)
        status, headers, answer = self._ask(body)
        self._reply(status, headers, answer)
        ended = time.monotonic()
        service, operation = self._name(body)
        with self.server.lock:
            self.server.calls.append((service, operation, started, ended, status))

    do_GET = do_POST = do_PUT = _serve  # noqa: N815  # the names that http.server looks for

    def _control(self, body: bytes) -> None:
        answer = b""
        if self.path == "/bench/calls":
            with self.server.lock:
                answer = json.dumps(self.server.calls).encode()
                self.server.calls = []
        else:
            self.server.delay = float(body)
        self._reply(200, [], answer)

    def _name(self, body: bytes) -> tuple[str, str]:
        """The service by the signature, the operation by the query protocol's parameter or the JSON protocol's header; of REST the method."""
        match = _SERVICE.search(self.headers.get("Authorization", ""))
        service = match[1] if match else "?"
        target = self.headers.get("X-Amz-Target", "")
        form = {} if target else parse_qs(body.decode("utf-8", "replace"))
        operation = target.rpartition(".")[2] or form.get("Action", [self.command.title()])[0]
        return _NAMES.get(service, service), operation

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        headers = {key: value for key, value in self.headers.items() if key.lower() not in ("connection", "host")}
        for attempt in (1, 2):
            if self._upstream is None:
                self._upstream = http.client.HTTPConnection("127.0.0.1", self.server.upstream, timeout=60)
                self._upstream.connect()
                self._upstream.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                self._upstream.request(self.command, self.path, body, headers)
                answer = self._upstream.getresponse()
                return answer.status, answer.getheaders(), answer.read()
            except (http.client.RemoteDisconnected, ConnectionError):
                self._upstream = None  # the emulator closed an idle connection: nothing was processed
                if attempt == 2:
                    raise
        raise AssertionError("unreachable: the second attempt returns or raises")

    def _reply(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        lines = [f"HTTP/1.1 {status} {http.client.responses.get(status, '')}"]
        lines += [f"{key}: {value}" for key, value in headers if key.lower() not in _HOP_BY_HOP]
        lines += [f"Content-Length: {len(body)}", "", ""]
        self.wfile.write("\r\n".join(lines).encode("latin-1") + body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def main() -> None:
    """Serve until standard input ends."""
    server = _Server(int(sys.argv[1]))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
