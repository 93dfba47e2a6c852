"""The load itself: it keeps its rate whatever answers take, and calls a failure a failure."""

from __future__ import annotations

import http.server
import json
import threading
from typing import TYPE_CHECKING, ClassVar

import pytest

from tests.load.sender import CONNECTIONS, Load
from tests.processes import GUARD, until

if TYPE_CHECKING:
    from collections.abc import Iterator

WHOLE = json.dumps({"instance_id": "i-1", "version": "v"}).encode()


class Server(http.server.ThreadingHTTPServer):
    """Answers to /slow are held at a gate."""

    request_queue_size = 128
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.gate = threading.Event()
        self.slow = 0
        self.lock = threading.Lock()

    def handle_error(self, *_: object) -> None:
        """Nothing: what ends is what the test is about."""


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    answers: ClassVar = {
        "/whole": (200, len(WHOLE), WHOLE),
        "/error": (502, len(WHOLE), WHOLE),
        "/part": (200, len(WHOLE) + 5, WHOLE),
        "/cut": (200, 10, WHOLE[:10]),
        "/text": (200, 2, b"ok"),
        "/list": (200, 2, b"[]"),
        "/other": (200, 2, b"{}"),
    }

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/slow":
            with self.server.lock:
                self.server.slow += 1
            self.server.gate.wait(GUARD)
        if self.path == "/nothing":
            self.close_connection = True
            return
        status, length, body = self.answers.get(self.path, self.answers["/whole"])
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection |= length > len(body)

    do_POST = do_GET  # noqa: N815 (http.server's name)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.05,))
        thread.start()
        yield made
        made.gate.set()
        made.shutdown()
        thread.join()


@pytest.fixture
def url(server: Server) -> str:
    return f"http://localhost:{server.server_port}/"


@pytest.mark.parametrize("path", ["/error", "/part", "/cut", "/text", "/list", "/other", "/nothing"])
def test_what_isnt_a_whole_answer_of_an_instance_is_a_failure(url: str, path: str) -> None:
    with Load(url, rate=500, paths=["/whole", path]) as load:
        load.until(60)
    assert {answer.path for answer in load.failures} == {path}
    assert len(load.failures) == load.sent // 2
    assert load.from_instances() == {"i-1": load.sent - load.sent // 2}


def test_nobody_there_is_told() -> None:
    with pytest.raises(OSError, match="Connect call failed"), Load("http://localhost:1/", rate=500):
        pass


def test_requests_start_when_they_are_due(server: Server, url: str) -> None:
    """Though all of its connections wait for answers, of which none has come."""
    with Load(url, rate=400, paths=["/slow"]) as load:
        until(lambda: server.slow >= 4 * CONNECTIONS)
        assert load.answers == []
        server.gate.set()
    assert load.failures == []
    assert len(load.answers) == load.sent
