"""The front forwards like an Application Load Balancer: to whom, with which headers, and what it answers itself."""

from __future__ import annotations

import asyncio
import math
import re
import socket
import ssl
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import h2.config
import h2.connection
import h2.events
import httpx
import pytest
import trustme
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection, serve

from alb_reconcile.sandbox.traffic import grpc_check
from tests.sandbox.traffic.front_lab import (
    TIMEOUT,
    Api,
    Lab,
    fixed,
    forward,
    group,
    headers_of,
    listener,
    raw,
    rule,
    snapshot,
    wait_until,
)
from tests.sandbox.traffic.grpc_target import grpc_target

if TYPE_CHECKING:
    from collections.abc import Iterator

XFF_MODE = "routing__http__xff_header_processing__mode"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    made = Lab(tmp_path_factory.mktemp("front"), "a", "b", "c")
    yield made
    made.close()


def page(status: str) -> str:
    return (
        f"<html>\r\n<head><title>{status}</title></head>\r\n<body>\r\n"
        f"<center><h1>{status}</h1></center>\r\n</body>\r\n</html>\r\n"
    )


class TestBalancing:
    """Which target gets a request."""

    def test_healthy_targets_take_turns(self, lab: Lab) -> None:
        lab.forwards(forward("web"), group("web", "i-a", "i-b", "i-c"))
        answered = lab.targets(30)
        assert answered == answered[:3] * 10
        assert set(answered) == {"a", "b", "c"}

    def test_weights_are_kept(self, lab: Lab) -> None:
        lab.forwards(forward(("blue", 80), ("green", 20)), group("blue", "i-a", "i-b"), group("green", "i-c"))
        shares = Counter(lab.targets(2000))
        tolerance = 5 * math.sqrt(2000 * 0.8 * 0.2)  # by chance, one run in two million is further off
        assert abs(shares["c"] - 400) <= tolerance
        assert abs(shares["a"] - shares["b"]) <= 1

    def test_a_group_of_weight_0_gets_nothing(self, lab: Lab) -> None:
        lab.forwards(forward(("blue", 0), ("green", 1)), group("blue", "i-a"), group("green", "i-b"))
        assert set(lab.targets(50)) == {"b"}

    def test_all_weights_0_is_503(self, lab: Lab) -> None:
        lab.forwards(forward(("blue", 0), ("green", 0)), group("blue", "i-a"), group("green", "i-b"))
        answer = lab.get()
        assert (answer.status_code, answer.text) == (503, page("503 Service Temporarily Unavailable"))
        assert answer.headers["server"] == "awselb/2.0"

    def test_a_single_group_gets_everything_whatever_its_weight(self, lab: Lab) -> None:
        lab.forwards(forward(("blue", 0)), group("blue", "i-a"))
        assert lab.targets(1) == ["a"]

    @pytest.mark.parametrize("state", ["initial", "unhealthy", "draining", "unused"])
    def test_only_healthy_targets_are_asked(self, lab: Lab, state: str) -> None:
        lab.forwards(forward("web"), group("web", "i-a", "i-b", states={"i-a": state}))
        assert set(lab.targets(6)) == {"b"}

    def test_without_a_healthy_one_all_registered_ones_are(self, lab: Lab) -> None:
        states = {"i-a": "unhealthy", "i-b": "initial", "i-c": "draining"}
        lab.forwards(forward("web"), group("web", "i-a", "i-b", "i-c", states=states))
        assert set(lab.targets(6)) == {"a", "b"}

    @pytest.mark.parametrize("state", ["draining", "unused"])
    def test_without_any_it_is_503(self, lab: Lab, state: str) -> None:
        lab.forwards(forward("web"), group("web", "i-a", states={"i-a": state}))
        answer = lab.get()
        assert (answer.status_code, answer.text) == (503, page("503 Service Temporarily Unavailable"))
        assert answer.headers["content-type"] == "text/html"

    def test_an_instance_on_two_ports_counts_twice(self, lab: Lab) -> None:
        lab.forwards(forward("web"), group("web", "i-a", "i-a", "i-b"))
        assert Counter(lab.targets(300)) == {"a": 200, "b": 100}

    def test_slow_start_spares_a_target_that_is_new_beside_others(self, lab: Lab) -> None:
        attributes = {"slow_start.duration_seconds": "300"}  # 30 s at this speed

        def shares(*instances: str, **rest: Any) -> Counter[str]:
            lab.forwards(forward("slow"), group("slow", *instances, **{"attributes": attributes} | rest))
            return Counter(lab.targets(110))

        assert shares("i-a") == {"a": 110}
        assert shares("i-a", "i-b") == {"a": 100, "b": 10}
        lab.later += 15.1
        assert 30 < shares("i-a", "i-b")["b"] < 50  # half of its share, and more on a slow machine
        found = shares("i-a", "i-b", "i-c")  # what comes beside them doesn't set them back
        assert found["a"] > 1.5 * found["b"] > 3 * found["c"] > 0
        lab.later += 30
        assert shares("i-a", "i-b") == {"a": 55, "b": 55}
        assert shares("i-b", "i-c", attributes={}) == {"b": 55, "c": 55}
        assert shares("i-b", "i-c") == {"b": 55, "c": 55}  # who was there isn't new

    def test_slow_start_goes_on_by_itself(self, lab: Lab) -> None:
        attributes = {"slow_start.duration_seconds": "300"}
        for instances in (["i-a"], ["i-a", "i-b"]):
            lab.forwards(forward("late"), group("late", *instances, attributes=attributes))
        lab.later += 31
        lab.front.show(lab.snapshot, lab.addresses)  # as the driver does, though nothing has changed
        assert Counter(lab.targets(110)) == {"a": 55, "b": 55}


class TestStickiness:
    """Cookies that lead to the same target or target group again."""

    STICKY = {"stickiness.enabled": "true", "stickiness.type": "lb_cookie"}  # noqa: RUF012  # read only
    APP = {  # noqa: RUF012  # read only
        "stickiness.enabled": "true",
        "stickiness.type": "app_cookie",
        "stickiness.app_cookie.cookie_name": "SESSION",
        "stickiness.app_cookie.duration_seconds": "100",
    }

    def test_the_load_balancers_cookie_keeps_the_target(self, lab: Lab) -> None:
        seconds = {"stickiness.lb_cookie.duration_seconds": "300"}
        lab.forwards(forward("web"), group("web", "i-a", "i-b", "i-c", attributes=self.STICKY | seconds))
        with httpx.Client(base_url=lab.url()) as client:
            first = client.get("/")
            assert {client.get("/").json()["target"] for _ in range(8)} == {first.json()["target"]}
        own, cors = first.headers.get_list("set-cookie")
        assert re.fullmatch(r"AWSALB=\w+; Expires=\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT; Path=/", own)
        assert re.fullmatch(r"AWSALBCORS=\w+; Expires=.*; Path=/; SameSite=None", cors)
        assert set(lab.targets(6, headers={"Cookie": "AWSALB=nonsense"})) == {"a", "b", "c"}

    def test_its_duration_is_the_attributes(self, lab: Lab) -> None:
        short = {"stickiness.lb_cookie.duration_seconds": "1"}
        lab.forwards(forward("web"), group("web", "i-a", "i-b", attributes=self.STICKY | short))
        with httpx.Client(base_url=lab.url()) as client:
            client.get("/")
            (expiry, *_) = (cookie.expires for cookie in client.cookies.jar)
            sent = client.get("/").headers["date"]
        assert expiry is not None
        assert abs(expiry - _epoch(sent)) <= 30  # and not the default of a day

    def test_a_target_that_left_is_replaced(self, lab: Lab) -> None:
        lab.forwards(forward("web"), group("web", "i-a", attributes=self.STICKY))
        with httpx.Client(base_url=lab.url()) as client:
            assert client.get("/").json()["target"] == "a"
            leaving = {"i-a": "draining"}
            lab.forwards(forward("web"), group("web", "i-a", "i-b", "i-c", states=leaving, attributes=self.STICKY))
            second = client.get("/").json()["target"]
            assert second in ("b", "c")
            assert {client.get("/").json()["target"] for _ in range(6)} == {second}

    def test_without_stickiness_there_is_no_cookie(self, lab: Lab) -> None:
        off = {**self.STICKY, "stickiness.enabled": "false"}
        lab.forwards(forward("web"), group("web", "i-a", "i-b", attributes=off))
        assert "set-cookie" not in lab.get().headers

    def test_the_applications_cookie_starts_a_session(self, lab: Lab) -> None:
        lab.forwards(forward("web"), group("web", "i-a", "i-b", "i-c", attributes=self.APP))
        with httpx.Client(base_url=lab.url()) as client:
            assert "set-cookie" not in client.get("/").headers
            assert len({client.get("/").json()["target"] for _ in range(3)}) == 3
            first = client.get("/", headers={"X-Set-Cookie": "SESSION=1"})
            assert [c.split("=")[0] for c in first.headers.get_list("set-cookie")] == [
                "SESSION",
                "AWSALBAPP-0",
            ]
            assert {client.get("/").json()["target"] for _ in range(6)} == {first.json()["target"]}

    def test_a_forwards_cookie_keeps_the_group(self, lab: Lab) -> None:
        action = forward(("blue", 50), ("green", 50), sticky=300)
        lab.forwards(action, group("blue", "i-a", "i-b"), group("green", "i-c"))
        seen = set()
        for _ in range(20):
            with httpx.Client(base_url=lab.url()) as client:
                first = client.get("/")
                blue = first.json()["target"] in ("a", "b")
                assert {client.get("/").json()["target"] for _ in range(4)} == ({"a", "b"} if blue else {"c"})
                seen.add(blue)
        names = [cookie.split("=")[0] for cookie in first.headers.get_list("set-cookie")]
        assert names == ["AWSALBTG", "AWSALBTGCORS"]
        assert seen == {True, False}  # by chance alone one run in half a million

    def test_at_weight_0_too(self, lab: Lab) -> None:
        groups = group("blue", "i-a", "i-b"), group("green", "i-c")
        lab.forwards(forward(("blue", 1), ("green", 0), sticky=300), *groups)
        with httpx.Client(base_url=lab.url()) as client:
            assert client.get("/").json()["target"] in ("a", "b")
            lab.forwards(forward(("blue", 0), ("green", 1), sticky=300), *groups)
            assert {client.get("/").json()["target"] for _ in range(6)} == {"a", "b"}
            assert lab.get().json()["target"] == "c"


def _epoch(date: str) -> float:
    from email.utils import parsedate_to_datetime

    return parsedate_to_datetime(date).timestamp()


class TestHeaders:
    """What targets get to see, and clients."""

    def test_the_target_sees_who_asked_and_how(self, lab: Lab) -> None:
        lab.show([listener(8080, rule(forward("web")))], [group("web", "i-a")])
        given = {
            "Host": "Shop.example.com",
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Port": "1",
            "X-CamelCase": "y",
        }
        answer = lab.get("/p?q=1#f", port=8080, headers=given)
        seen = headers_of(answer)
        assert answer.json()["path"] == "/p?q=1"
        assert seen["Host"] == "Shop.example.com:8080"  # the listener's port, as by default
        assert seen["X-Forwarded-For"] == "127.0.0.1"
        assert (seen["X-Forwarded-Proto"], seen["X-Forwarded-Port"]) == ("http", "8080")
        assert seen["X-CamelCase"] == "y"
        assert re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}", seen["X-Amzn-Trace-Id"])
        assert not [name for name in seen if name.lower().startswith("x-envoy") or name.lower() == "x-request-id"]

    def test_a_trace_goes_on(self, lab: Lab) -> None:
        lab.forwards(forward("web"), group("web", "i-a"))
        root = "Root=1-67891233-abcdef012345678912345678"
        seen = headers_of(lab.get(headers={"X-Amzn-Trace-Id": root}))["X-Amzn-Trace-Id"]
        assert re.fullmatch(rf"Self=1-[0-9a-f]{{8}}-[0-9a-f]{{24}};{root}", seen)
        seen = headers_of(lab.get(headers={"X-Amzn-Trace-Id": "CalledFrom=app"}))["X-Amzn-Trace-Id"]
        assert re.fullmatch(r"CalledFrom=app;Root=1-[0-9a-f]{8}-[0-9a-f]{24}", seen)
        one, other = (headers_of(lab.get())["X-Amzn-Trace-Id"] for _ in range(2))
        assert one != other

    @pytest.mark.parametrize(
        ("mode", "expected"),
        [("append", "192.0.2.1, 127.0.0.1"), ("preserve", "192.0.2.1"), ("remove", None)],
    )
    def test_x_forwarded_for_by_mode(self, lab: Lab, mode: str, expected: str | None) -> None:
        lab.forwards(forward("web"), group("web", "i-a"), **{XFF_MODE: mode})
        seen = headers_of(lab.get(headers={"X-Forwarded-For": "192.0.2.1"})).get("X-Forwarded-For")
        assert seen == expected

    def test_x_forwarded_for_with_the_clients_port(self, lab: Lab) -> None:
        lab.forwards(forward("web"), group("web", "i-a"), routing__http__xff_client_port__enabled="true")
        assert re.fullmatch(r"127\.0\.0\.1:\d+", headers_of(lab.get())["X-Forwarded-For"])

    @pytest.mark.parametrize("drop", ["true", "false"])
    def test_invalid_header_names_are_dropped_if_wanted(self, lab: Lab, drop: str) -> None:
        attribute = {"routing__http__drop_invalid_header_fields__enabled": drop}
        lab.forwards(forward("web"), group("web", "i-a"), **attribute)
        seen = headers_of(lab.get(headers={"x_under": "1", "x.dot": "2", "X-Fine-9": "3"}))
        assert seen["X-Fine-9"] == "3"
        assert ("x_under" in seen, "x.dot" in seen) == ((False, False) if drop == "true" else (True, True))

    def test_nothing_of_envoy_shows(self, lab: Lab) -> None:
        lab.show(
            [
                listener(80, rule(forward("web"))),
                listener(81, rule(fixed("x"))),
                listener(82, rule(forward("none"))),
            ],
            [group("web", "i-a"), group("none")],
        )
        from_target = lab.get()
        assert from_target.headers["server"] == "api/1"
        assert set(from_target.headers) == {"server", "date", "content-type", "content-length"}
        for port in (81, 82):
            own = lab.get(port=port)
            assert own.headers["server"] == "awselb/2.0"
            assert set(own.headers) == {"server", "date", "content-type", "content-length"}


class TestFailures:
    """The load balancer's own answers where a target gives none."""

    def refuse(self, lab: Lab, path: str, **attributes: str) -> httpx.Response:
        lab.forwards(forward("web"), group("web", "i-a"), **attributes)
        return lab.get(path)

    @pytest.mark.parametrize("path", ["/reset", "/garbage"])
    def test_a_broken_answer_is_502(self, lab: Lab, path: str) -> None:
        answer = self.refuse(lab, path)
        assert (answer.status_code, answer.text) == (502, page("502 Bad Gateway"))
        assert (answer.headers["server"], answer.headers["content-type"]) == ("awselb/2.0", "text/html")

    def test_a_refused_connection_is_502(self, lab: Lab) -> None:
        lab.forwards(forward("web"), group("web", "i-without-an-address"))
        answer = lab.get()
        assert (answer.status_code, answer.text) == (502, page("502 Bad Gateway"))

    def test_what_security_groups_shut_gets_no_request(self, lab: Lab) -> None:
        web = group("web", "i-a")
        lab.forwards(forward("web"), replace(web, targets=tuple(replace(item, is_open=False) for item in web.targets)))
        assert lab.get().status_code == 502

    def test_a_port_at_which_the_instance_doesnt_listen_is_502(self, lab: Lab) -> None:
        web = group("web", "i-a")
        lab.forwards(forward("web"), replace(web, targets=(replace(web.targets[0], port=8080),)))
        assert lab.get().status_code == 502

    def test_no_answer_within_the_idle_timeout_is_504(self, lab: Lab) -> None:
        answer = self.refuse(lab, "/hang", idle_timeout__timeout_seconds="1")
        assert (answer.status_code, answer.text) == (504, page("504 Gateway Time-out"))
        assert answer.headers["server"] == "awselb/2.0"

    def test_an_idle_connection_is_closed_after_the_idle_timeout(self, lab: Lab) -> None:
        lab.forwards(forward("web"), group("web", "i-a"), idle_timeout__timeout_seconds="1")
        with raw(lab.url()) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
            while connection.recv(65536):
                pass  # until it is closed; without that the socket's own time-out raises

    def test_a_connection_is_told_to_end_after_its_keep_alive_duration(self, lab: Lab) -> None:
        lab.forwards(forward("web"), group("web", "i-a"), client_keep_alive__seconds="1")
        with httpx.Client(base_url=lab.url(), timeout=TIMEOUT) as client:
            began, answers = time.monotonic(), list[httpx.Response]()

            def is_told() -> bool:
                answers.append(client.get("/"))
                return "connection" in answers[-1].headers

            wait_until(is_told)
        assert time.monotonic() - began >= 1
        assert {answer.status_code for answer in answers} == {200}
        assert answers[-1].headers["connection"] == "close"

    def test_no_http_is_400(self, lab: Lab) -> None:
        lab.forwards(forward("web"), group("web", "i-a"))
        with raw(lab.url()) as connection:
            connection.sendall(b"nonsense\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 400 Bad Request")


class TestProtocols:
    """Upgrades, old clients, and other protocols towards targets."""

    def test_web_sockets_pass(self, lab: Lab) -> None:
        def echo(connection: ServerConnection) -> None:
            connection.send(f"echo {connection.recv()!s}")

        with serve(echo, "127.0.0.1", 0) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            lab.addresses["i-socket", 80] = server.socket.getsockname()[1]
            lab.forwards(forward("web"), group("web", "i-socket"))
            with connect(lab.url().replace("http", "ws") + "/chat") as client:
                client.send("hello")
                assert client.recv(timeout=TIMEOUT) == "echo hello"
            server.shutdown()
            thread.join()

    def test_http_1_0_is_served(self, lab: Lab) -> None:
        lab.forwards(forward("web"), group("web", "i-a"))
        with raw(lab.url()) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert b"200 OK" in connection.recv(65536)

    def test_requests_with_a_body_reach_the_target(self, lab: Lab) -> None:
        lab.forwards(forward("web"), group("web", "i-a"))
        answer = httpx.post(lab.url(), content=b"x" * 300_000)
        assert len(answer.json()["body"]) == 300_000

    def test_targets_behind_https_need_no_trusted_certificate(self, lab: Lab) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert("nobody.example").configure_cert(context)
        secure = Api("secure", context)
        lab.addresses["i-secure", 80] = secure.port
        lab.forwards(forward("tls"), group("tls", "i-secure", protocol="HTTPS"))
        seen = lab.get()
        secure.stop()
        assert seen.json()["target"] == "secure"
        assert headers_of(seen)["X-Forwarded-Proto"] == "http"

    @pytest.mark.parametrize("version", ["HTTP2", "GRPC"])
    def test_targets_may_speak_http_2(self, lab: Lab, version: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor() as pool:
            lab.addresses["i-h2", 80] = server.getsockname()[1]
            seen = pool.submit(answer_one_over_h2, server)
            secure = listener(443, rule(forward(version)), protocol="HTTPS", certificates=["x"])
            lab.show([secure], [group(version, "i-h2", version=version)])
            trust = ssl.create_default_context(cafile=str(lab.front.ca_file))
            with httpx.Client(http2=True, verify=trust, timeout=TIMEOUT) as client:
                answer = client.post(lab.url(443) + "/two")
            assert (answer.status_code, answer.text) == (200, "over two")
            assert dict(seen.result())[b":path"] == b"/two"

    def test_a_grpc_call_ends_with_the_targets_status(self, lab: Lab) -> None:
        with grpc_target() as target:
            lab.addresses["i-grpc", 80] = target.port
            secure = listener(443, rule(forward("calls")), protocol="HTTPS", certificates=["x"])
            lab.show([secure], [group("calls", "i-grpc", version="GRPC")])
            port = httpx.URL(lab.url(443)).port
            assert port is not None
            for path, status in (("/serve/0", 0), ("/serve/7", 7), ("/any/method", 12)):
                assert asyncio.run(grpc_check.call(port, path, "shop.example.com", "x", secure=True)) == status
        assert {asked["te"] for asked in target.asked} == {"trailers"}


def answer_one_over_h2(server: socket.socket) -> list[tuple[bytes, bytes]]:
    peer, _ = server.accept()
    with peer:
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding=None))
        connection.initiate_connection()
        peer.sendall(connection.data_to_send())
        asked: list[Any] = []
        while data := peer.recv(65536):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    asked = list(event.headers)
                    connection.send_headers(event.stream_id, [(":status", "200")])
                    connection.send_data(event.stream_id, b"over two", end_stream=True)
            peer.sendall(connection.data_to_send())
            if asked:
                break
        peer.shutdown(socket.SHUT_WR)
        while peer.recv(65536):
            pass
        return asked


class TestSeveral:
    """Load balancers side by side."""

    def test_each_listener_has_a_door_of_its_own(self, lab: Lab) -> None:
        first = snapshot([listener(80, rule(forward("web")))], [group("web", "i-a")])
        (other,) = snapshot([listener(80, rule(forward("api")))]).load_balancers
        twin = type(other)(
            "balancer/2",
            "lb-2",
            {},
            tuple(type(li)("listener/2", "HTTP", 80, (), li.rules) for li in other.listeners),
        )
        both = type(first)(
            (*first.load_balancers, twin), {g.arn: g for g in (group("web", "i-a"), group("api", "i-b"))}
        )
        lab.front.show(both, lab.addresses)
        doors = lab.front.doors()
        assert [(door.load_balancer_arn, door.port) for door in doors] == [
            ("balancer/1", 80),
            ("balancer/2", 80),
        ]
        assert [httpx.get(door.url).json()["target"] for door in doors] == ["a", "b"]
