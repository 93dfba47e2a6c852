"""Real health checks: what is asked, how often, what counts as passed, and what is said of the rest."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.sandbox.traffic.prober import Probe, Prober, matches
from alb_reconcile.sandbox.traffic.snapshot import HealthCheck
from tests.processes import GUARD, until
from tests.sandbox.traffic.grpc_target import grpc_target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from alb_reconcile.sandbox.strict.health import Check

CHECK = HealthCheck("HTTP", None, "/health", 10.0, 5.0, 3, 2, "200")
FAILED = "Target.FailedHealthChecks|Health checks failed"


class Answers(BaseHTTPRequestHandler):
    """/health passes, /NUMBER answers with that status, /hang doesn't answer, /reset hangs up."""

    asked: list[tuple[str, str, str]]
    leave: threading.Event

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers["Host"], self.headers["User-Agent"]))
        word = self.path.strip("/")
        if word == "hang":
            self.leave.wait(GUARD)
        if word in ("hang", "reset"):
            self.close_connection = True
            return
        self.send_response(int(word) if word.isdigit() else 200)
        self.send_header("Location", "/health")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[tuple[int, list[tuple[str, str, str]]]]:
    asked: list[tuple[str, str, str]] = []
    leave = threading.Event()
    handler = type("Handler", (Answers,), {"asked": asked, "leave": leave})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server.server_port, asked
        finally:
            leave.set()
            server.shutdown()
            thread.join()


@pytest.fixture
def prober() -> Iterator[Prober]:
    made = Prober(lambda: 77.0, 50)
    yield made
    made.close()


def find(prober: Prober, enough: Callable[[list[Check]], object]) -> list[Check]:
    found: list[Check] = []

    def look() -> object:
        found.extend(prober.results())
        return enough(found)

    until(look)
    return found


def test_what_is_asked_and_what_it_comes_to(prober: Prober) -> None:
    with serving() as (port, asked), socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # refuses, since it doesn't listen
        wanted = {
            "health": ("200", ""),
            "302": ("200-399", ""),
            "404": ("200,404", ""),
            "500": ("200-399", "Target.ResponseCodeMismatch|Health checks failed with these codes: [500]"),
            "301": ("200", "Target.ResponseCodeMismatch|Health checks failed with these codes: [301]"),
            "hang": ("200", "Target.Timeout|Request timed out"),
            "shut out": ("200", "Target.Timeout|Request timed out"),
            "reset": ("200", FAILED),
            "nobody": ("200", FAILED),
            "elsewhere": ("200", FAILED),
            "not a path": ("200", ""),
        }
        probes = {}
        for name, (matcher, _) in wanted.items():
            timeout = 0.5 if name in ("hang", "shut out") else 20.0
            check = replace(CHECK, path=f"/{name}", matcher=matcher, timeout=timeout)
            to = {"nobody": nobody.getsockname()[1], "elsewhere": None}.get(name, port)
            probes[("arn", name, 80)] = Probe(check, "10.0.1.5:80", to, is_shut_out=name == "shut out")
        prober.watch(probes)
        found = find(prober, lambda seen: {item.target for item in seen} == set(wanted))
    assert {item.target: item.reason for item in found} == {name: reason for name, (_, reason) in wanted.items()}
    assert {(item.group, item.port, item.began) for item in found} == {("arn", 80, 77.0)}
    assert ("/health", "10.0.1.5:80", "ELB-HealthChecker/2.0") in asked


def test_grpc_targets_are_asked_for_a_status(prober: Prober) -> None:
    mismatch = "Target.ResponseCodeMismatch|Health checks failed with these codes: [{}]"
    with grpc_target() as target:
        wanted = {
            "/AWS.ALB/healthcheck": ("12", ""),
            "/serve/0": ("0-99", ""),
            "/serve/13": ("0,12", mismatch.format(13)),
            "/x/nothing": ("0-1", mismatch.format(2)),
            "/x/reset": ("0-99", FAILED),
        }
        prober.watch(
            {
                ("arn", path, 80): Probe(replace(CHECK, path=path, matcher=codes), "10.0.1.5:80", target.port, "GRPC")
                for path, (codes, _) in wanted.items()
            }
        )
        found = find(prober, lambda seen: {item.target for item in seen} == set(wanted))
    assert {item.target: item.reason for item in found} == {path: reason for path, (_, reason) in wanted.items()}
    asked = target.asked[0]
    assert (asked[":method"], asked["content-type"], asked["te"]) == ("POST", "application/grpc", "trailers")
    assert (asked[":authority"], asked["user-agent"]) == ("10.0.1.5:80", "ELB-HealthChecker/2.0")


def test_who_speaks_http1_only_is_no_grpc_target(prober: Prober) -> None:
    with serving() as (port, _):
        prober.watch({("arn", "one", 80): Probe(replace(CHECK, matcher="0-99"), "10.0.1.5:80", port, "GRPC")})
        assert find(prober, len)[0].reason == FAILED


def test_checks_come_once_an_interval_for_as_long_as_they_are_wanted(prober: Prober) -> None:
    probe = Probe(CHECK, "10.0.1.5:80", 1)
    with serving() as (port, asked):
        started = time.monotonic()
        prober.watch({("arn", "one", 80): replace(probe, local_port=port)})
        find(prober, lambda seen: len(seen) >= 4)
        # three intervals of 10 s, at 50 times the speed
        assert time.monotonic() - started >= 0.6
        for _ in range(3):
            prober.watch({("arn", "one", 80): replace(probe, local_port=port)})
        assert len(asked) <= (time.monotonic() - started) / 0.2 + 1
        prober.watch({("arn", "two", 80): replace(probe, local_port=port)})
        seen = find(prober, lambda seen: sum(item.target == "two" for item in seen) >= 3)
        assert [item.target for item in seen][-2:] == ["two", "two"]


def test_new_settings_hold_at_once(prober: Prober) -> None:
    with serving() as (port, _):
        slow = Probe(replace(CHECK, interval=3000.0), "10.0.1.5:80", port)
        prober.watch({("arn", "one", 80): slow})
        find(prober, len)
        prober.watch({("arn", "one", 80): replace(slow, check=replace(slow.check, matcher="201"))})
        assert "[200]" in find(prober, len)[0].reason


def test_a_hanging_check_doesnt_keep_it_from_ending() -> None:
    with serving() as (port, asked):
        prober = Prober(lambda: 0.0, 1)
        prober.watch({("arn", "one", 80): Probe(replace(CHECK, path="/hang", timeout=86_400), "h", port)})
        until(lambda: asked)
        prober.close()


@pytest.mark.parametrize(
    ("matcher", "passes", "fails"),
    [
        ("200", [200], [199, 201]),
        ("200,202", [200, 202], [201]),
        ("200-399", [200, 302, 399], [400]),
        ("200, 301-302", [301], [303]),
    ],
)
def test_matchers(matcher: str, passes: list[int], fails: list[int]) -> None:
    assert all(matches(matcher, code) for code in passes)
    assert not any(matches(matcher, code) for code in fails)
