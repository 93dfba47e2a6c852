"""Real health checks: what is asked, how often, what counts as passed, and what is said of the rest."""

from __future__ import annotations

import socket
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.sandbox.traffic.prober import Probe, Prober
from alb_reconcile.sandbox.traffic.snapshot import HealthCheck
from tests.processes import until
from tests.sandbox.traffic.front_lab import Api
from tests.sandbox.traffic.grpc_target import grpc_target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from alb_reconcile.sandbox.strict.health import Check

CHECK = HealthCheck("HTTP", None, "/health", 10.0, 5.0, 3, 2, "200")
FAILED = "Target.FailedHealthChecks|Health checks failed"
MISMATCH = "Target.ResponseCodeMismatch|Health checks failed with these codes: [{}]"


@contextmanager
def serving() -> Iterator[Api]:
    """/health passes, /NUMBER answers with that status, /hang doesn't answer, /reset hangs up."""
    api = Api("web")
    yield api
    api.stop()


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


def watch(port: int | None, target: str = "one", version: str = "HTTP1", **settings: Any) -> dict[Any, Probe]:
    return {("arn", target, 80): Probe(replace(CHECK, **settings), "10.0.1.5:80", port, version)}


def test_what_is_asked_and_what_it_comes_to(prober: Prober) -> None:
    with serving() as api, socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # refuses, since it doesn't listen
        wanted = {
            "health": ("200", ""),
            "302": ("200-399", ""),
            "404": ("200,404", ""),
            "500": ("200-399", MISMATCH.format(500)),
            "301": ("200", MISMATCH.format(301)),
            "hang": ("200", "Target.Timeout|Request timed out"),
            "shut out": ("200", "Target.Timeout|Request timed out"),
            "reset": ("200", FAILED),
            "nobody": ("200", FAILED),
            "elsewhere": ("200", FAILED),
            "not a path": ("200", ""),
        }
        probes: dict[Any, Probe] = {}
        for name, (matcher, _) in wanted.items():
            timeout = 0.5 if name in ("hang", "shut out") else 20.0
            to = {"nobody": nobody.getsockname()[1], "elsewhere": None}.get(name, api.port)
            probes |= watch(to, name, path=f"/{name}", matcher=matcher, timeout=timeout)
        key = ("arn", "shut out", 80)
        prober.watch(probes | {key: replace(probes[key], is_shut_out=True)})
        found = find(prober, lambda seen: {item.target for item in seen} == set(wanted))
    assert {item.target: item.reason for item in found} == {name: reason for name, (_, reason) in wanted.items()}
    assert {(item.group, item.port, item.began) for item in found} == {("arn", 80, 77.0)}
    assert "/health" in api.paths
    assert {(asked["Host"], asked["User-Agent"]) for asked in api.asked} == {("10.0.1.5:80", "ELB-HealthChecker/2.0")}


def test_grpc_targets_are_asked_for_a_status(prober: Prober) -> None:
    with grpc_target() as target, serving() as api:
        wanted = {
            "/AWS.ALB/healthcheck": ("12", ""),
            "/serve/0": ("0-99", ""),
            "/serve/13": ("0,12", MISMATCH.format(13)),
            "/x/nothing": ("0-1", MISMATCH.format(2)),
            "/x/reset": ("0-99", FAILED),
            "/over-http1": ("0-99", FAILED),
        }
        probes: dict[Any, Probe] = {}
        for path, (codes, _) in wanted.items():
            to = api.port if path == "/over-http1" else target.port
            probes |= watch(to, path, "GRPC", path=path, matcher=codes)
        prober.watch(probes)
        found = find(prober, lambda seen: {item.target for item in seen} == set(wanted))
    assert {item.target: item.reason for item in found} == {path: reason for path, (_, reason) in wanted.items()}
    asked = target.asked[0]
    assert (asked[":method"], asked["content-type"], asked["te"]) == ("POST", "application/grpc", "trailers")
    assert (asked[":authority"], asked["user-agent"]) == ("10.0.1.5:80", "ELB-HealthChecker/2.0")


def test_checks_come_once_an_interval_for_as_long_as_they_are_wanted(prober: Prober) -> None:
    with serving() as api:
        started = time.monotonic()
        prober.watch(watch(api.port))
        find(prober, lambda seen: len(seen) >= 4)
        # three intervals of 10 s, at 50 times the speed
        assert time.monotonic() - started >= 0.6
        for _ in range(3):
            prober.watch(watch(api.port))
        assert len(api.paths) <= (time.monotonic() - started) / 0.2 + 1
        prober.watch(watch(api.port, "two"))
        seen = find(prober, lambda seen: sum(item.target == "two" for item in seen) >= 3)
        assert [item.target for item in seen][-2:] == ["two", "two"]
