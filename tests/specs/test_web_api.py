"""The demo's user data, run as what it is: a script. Each test talks to a real process on 127.0.0.1.

WEB_API_PYTHON=/path/to/python3.9 runs the script with the interpreter that Amazon Linux 2023 has.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import http.client
import json
import os
import re
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from websockets.sync.client import connect

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPT = Path(__file__).parents[2] / "specs" / "user-data" / "web-api.py"
PYTHON = os.environ.get("WEB_API_PYTHON", sys.executable)
WHO = {"INSTANCE_ID": "i-0123456789abcdef0", "AVAILABILITY_ZONE": "eu-west-1a", "VERSION": "v7"}
MIB = 1 << 20


class Server:
    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process, self.port = process, port

    def stop(self) -> tuple[int, str]:
        """The exit status, and what it wrote after it had said where it listens."""
        self.process.send_signal(signal.SIGTERM)
        _, errors = self.process.communicate(timeout=10)
        return self.process.returncode, errors

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)

    def socket(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def request(self, method: str, path: str, **more: Any) -> tuple[http.client.HTTPResponse, bytes]:
        with contextlib.closing(self.connect()) as connection:
            connection.request(method, path, **more)
            response = connection.getresponse()
            return response, response.read()

    def get(self, path: str, **headers: str) -> tuple[int, Any]:
        response, body = self.request("GET", path, headers=headers)
        return response.status, json.loads(body)


def clean_environment(extra: dict[str, str]) -> dict[str, str]:
    """Nothing of the tester's own AWS or proxy settings; PORT=0 has the system choose a free port."""
    return {"PATH": os.environ["PATH"], "PORT": "0", "BIND": "127.0.0.1", **extra}


@contextlib.contextmanager
def running(script: Path = SCRIPT, /, **environment: str) -> Iterator[Server]:
    command = [PYTHON, "-W", "error", str(script), "serve"]
    with subprocess.Popen(command, env=clean_environment(environment), stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            lines = []
            for line in process.stderr:
                lines.append(line)
                if match := re.search(r" listens on 127\.0\.0\.1:(\d+)$", line):
                    yield Server(process, int(match[1]))
                    break
            else:
                pytest.fail("it did not start: " + "".join(lines))
        finally:
            process.kill()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running(**WHO) as started:
        yield started
        assert started.stop() == (0, "")  # whatever the tests did to it, it had nothing to say


def test_it_is_a_user_data_script() -> None:
    source = SCRIPT.read_bytes()
    assert source.startswith(b"#!/usr/bin/python3\n")
    assert len(source) < 16_384
    assert source.isascii()
    assert os.access(SCRIPT, os.X_OK)


def test_it_is_python_3_9_and_needs_nothing_but_the_standard_library() -> None:
    tree = ast.parse(SCRIPT.read_text(), feature_version=(3, 9))
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").split(".")[0])
    assert imported <= sys.stdlib_module_names


def test_it_keeps_idle_connections_longer_than_the_alb_and_stops_later_than_its_slowest_answer() -> None:
    module = runpy.run_path(str(SCRIPT), run_name="web_api")
    assert module["Handler"].timeout > 60
    stop = re.search(r"^TimeoutStopSec=(\d+)$", module["UNIT"], re.MULTILINE)
    assert stop is not None
    assert int(stop[1]) > module["MAX_SLOW"] + 5


@pytest.mark.parametrize("port", ["http", "70000"])
def test_a_port_that_is_none_is_an_error_without_a_traceback(port: str) -> None:
    environment = clean_environment({**WHO, "PORT": port})
    done = subprocess.run([PYTHON, SCRIPT, "serve"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("web-api: cannot serve: ")
    assert done.stderr.count("\n") == 1


def install(tmp_path: Path) -> subprocess.CompletedProcess[str]:
    stub = tmp_path / "bin" / "systemctl"
    stub.parent.mkdir(exist_ok=True)
    stub.write_text(f"#!/bin/sh\necho \"$@\" >> '{tmp_path}/calls'\n")
    stub.chmod(0o755)
    environment = {"PATH": str(stub.parent), "WEB_API_ROOT": str(tmp_path / "root")}
    command = [PYTHON, "-W", "error", str(SCRIPT)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, umask=0o077)


def test_install(tmp_path: Path) -> None:
    for _ in range(2):  # the second run finds what the first has left
        done = install(tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        calls = (tmp_path / "calls").read_text().splitlines()
        assert calls[-3:] == ["daemon-reload", "enable web-api", "restart web-api"]

    found = {str(path.relative_to(tmp_path / "root")) for path in (tmp_path / "root").rglob("*") if path.is_file()}
    assert found == {"opt/web-api/web-api.py", "etc/systemd/system/web-api.service"}
    installed = tmp_path / "root/opt/web-api/web-api.py"
    assert installed.read_bytes() == SCRIPT.read_bytes()
    for path in (installed, installed.parent):  # whatever the umask: the service's user is a stranger
        assert path.stat().st_mode & 0o004

    unit = (tmp_path / "root/etc/systemd/system/web-api.service").read_text().splitlines()
    assert "ExecStart=/usr/bin/python3 /opt/web-api/web-api.py serve" in unit
    for setting in ("Restart=always", "DynamicUser=yes", "WantedBy=multi-user.target"):
        assert setting in unit
    assert [line for line in unit if "Capabilit" in line] == [
        "AmbientCapabilities=CAP_NET_BIND_SERVICE",
        "CapabilityBoundingSet=CAP_NET_BIND_SERVICE",
    ]


class Metadata(ThreadingHTTPServer):
    """IMDSv2: a token for a PUT, answers for the token only. The first `failures` requests fail."""

    def __init__(self, failures: int) -> None:
        self.failures, self.seen = failures, []
        super().__init__(("127.0.0.1", 0), MetadataHandler)

    seen: list[tuple[str, str]]


class MetadataHandler(BaseHTTPRequestHandler):
    server: Metadata

    def log_message(self, *args: object) -> None:
        pass

    def do_PUT(self) -> None:
        seconds = int(self.headers["X-aws-ec2-metadata-token-ttl-seconds"])
        self.answer("a-token" if self.path == "/latest/api/token" and seconds > 0 else None)

    def do_GET(self) -> None:
        answers = {
            "/latest/meta-data/instance-id": "i-0feedc0ffee",
            "/latest/meta-data/placement/availability-zone": "eu-central-1b",
        }
        self.answer(answers.get(self.path) if self.headers["X-aws-ec2-metadata-token"] == "a-token" else None)

    def answer(self, text: str | None) -> None:
        self.server.seen.append((self.command, self.path))
        self.send_response(503 if len(self.server.seen) <= self.server.failures else 200 if text else 401)
        self.end_headers()
        self.wfile.write((text or "").encode())


@contextlib.contextmanager
def metadata(failures: int = 0) -> Iterator[tuple[Metadata, str]]:
    with Metadata(failures) as service:
        thread = threading.Thread(target=service.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield service, f"http://127.0.0.1:{service.server_address[1]}/"
        finally:
            service.shutdown()
            thread.join()


@pytest.mark.parametrize("failures", [0, 2])
def test_instance_and_zone_are_the_metadata_services(failures: int) -> None:
    # a proxy in the environment is not for metadata
    proxy = {"http_proxy": "http://127.0.0.1:1"}
    with (
        metadata(failures) as (_, url),
        running(AWS_EC2_METADATA_SERVICE_ENDPOINT=url, **proxy) as started,
    ):
        status, answer = started.get("/")
    assert status == 200
    assert (answer["instance_id"], answer["availability_zone"]) == ("i-0feedc0ffee", "eu-central-1b")


def test_without_metadata_it_serves_all_the_same() -> None:
    with socket.socket() as closed:  # bound, so that nobody else gets the port; not listening
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with running(AWS_EC2_METADATA_SERVICE_ENDPOINT=url, IMDS_SECONDS="0.3") as started:
            answer = started.get("/")[1]
    assert (answer["instance_id"], answer["availability_zone"]) == (socket.gethostname(), "unknown")


def test_any_path_tells_who_answers_and_what_was_seen(server: Server) -> None:
    forwarded = {
        "X-Forwarded-For": "203.0.113.7, 10.0.0.1",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Port": "443",
        "X-Amzn-Trace-Id": "Root=1-67891233-abcdef012345678912345678",
        "Forwarded": "for=203.0.113.7",
    }
    response, body = server.request(
        "GET", "/some/path?q=1", headers={**forwarded, "Host": "api.example.com", "Cookie": "private"}
    )
    assert response.status == 200
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["X-Instance-Id"] == WHO["INSTANCE_ID"]
    assert json.loads(body) == {
        "instance_id": WHO["INSTANCE_ID"],
        "availability_zone": WHO["AVAILABILITY_ZONE"],
        "version": WHO["VERSION"],
        "path": "/some/path",
        "method": "GET",
        "headers": {"host": "api.example.com", **{name.lower(): value for name, value in forwarded.items()}},
    }


@pytest.mark.parametrize("path", ["/health?from=alb"])
def test_health(server: Server, path: str) -> None:
    response, body = server.request("GET", path)
    assert (response.status, body) == (200, b"ok")


@pytest.mark.parametrize("query", ["=", "=-1", "=60.1", "=nan", "=1&seconds=2"])
def test_slow_refuses_what_is_not(server: Server, query: str) -> None:
    status, answer = server.get("/slow?seconds" + query)
    assert status == 400
    assert "60" in answer["error"]


def chunks(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)


BODIES = {
    "length": b"Content-Length: 11\r\n\r\nhello world",
    "large": b"Content-Length: 300000\r\n\r\n" + b"x" * 300_000,
    "chunked": b"Transfer-Encoding: chunked\r\n\r\n" + chunks(b"hello", b"GET /no HTTP/1.1\r\n\r\n", b""),
    "trailers": b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\nC: d\r\n\r\n",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_a_body_is_read_to_its_end(server: Server, body: bytes) -> None:
    request = b"POST /body HTTP/1.1\r\nHost: x\r\n" + body
    with server.socket() as client:
        client.sendall(request * 2 + b"GET /after HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = read_all(client)
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == 3
    assert re.findall(rb'"path": "(.*?)"', answer) == [b"/body", b"/body", b"/after"]


def test_sigterm_finishes_what_is_in_flight() -> None:
    with running(**WHO) as started, started.socket() as client, started.socket() as idle:
        idle.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle.recv(9) == b"HTTP/1.1 "
        client.sendall(b"POST /slow?seconds=0.2 HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nha")
        for _ in range(5):  # by the end of which the request above has been taken up
            assert started.request("GET", "/health")[0].status == 200

        started.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 10
        while (answer := started.request("GET", "/health"))[0].status != 503:
            assert time.monotonic() < deadline
        assert answer[1] == b"shutting down"
        assert answer[0].headers["Connection"] == "close"

        client.sendall(b"lf")
        head, _, content = read_all(client).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert b"\r\nConnection: close" in head
        assert json.loads(content)["method"] == "POST"
        assert started.process.communicate(timeout=10)[1] == ""
        assert started.process.returncode == 0
        assert read_all(idle).endswith(b"\r\n\r\nok")  # an idle connection holds nothing up


def read_all(client: socket.socket) -> bytes:
    return b"".join(iter(lambda: client.recv(65536), b""))


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536, MIB])
def test_web_socket_messages_of_every_length_come_back(server: Server, size: int) -> None:
    data = hashlib.shake_128(b"").digest(size)
    with connect(f"ws://127.0.0.1:{server.port}/ws") as client:
        assert client.response is not None
        assert client.response.headers["X-Instance-Id"] == WHO["INSTANCE_ID"]
        for _ in range(2):
            client.send(data)
            assert client.recv() == data
        assert client.ping().wait(10)
        client.send(["a message ", "in fragments"])
        assert client.recv() == "a message in fragments"
