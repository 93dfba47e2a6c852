"""The sender: at an open rate, over several connections, with every kind of failure told apart."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from websockets.sync.server import ServerConnection, serve

from alb_reconcile.verification.attribution import DEMO, Attribution, attribute
from alb_reconcile.verification.client import Client, Endpoint, Reply, Shot, Trust
from alb_reconcile.verification.load import Answer, send
from alb_reconcile.verification.matching import Request
from alb_reconcile.verification.websocket import try_websocket
from tests.verify import servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

HOST = "shop.example.com"


def at(port: int, listener: int = 80, tls: Trust | None = None) -> Endpoint:
    return Endpoint("127.0.0.1", port, listener, tls)


def fire(
    shots: list[Shot], *, timeout: float = 20, rate: float = 500, concurrency: int = 10, **how: Any
) -> list[Answer]:
    async def main() -> list[Answer]:
        async with Client.opened(DEMO, timeout) as client:
            answers = send(shots, client, rate=rate, concurrency=concurrency, **how)
            return [answer async for answer in answers]

    return asyncio.run(main())


def one(shot: Shot, *, timeout: float = 20) -> Reply:
    return fire([shot], timeout=timeout)[0].reply


@pytest.fixture
def authority(tmp_path: Path) -> servers.Authority:
    return servers.Authority(tmp_path)


class TestSending:
    """What arrives, and what is said of the answers."""

    def test_requests_as_they_are_meant(self) -> None:
        with servers.front(servers.in_turn("i-1")) as front:
            request = Request(HOST, "/a/../b/%7e\"'", query=(("q", "a b"),), headers=(("X-Stage", "canary"),))
            [answer] = fire([Shot("k", at(front.port, 8080), request)])
            assert front.log == [("GET", f"{HOST}:8080", "/a/../b/%7e\"'?q=a+b")]
        assert (answer.shot.key, answer.reply.status, answer.reply.error) == ("k", 200, "")
        assert (answer.reply.target, answer.reply.version, answer.reply.http) == ("i-1", "v1", "1.1")
        assert answer.latency > 0

    def test_several_connections_some_of_them_fresh(self) -> None:
        with servers.front(servers.in_turn("i-1", "i-2")) as front:
            shots = [Shot("k", at(front.port), Request(HOST), fresh=i % 10 == 9) for i in range(40)]
            answers = fire(shots, concurrency=1)
            assert Counter(answer.reply.target for answer in answers) == {"i-1": 20, "i-2": 20}
            # one at a time: four pools, and a new connection after each of the four fresh ones but the last
            assert 4 <= front.connections <= 8

    def test_cookies_are_not_sent_back(self) -> None:
        cookies = []

        def route(method: str, host: str, target: str, headers: dict[str, str]) -> servers.Answer:
            cookies.append(headers.get("Cookie"))
            return 200, {"Set-Cookie": "AWSALBTG=abc; Path=/"}, b"{}"

        with servers.front(route) as front:  # type: ignore[arg-type]  # a dict is a mapping
            fire([Shot("k", at(front.port), Request("127.0.0.1"))] * 12)
        assert cookies == [None] * 12

    def test_http2_on_one_connection_with_the_hosts_name(self, authority: servers.Authority) -> None:
        context = authority.context(HOST, alpn="h2")
        with servers.front_http2(context, ("i-1", "i-2")) as port:
            endpoint = at(port, 443, Trust(authority.file))
            answers = fire([Shot("k", endpoint, Request(HOST, "/api"), http="2", keep_body=True)] * 20)
        assert Counter(answer.reply.target for answer in answers) == {"i-1": 10, "i-2": 10}
        assert {answer.reply.http for answer in answers} == {"2"}
        assert all(b'"host": "shop.example.com", "path": "/api"' in answer.reply.body for answer in answers)

    def test_a_fault_of_the_http_library_is_an_error_of_that_request(
        self, authority: servers.Authority, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Found on a machine with ten times the work that it can do: the command ended in a traceback."""

        async def close(*_: object, **__: object) -> None:
            raise ValueError("semaphore released too many times")

        monkeypatch.setattr("httpcore._async.http2.AsyncHTTP2Connection._response_closed", close)
        with servers.front_http2(authority.context(HOST, alpn="h2"), ("i-1",)) as port:
            reply = one(Shot("k", at(port, 443, Trust(authority.file)), Request(HOST, "/api"), http="2"))
        assert (reply.error, reply.detail) == ("protocol", "semaphore released too many times")


class TestRate:
    """Requests start when they are due."""

    def test_slow_answers_hold_nothing_up(self) -> None:
        """Each of twenty is answered when all of them are there."""
        all_there = threading.Barrier(20)

        def route(*_: object) -> servers.Answer:
            all_there.wait(30)
            return servers.api("i-1")

        with servers.front(route) as front:
            answers = fire([Shot("k", at(front.port), Request(HOST))] * 20, rate=100, concurrency=20, timeout=60)
        assert [answer.reply.status for answer in answers] == [200] * 20
        assert sorted(answer.at for answer in answers) == pytest.approx([i / 100 for i in range(20)], abs=1e-6)

    def test_never_more_at_once_than_allowed_and_told_if_late(self) -> None:
        now, most, lock = [0], [0], threading.Lock()

        def route(*_: object) -> servers.Answer:
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            time.sleep(0.02)
            with lock:
                now[0] -= 1
            return servers.api("i-1")

        with servers.front(route) as front:
            answers = fire([Shot("k", at(front.port), Request(HOST))] * 20, rate=1000, concurrency=2)
        assert most[0] <= 2
        assert max(answer.waited for answer in answers) > 0.1


def drip(connection: socket.socket) -> None:
    """A body that never ends."""
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        connection.sendall(b"x")
        time.sleep(0.05)


class TestFailures:
    """Each kind of failure by its own name, within the time-out."""

    @pytest.mark.parametrize(
        ("behave", "error"),
        [
            (servers.reset, "reset"),
            (servers.babble, "protocol"),
            (socket.socket.close, "reset"),
            (servers.hang, "timeout"),
            (drip, "timeout"),
        ],
    )
    def test_broken_servers(self, behave: Callable[[socket.socket], None], error: str) -> None:
        with servers.broken(behave) as port:
            reply = one(Shot("k", at(port), Request(HOST)), timeout=1 if error == "timeout" else 20)
        assert (reply.status if error != "timeout" else None, reply.error) == (None, error)

    def test_nobody_there(self) -> None:
        assert one(Shot("k", at(servers.unused_port()), Request(HOST))).error == "refused"
        assert one(Shot("k", Endpoint("no-such-name.invalid", 80, 80), Request(HOST))).error == "dns"


class TestAttribution:
    """Whose answer it is."""

    @pytest.mark.parametrize(
        ("how", "target"),
        [
            ("json:instance_id", "i-1"),
            ("json:host.name", "box"),
            ("json:number", "7"),
            ("json:nothing", None),
            ("json:host", None),
            ("header:x-instance-ID", "i-h"),
            ("header:X-Nothing", None),
            ("none", None),
        ],
    )
    def test_ways(self, how: str, target: str | None) -> None:
        body = b'{"instance_id": "i-1", "version": "v9", "host": {"name": "box"}, "number": 7}'
        headers = {"content-type": "application/json", "x-instance-id": "i-h"}
        found = attribute(Attribution.parse(how), headers, body)
        assert found.target == target
        assert bool(found.seen) == (target is None and how != "none")

    @pytest.mark.parametrize("body", [b"", b"[1]", b"{", b"\xff\xfe", b"[" * 60000, b"null"])
    def test_bodies_that_say_nothing(self, body: bytes) -> None:
        assert attribute(DEMO, {"content-type": "application/json"}, body).target is None


class TestWebSocket:
    """A handshake and a message."""

    def run(self, port: int, path: str = "/ws", timeout: float = 20) -> str:
        async def main() -> str:
            async with Client.opened(DEMO, timeout) as client:
                return await try_websocket(Shot("k", at(port), Request(HOST, path)), client)

        return asyncio.run(main())

    def serving(self, behave: Callable[[ServerConnection], None]) -> Iterator[int]:
        with serve(behave, "127.0.0.1", 0) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            yield server.socket.getsockname()[1]
            server.shutdown()
            thread.join()

    def test_an_echo(self) -> None:
        hosts = []

        def echo(connection: ServerConnection) -> None:
            assert connection.request is not None
            hosts.append(connection.request.headers["Host"])
            for message in connection:
                connection.send(message)

        for port in self.serving(echo):
            assert self.run(port) == ""
        assert hosts == [HOST]

    @pytest.mark.parametrize(
        ("behave", "told"),
        [
            (lambda connection: connection.close(1011), "it was closed (code 1011) before a message came back"),
            (list, "a message wasn't answered within 1 s"),
        ],
    )
    def test_one_that_answers_nothing(self, behave: Callable[[ServerConnection], None], told: str) -> None:
        for port in self.serving(behave):
            assert self.run(port, timeout=1) == told
