"""The front forwards like an Application Load Balancer: to whom, with which headers, and what it answers itself."""

from __future__ import annotations

import asyncio
import math
import re
import ssl
from collections import Counter
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trustme

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
)
from tests.sandbox.traffic.grpc_target import grpc_target

if TYPE_CHECKING:
    from alb_reconcile.sandbox.traffic.snapshot import TargetGroup

XFF_MODE = "routing__http__xff_header_processing__mode"
BLUE, GREEN, WEB = group("blue", "i-a"), group("green", "i-b"), group("web", "i-a")


def page(status: str) -> str:
    return (
        f"<html>\r\n<head><title>{status}</title></head>\r\n<body>\r\n"
        f"<center><h1>{status}</h1></center>\r\n</body>\r\n</html>\r\n"
    )


def two(state: str) -> TargetGroup:
    return group("web", "i-a", "i-b", states={"i-a": state})


class TestBalancing:
    """Which target gets a request."""

    def test_healthy_targets_take_turns(self, lab: Lab) -> None:
        lab.forwards(forward("web"), group("web", "i-a", "i-b", "i-c"))
        answered = lab.targets(30)
        assert answered == answered[:3] * 10
        assert set(answered) == {"a", "b", "c"}
        lab.forwards(forward("web"), group("web", "i-a", "i-a", "i-b"))  # on two ports
        assert Counter(lab.targets(30)) == {"a": 20, "b": 10}

    def test_weights_are_kept(self, lab: Lab) -> None:
        lab.forwards(forward(("blue", 80), ("green", 20)), group("blue", "i-a", "i-b"), group("green", "i-c"))
        shares = Counter(lab.targets(500))
        tolerance = 5 * math.sqrt(500 * 0.8 * 0.2)  # by chance, one run in two million is further off
        assert abs(shares["c"] - 100) <= tolerance
        assert abs(shares["a"] - shares["b"]) <= 1

    @pytest.mark.parametrize(
        ("action", "groups", "asked"),
        [
            (forward(("blue", 0), ("green", 1)), [BLUE, GREEN], {"b"}),
            (forward(("blue", 0)), [BLUE], {"a"}),  # alone, whatever its weight
            *((forward("web"), [two(state)], {"b"}) for state in ("initial", "unhealthy", "draining", "unused")),
            (
                forward("web"),  # without a healthy one all that are registered
                [group("web", "i-a", "i-b", "i-c", states={"i-a": "unhealthy", "i-b": "initial", "i-c": "draining"})],
                {"a", "b"},
            ),
        ],
    )
    def test_who_is_asked(self, lab: Lab, action: dict[str, Any], groups: list[TargetGroup], asked: set[str]) -> None:
        lab.forwards(action, *groups)
        assert set(lab.targets(20)) == asked

    @pytest.mark.parametrize(
        ("action", "groups"),
        [
            (forward(("blue", 0), ("green", 0)), [BLUE, GREEN]),
            *((forward("web"), [group("web", "i-a", states={"i-a": state})]) for state in ("draining", "unused")),
        ],
    )
    def test_without_any_it_is_503(self, lab: Lab, action: dict[str, Any], groups: list[TargetGroup]) -> None:
        lab.forwards(action, *groups)
        answer = lab.get()
        assert (answer.status_code, answer.text) == (503, page("503 Service Temporarily Unavailable"))
        assert (answer.headers["server"], answer.headers["content-type"]) == ("awselb/2.0", "text/html")


STICKY = {"stickiness.enabled": "true", "stickiness.type": "lb_cookie"}
SECONDS = "stickiness.lb_cookie.duration_seconds"
APP = {"stickiness.type": "app_cookie", "stickiness.app_cookie.cookie_name": "SESSION"}


def by(client: httpx.Client, count: int) -> set[str]:
    """Who answers so many requests."""
    return {client.get("/").json()["target"] for _ in range(count)}


class TestStickiness:
    """Cookies that lead to the same target or target group again."""

    def show(self, lab: Lab, *instances: str, attributes: dict[str, str] | None = None, **states: str) -> None:
        left = {f"i-{name}": state for name, state in states.items()}
        lab.forwards(forward("web"), group("web", *instances, attributes=STICKY | (attributes or {}), states=left))

    def test_the_load_balancers_cookie_keeps_the_target_for_its_duration(self, lab: Lab) -> None:
        self.show(lab, "i-a", "i-b", "i-c", attributes={SECONDS: "1"})
        with httpx.Client(base_url=lab.url()) as client:
            first = client.get("/")
            (expiry, *_) = (cookie.expires for cookie in client.cookies.jar)
        assert expiry is not None
        sent = parsedate_to_datetime(first.headers["date"]).timestamp()
        assert abs(expiry - sent) <= 30  # and not the default of a day
        self.show(lab, "i-a", "i-b", "i-c", attributes={SECONDS: "300"})
        with httpx.Client(base_url=lab.url()) as client:
            first = client.get("/")
            assert by(client, 8) == {first.json()["target"]}
        own, cors = first.headers.get_list("set-cookie")
        assert re.fullmatch(r"AWSALB=\w+; Expires=\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT; Path=/", own)
        assert re.fullmatch(r"AWSALBCORS=\w+; Expires=.*; Path=/; SameSite=None", cors)
        assert set(lab.targets(6, headers={"Cookie": "AWSALB=nonsense"})) == {"a", "b", "c"}

    def test_the_applications_cookie_starts_a_session(self, lab: Lab) -> None:
        seconds = {"stickiness.app_cookie.duration_seconds": "100"}
        self.show(lab, "i-a", "i-b", "i-c", attributes=APP | seconds)
        with httpx.Client(base_url=lab.url()) as client:
            assert "set-cookie" not in client.get("/").headers
            assert len(by(client, 3)) == 3
            first = client.get("/", headers={"X-Set-Cookie": "SESSION=1"})
            names = [cookie.split("=")[0] for cookie in first.headers.get_list("set-cookie")]
            assert names == ["SESSION", "AWSALBAPP-0"]
            assert by(client, 6) == {first.json()["target"]}

    def test_a_forwards_cookie_keeps_the_group_at_weight_0_too(self, lab: Lab) -> None:
        groups = group("blue", "i-a", "i-b"), group("green", "i-c")
        lab.forwards(forward(("blue", 50), ("green", 50), sticky=300), *groups)
        seen = set()
        for _ in range(20):
            with httpx.Client(base_url=lab.url()) as client:
                first = client.get("/")
                blue = first.json()["target"] in ("a", "b")
                assert by(client, 4) == ({"a", "b"} if blue else {"c"})
                seen.add(blue)
        names = [cookie.split("=")[0] for cookie in first.headers.get_list("set-cookie")]
        assert names == ["AWSALBTG", "AWSALBTGCORS"]
        assert seen == {True, False}  # by chance alone one run in half a million
        lab.forwards(forward(("blue", 1), ("green", 0), sticky=300), *groups)
        with httpx.Client(base_url=lab.url()) as client:
            assert by(client, 1) < {"a", "b"}
            lab.forwards(forward(("blue", 0), ("green", 1), sticky=300), *groups)
            assert by(client, 6) == {"a", "b"}
            assert lab.get().json()["target"] == "c"


class TestHeaders:
    """What targets get to see, and clients."""

    def test_the_target_sees_who_asked_and_how(self, lab: Lab) -> None:
        lab.show([listener(8080, rule(forward("web")))], [WEB])
        given = {"Host": "Shop.example.com", "X-Forwarded-Proto": "https", "X-Forwarded-Port": "1", "X-CamelCase": "y"}
        answer = lab.get("/p?q=1#f", port=8080, headers=given)
        seen = headers_of(answer)
        assert answer.json()["path"] == "/p?q=1"
        assert seen["Host"] == "Shop.example.com:8080"  # the listener's port, as by default
        assert seen["X-Forwarded-For"] == "127.0.0.1"
        assert (seen["X-Forwarded-Proto"], seen["X-Forwarded-Port"]) == ("http", "8080")
        assert seen["X-CamelCase"] == "y"
        assert re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}", seen["X-Amzn-Trace-Id"])
        assert not [name for name in seen if name.lower().startswith("x-envoy") or name.lower() == "x-request-id"]

    @pytest.mark.parametrize(
        ("attribute", "value", "expected"),
        [
            (XFF_MODE, "append", r"192\.0\.2\.1, 127\.0\.0\.1"),
            (XFF_MODE, "preserve", r"192\.0\.2\.1"),
            (XFF_MODE, "remove", "none"),
            ("routing__http__xff_client_port__enabled", "true", r"192\.0\.2\.1, 127\.0\.0\.1:\d+"),
        ],
    )
    def test_x_forwarded_for(self, lab: Lab, attribute: str, value: str, expected: str) -> None:
        lab.forwards(forward("web"), WEB, **{attribute: value})
        seen = headers_of(lab.get(headers={"X-Forwarded-For": "192.0.2.1"})).get("X-Forwarded-For", "none")
        assert re.fullmatch(expected, seen)

    @pytest.mark.parametrize("drop", ["true", "false"])
    def test_invalid_header_names_are_dropped_if_wanted(self, lab: Lab, drop: str) -> None:
        lab.forwards(forward("web"), WEB, routing__http__drop_invalid_header_fields__enabled=drop)
        seen = headers_of(lab.get(headers={"x_under": "1", "x.dot": "2", "X-Fine-9": "3"}))
        assert seen["X-Fine-9"] == "3"
        assert ("x_under" in seen, "x.dot" in seen) == ((False, False) if drop == "true" else (True, True))

    def test_nothing_of_envoy_shows_nor_a_cookie(self, lab: Lab) -> None:
        rules = {80: rule(forward("web")), 81: rule(fixed("x")), 82: rule(forward("none"))}
        off = group("web", "i-a", attributes=STICKY | {"stickiness.enabled": "false"})
        lab.show([listener(port, item) for port, item in rules.items()], [off, group("none")])
        for port, server in ((80, "api/1"), (81, "awselb/2.0"), (82, "awselb/2.0")):
            headers = lab.get(port=port).headers
            assert headers["server"] == server
            assert set(headers) == {"server", "date", "content-type", "content-length"}


class TestFailures:
    """The load balancer's own answers where a target gives none."""

    @pytest.mark.parametrize(
        ("path", "web"),
        [
            ("/reset", WEB),
            ("/garbage", WEB),
            ("/", group("web", "i-without-an-address")),
            ("/", replace(WEB, targets=(replace(WEB.targets[0], is_open=False),))),  # security groups shut it out
            ("/", replace(WEB, targets=(replace(WEB.targets[0], port=8080),))),  # the instance listens elsewhere
        ],
    )
    def test_no_answer_or_a_broken_one_is_502(self, lab: Lab, path: str, web: TargetGroup) -> None:
        lab.forwards(forward("web"), web)
        answer = lab.get(path)
        assert (answer.status_code, answer.text) == (502, page("502 Bad Gateway"))
        assert (answer.headers["server"], answer.headers["content-type"]) == ("awselb/2.0", "text/html")

    @pytest.mark.slow
    def test_the_idle_timeout_ends_requests_and_connections(self, lab: Lab) -> None:
        lab.forwards(forward("web"), WEB, idle_timeout__timeout_seconds="1")
        answer = lab.get("/hang")
        assert (answer.status_code, answer.text) == (504, page("504 Gateway Time-out"))
        assert answer.headers["server"] == "awselb/2.0"
        with raw(lab.url()) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
            while connection.recv(65536):
                pass  # until it is closed; without that the socket's own time-out raises


class TestProtocols:
    """Old clients, bodies, and other protocols towards targets."""

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

    def test_targets_may_speak_http_2_and_a_grpc_call_ends_with_their_status(
        self, lab: Lab, trust: ssl.SSLContext
    ) -> None:
        with grpc_target() as target:
            lab.addresses["i-h2", 80] = target.port
            for version in ("HTTP2", "GRPC"):
                secure = listener(443, rule(forward(version)), protocol="HTTPS", certificates=["x"])
                lab.show([secure], [group(version, "i-h2", version=version)])
                with httpx.Client(http2=True, verify=trust, timeout=TIMEOUT) as client:
                    answer = client.post(lab.url(443) + "/serve/0")
                assert (answer.status_code, answer.content[-2:]) == (200, b"hi")
            assert [asked[":path"] for asked in target.asked] == ["/serve/0"] * 2
            target.asked.clear()
            port = httpx.URL(lab.url(443)).port
            assert port is not None
            for path, status in (("/serve/0", 0), ("/serve/7", 7), ("/any/method", 12)):
                assert asyncio.run(grpc_check.call(port, path, "shop.example.com", "x", secure=True)) == status
            assert {asked["te"] for asked in target.asked} == {"trailers"}


def test_each_listener_of_each_load_balancer_has_a_door_of_its_own(lab: Lab) -> None:
    groups = [WEB, group("api", "i-b")]
    shown = snapshot([listener(80, rule(forward("web")))], groups)
    (twin,) = snapshot([replace(listener(80, rule(forward("api"))), arn="listener/2")]).load_balancers
    both = (*shown.load_balancers, replace(twin, arn="balancer/2"))
    lab.front.show(replace(shown, load_balancers=both), lab.addresses)
    doors = lab.front.doors()
    assert [(door.load_balancer_arn, door.port) for door in doors] == [("balancer/1", 80), ("balancer/2", 80)]
    assert [httpx.get(door.url).json()["target"] for door in doors] == ["a", "b"]
