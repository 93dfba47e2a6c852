"""What the tests of the front share: web APIs as targets, snapshots in few words, and an Envoy in front of them."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from dataclasses import replace
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import httpx

from alb_reconcile.sandbox.traffic.front import Front
from alb_reconcile.sandbox.traffic.snapshot import (
    HealthCheck,
    Listener,
    LoadBalancer,
    Rule,
    Snapshot,
    TargetGroup,
    TargetState,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

CHECK = HealthCheck("HTTP", None, "/", 30, 5, 5, 2, "200")
TIMEOUT = 60.0
"""Seconds, far beyond what anything takes here."""


def wait_until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


class Handler(BaseHTTPRequestHandler):
    """Says what it was asked. Some paths misbehave on purpose."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: Api

    def do_GET(self) -> None:
        kind = self.path.split("?")[0].rpartition("/")[2]
        self.server.paths.append(self.path)
        self.server.asked.append(self.headers)
        if kind == "slow":
            self.server.gate.wait(TIMEOUT)
        elif kind == "reset":
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        elif kind == "garbage":
            self.close_connection = True
            self.wfile.write(b"this is no HTTP\r\n\r\n")
            self.wfile.flush()
            return
        elif kind == "hang":
            self.server.released.wait(TIMEOUT)
            self.close_connection = True
            return
        self._tell(int(kind) if kind.isdigit() else 200)

    do_POST = do_GET  # noqa: N815  # so http.server calls it

    def _tell(self, status: int) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        told = {"target": self.server.name, "path": self.path, "method": self.command, "body": body}
        content = json.dumps(told | {"headers": self.headers.items()}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if cookie := self.headers.get("X-Set-Cookie"):
            self.send_header("Set-Cookie", cookie)
        self.end_headers()
        self.wfile.write(content)

    def version_string(self) -> str:
        return "api/1"

    def log_message(self, *_: Any) -> None:
        pass


class Api(ThreadingHTTPServer):
    """A target. `gate` lets slow answers go, `released` ends those that never come."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, name: str, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.name, self.paths, self.asked = name, list[str](), list[Message]()
        self.gate, self.released = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, *_: Any) -> None:
        """A client that went away is what some tests are about."""

    def stop(self) -> None:
        self.gate.set()
        self.released.set()
        self.shutdown()
        self.server_close()
        self.thread.join()


def arn(name: str) -> str:
    return f"arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/{name}/1"


def group(name: str, *instances: str, protocol: str = "HTTP", version: str = "HTTP1", **states: Any) -> TargetGroup:
    """A group whose targets are healthy unless `states` says otherwise; its `attributes` are in there, too."""
    attributes = states.pop("attributes", {})
    named = states.pop("states", {})
    targets = tuple(TargetState(item, 80, named.get(item, "healthy")) for item in instances)
    return TargetGroup(arn(name), protocol, version, CHECK, attributes, targets)


def forward(*names: str | tuple[str, int], sticky: int = 0) -> dict[str, Any]:
    pairs = [(name, 1) if isinstance(name, str) else name for name in names]
    config: dict[str, Any] = {
        "TargetGroups": [{"TargetGroupArn": arn(name), "Weight": weight} for name, weight in pairs],
        "TargetGroupStickinessConfig": {"Enabled": False},
    }
    if sticky:
        config["TargetGroupStickinessConfig"] = {"Enabled": True, "DurationSeconds": sticky}
    return {"Type": "forward", "Order": 1, "ForwardConfig": config}


def fixed(body: str, status: int = 200, kind: str = "text/plain") -> dict[str, Any]:
    config = {"StatusCode": str(status), "ContentType": kind, "MessageBody": body}
    return {"Type": "fixed-response", "Order": 1, "FixedResponseConfig": config}


def rule(action: Mapping[str, Any], *conditions: Mapping[str, Any], priority: int | None = None) -> Rule:
    return Rule(f"rule/{priority}", priority, conditions, (action,))


def when(field: str, *values: Any, **config: Any) -> dict[str, Any]:
    """A condition in the longer one of AWS's two shapes."""
    key = "".join(word.capitalize() for word in field.split("-")) + "Config"
    return {"Field": field, key: {"Values": list(values), **config}}


def listener(
    port: int, *rules: Rule, protocol: str = "HTTP", certificates: Sequence[str] = (), **more: Any
) -> Listener:
    return Listener(f"listener/{port}", protocol, port, tuple(certificates), rules, **more)


def snapshot(
    listeners: Sequence[Listener],
    groups: Sequence[TargetGroup] = (),
    attributes: Mapping[str, str] | None = None,
    certificates: Mapping[str, tuple[str, ...]] | None = None,
) -> Snapshot:
    balancer = LoadBalancer("balancer/1", "lb-1.elb.amazonaws.com", attributes or {}, tuple(listeners))
    return Snapshot((balancer,), {item.arn: item for item in groups}, certificates or {})


class Lab:
    """A front and, behind it, an instance i-NAME for each API."""

    def __init__(self, folder: Path, *names: str) -> None:
        self.apis = {name: Api(name) for name in names}
        self.folder = folder
        self.later = 0.0
        """How many seconds the front's clock is ahead."""
        self.front = Front(folder, speed=10, clock=lambda: time.monotonic() + self.later)
        self.addresses = {(f"i-{name}", 80): api.port for name, api in self.apis.items()}
        self._client = httpx.Client(timeout=TIMEOUT, limits=httpx.Limits(max_keepalive_connections=0))
        self.snapshot = Snapshot()

    def show(self, listeners: Sequence[Listener], groups: Sequence[TargetGroup] = (), **rest: Any) -> Snapshot:
        self.snapshot = snapshot(listeners, groups, **rest)
        self.front.show(self.snapshot, self.addresses)
        return self.snapshot

    def forwards(self, action: Mapping[str, Any], *groups: TargetGroup, **attributes: str) -> None:
        """One HTTP listener on port 80, all of whose requests get the action."""
        named = {key.replace("__", "."): value for key, value in attributes.items()}
        self.show([listener(80, rule(action))], groups, attributes=named)

    def change(self, **fields: Any) -> None:
        self.snapshot = replace(self.snapshot, **fields)
        self.front.show(self.snapshot, self.addresses)

    def url(self, port: int = 80) -> str:
        door = next(door for door in self.front.doors() if door.port == port)
        return f"{door.protocol.lower()}://127.0.0.1:{door.local_port}"

    def get(self, path: str = "/", port: int = 80, **rest: Any) -> httpx.Response:
        """Over a connection of its own, without cookies. To make a client takes ten times as long as to ask."""
        self._client.cookies.clear()
        return self._client.get(self.url(port) + path, **rest)

    def targets(self, count: int, headers: Mapping[str, str] | None = None) -> list[str]:
        """Who answered that many requests over one connection."""
        found = []
        port = httpx.URL(self.url()).port
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)) as client:
            for _ in range(count):
                client.request("GET", "/", headers=headers or {})
                found.append(json.loads(client.getresponse().read())["target"])
        return found

    def close(self) -> None:
        self._client.close()
        self.front.close()
        for api in self.apis.values():
            api.stop()


def headers_of(response: httpx.Response) -> dict[str, str]:
    """The request headers that a target saw, as it saw their names."""
    return dict(response.json()["headers"])


@contextlib.contextmanager
def raw(url: str) -> Any:
    """A connection for requests that no client library would send."""
    address = httpx.URL(url)
    with socket.create_connection((address.host, address.port or 80), timeout=TIMEOUT) as connection:
        yield connection
