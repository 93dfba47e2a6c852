"""A proxy in front of a sandbox: it counts the calls that change something, holds calls at a gate, and can kill the caller."""

from __future__ import annotations

import http.client
import json
import threading
import time
from contextlib import contextmanager, suppress
from datetime import timedelta
from email.utils import format_datetime, parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from urllib.parse import parse_qs

from tests.e2e.tool import Tool
from tests.processes import GUARD

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from tests.forked import Forked

READS = ("Describe", "Get", "List")
_S3 = {"GET": "GetObject", "PUT": "PutObject"}
_OURS = "/alb-reconcile/"
"""Where the sandbox itself answers."""
_ALIVE = 1.0
"""Seconds between two signs of life to a caller that is held: its client waits for 5 without one, or for 60."""


class Gate:
    """Holds the answers to an operation's calls, which have taken effect by then, until it is opened.

    Calls of other operations pass meanwhile, and so do further ones of this.
    """

    def __init__(self, operation: str, calls: int) -> None:
        self.operation = operation
        self._calls, self._held = calls, 0
        self._change = threading.Condition()
        self._opened = threading.Event()

    def wait(self) -> None:
        """Until all the calls that it is for are held."""
        with self._change:
            assert self._change.wait_for(lambda: self._held == self._calls, GUARD), f"{self.operation} never came"

    def open(self) -> None:
        """Let them go, and whoever comes."""
        self._opened.set()

    def takes(self, operation: str) -> bool:
        """Whether it is for such a call, of which it has one more then."""
        with self._change:
            is_for = operation == self.operation and self._held < self._calls and not self._opened.is_set()
            self._held += is_for
            self._change.notify_all()
            return is_for

    def pass_through(self, handler: BaseHTTPRequestHandler) -> None:
        """Return when it is open. Raises OSError if the caller is gone."""
        while not self._opened.wait(_ALIVE):
            handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")


class Change(NamedTuple):
    """A call that changed something: when, what, how it was signed, and its answer."""

    moment: float
    operation: str
    authorization: str
    content: bytes


class Refuses(Protocol):
    """What a call may be refused by, such as buckets without tokens."""

    def refusal(self, authorization: str, operation: str, body: bytes) -> tuple[int, bytes] | None:
        """The status and content of the answer that says so."""


class Proxy(ThreadingHTTPServer):
    """Changing calls are counted from 1. `kill_at` names the one before or after which the victim is killed."""

    daemon_threads = True

    def __init__(self, upstream: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = upstream
        self.lock = threading.Lock()
        self.changes: list[str] = []
        self.kill_at: tuple[int, str] | None = None
        self.victim: Forked | subprocess.Popen[str] | None = None
        self.gates: list[Gate] = []
        self.pretended: dict[str, tuple[bytes, bytes]] = {}
        """By operation: what its answers say, and what is said instead."""
        self.replaced: dict[str, bytes] = {}
        """By operation: what its next answer is replaced by, with status 200, once the call has taken effect."""
        self.age: float | None = None
        """How many seconds ago S3's objects were written, by its own answers; None for the truth."""
        self.aged: set[int] | None = None
        """The processes of whose leases that is said; None for all objects."""
        self.log: list[Change] = []
        self.asked: set[tuple[str, str]] = set()
        """The IAM actions of a fleet's own calls, with their resources."""
        self.buckets: Refuses | None = None
        self.throttled: list[str] = []
        """The operations of the calls that its buckets had no tokens for."""

    def hold(self, operation: str, calls: int = 1) -> Gate:
        """A gate for so many of the operation's next calls. It is opened at the end of the test at the latest."""
        self.gates.append(Gate(operation, calls))
        return self.gates[-1]

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


class _Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    content: bytes


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        operation = self._operation(body)
        self.server.asked |= set(self._asked(operation, body))
        refusal = self._refusal(operation, body)
        if refusal is not None:
            answer: _Answer | None = refusal
        elif self.command == "POST" and operation and not operation.startswith(READS):
            answer = self._change(operation, body)
        else:
            answer = self._forward(operation, body)
        if answer is None:
            return
        for gate in self.server.gates:
            if gate.takes(operation):
                gate.pass_through(self)
        self._answer(answer)

    do_PUT = do_POST = do_GET  # noqa: N815 (http.server's names)

    def _operation(self, body: bytes) -> str:
        if self.command == "POST":
            return parse_qs(body.decode("latin-1")).get("Action", [""])[0]
        return "" if self.path.startswith(_OURS) else _S3[self.command]

    def _asked(self, operation: str, body: bytes) -> Iterator[tuple[str, str]]:
        service, _, name = self.headers.get("X-Amz-Target", "").partition(".")
        if service == "AmazonSQS":
            account, queue = json.loads(body)["QueueUrl"].split("/")[-2:]
            yield f"sqs:{name}", f"arn:aws:sqs:us-east-1:{account}:{queue}"
        elif operation == "AssumeRole":
            yield "sts:AssumeRole", parse_qs(body.decode("latin-1"))["RoleArn"][0]
        elif operation in _S3.values():
            yield f"s3:{operation}", f"arn:aws:s3:::{self.path.partition('?')[0].lstrip('/')}"

    def _refusal(self, operation: str, body: bytes) -> _Answer | None:
        if self.server.buckets is None:
            return None
        found = self.server.buckets.refusal(self.headers.get("Authorization", ""), operation, body)
        if found is None:
            return None
        self.server.throttled.append(operation)
        return _Answer(found[0], {"Content-Type": "text/xml"}, found[1])

    def _change(self, operation: str, body: bytes) -> _Answer | None:
        """Nothing if the caller is, or was, killed."""
        server = self.server
        with server.lock:  # one change at a time, so that the count is what happened
            if server.victim is not None and server.victim.poll() is not None:
                return None
            server.changes.append(operation)
            at = server.kill_at if server.kill_at and server.kill_at[0] == len(server.changes) else None
            if at and at[1] == "before":
                server.kill()
                return None
            moment = time.monotonic()
            answer = self._forward(operation, body)
            server.log.append(Change(moment, operation, self.headers.get("Authorization", ""), answer.content))
            if at:
                server.kill()
                return None
            return answer

    def _forward(self, operation: str, body: bytes) -> _Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.upstream, timeout=GUARD)
        try:
            own = {**self.headers, "Host": f"127.0.0.1:{self.server.upstream}"}
            connection.request(self.command, self.path, body, own)
            response = connection.getresponse()
            headers = {name.title(): value for name, value in response.getheaders()}
            content = response.read()
        finally:
            connection.close()
        if operation in self.server.pretended:
            content = content.replace(*self.server.pretended[operation])
        instead = self.server.replaced.pop(operation, None)
        if instead is not None:
            return _Answer(200, {"Content-Type": "text/html"}, instead)
        is_aged = self.server.aged is None or any(b'"pid":%d,' % pid in content for pid in self.server.aged)
        if self.server.age is not None and is_aged and operation == "GetObject" and "Last-Modified" in headers:
            written = parsedate_to_datetime(headers["Last-Modified"])
            headers["Date"] = format_datetime(written + timedelta(seconds=self.server.age), usegmt=True)
        return _Answer(response.status, headers, content)

    def _answer(self, answer: _Answer) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            if name not in ("Content-Length", "Connection", "Transfer-Encoding"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    def handle(self) -> None:
        with suppress(OSError):  # the caller was killed meanwhile
            super().handle()


@contextmanager
def in_front_of(sandbox: Tool, folder: Path, **told: Any) -> Iterator[tuple[Proxy, Tool]]:
    """A proxy, and a tool that takes it for the sandbox. `told`: what is said of the sandbox, where it isn't true."""
    state = sandbox.state()
    with Proxy(state["port"]) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            tool = Tool(folder, "--sandbox")
            place = Path(tool.environment["ALB_RECONCILE_SANDBOX_DIR"])
            place.mkdir()
            (place / "sandbox.json").write_text(json.dumps({**state, "port": proxy.server_port, **told}))
            yield proxy, tool
        finally:
            for gate in proxy.gates:
                gate.open()
            proxy.shutdown()
            thread.join()
