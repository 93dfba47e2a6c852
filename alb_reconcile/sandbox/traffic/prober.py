"""Checks health over HTTP: one request for each target and interval, by the target group's settings."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import httpx

from alb_reconcile.sandbox.client import HOST
from alb_reconcile.sandbox.strict.health import Check
from alb_reconcile.sandbox.traffic import grpc_check
from alb_reconcile.sandbox.traffic.snapshot import HealthCheck

_AGENT: Final = "ELB-HealthChecker/2.0"
_SHORTEST: Final = 0.1
"""The fewest seconds between two checks of a target, however fast AWS's clock runs."""
Key = tuple[str, str, int]
"""A registration: the target group's ARN, the instance's id, the target's port."""


@dataclass(frozen=True)
class Probe:
    """How a target is checked: its group's settings and protocol version, and the local port in place of the instance's port.

    Without a local port, connections are refused; with `is_shut_out`, requests get no answer.
    """

    check: HealthCheck
    host: str
    local_port: int | None
    version: str = "HTTP1"
    is_shut_out: bool = False


class Prober:
    """Checks targets in its own thread. `clock` is AWS's, in seconds; intervals are divided by `speed`.

    Time-outs of checks aren't scaled. AWS ELB, 'Health checks for Application Load Balancer target groups'.
    """

    def __init__(self, clock: Callable[[], float], speed: float) -> None:
        self._clock, self._speed = clock, speed
        self._results: deque[Check] = deque()
        self._tasks: dict[Key, tuple[Probe, asyncio.Task[None]]] = {}
        self._clients: dict[bool, httpx.AsyncClient] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="prober", daemon=True)
        self._thread.start()

    def watch(self, probes: Mapping[Key, Probe]) -> None:
        """Check these targets from now on, and no others; new ones are checked at once."""
        self._loop.call_soon_threadsafe(self._watch, dict(probes))

    def results(self) -> list[Check]:
        """The results since the last call, in order."""
        found = []
        with suppress(IndexError):
            while True:
                found.append(self._results.popleft())
        return found

    def close(self) -> None:
        """End the thread, and wait until it has ended."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.run_until_complete(self._leave())
        self._loop.close()

    async def _leave(self) -> None:
        tasks = [task for _, task in self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for client in self._clients.values():
            await client.aclose()

    def _watch(self, probes: dict[Key, Probe]) -> None:
        for key, (probe, task) in list(self._tasks.items()):
            if probes.get(key) != probe:
                task.cancel()
                del self._tasks[key]
        for key, probe in probes.items():
            if key not in self._tasks:
                self._tasks[key] = (probe, self._loop.create_task(self._check(key, probe)))

    async def _check(self, key: Key, probe: Probe) -> None:
        interval = max(_SHORTEST, probe.check.interval / self._speed)
        while True:
            began, started = self._clock(), time.monotonic()
            reason, code = await self._ask(probe)
            self._results.append(Check(*key, began, reason, time.monotonic() - started, code))
            await asyncio.sleep(max(0.0, started + interval - time.monotonic()))

    async def _ask(self, probe: Probe) -> tuple[str, int]:
        """Why the check failed, as `code|description`, empty if it passed; and the answer's status, -1 without an answer."""
        check = probe.check
        try:
            async with asyncio.timeout(check.timeout):
                if probe.is_shut_out:
                    await asyncio.Event().wait()  # security groups drop packets: only the time-out ends it
                if probe.local_port is None:
                    raise ConnectionRefusedError
                code = await self._code(probe, probe.local_port)
        except TimeoutError:
            return "Target.Timeout|Request timed out", -1
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError):
            return "Target.FailedHealthChecks|Health checks failed", -1
        if matches(check.matcher, code):
            return "", code
        return f"Target.ResponseCodeMismatch|Health checks failed with these codes: [{code}]", code

    async def _code(self, probe: Probe, port: int) -> int:
        """The HTTP or gRPC status of a target's answer."""
        check = probe.check
        if probe.version == "GRPC":
            return await grpc_check.call(port, check.path, probe.host, _AGENT, secure=check.protocol == "HTTPS")
        url = f"{check.protocol.lower()}://{HOST}:{port}{check.path}"
        headers = {"Host": probe.host, "User-Agent": _AGENT, "Connection": "close"}
        async with self._client(probe.version == "HTTP2").stream("GET", url, headers=headers) as response:
            return response.status_code

    def _client(self, http2: bool) -> httpx.AsyncClient:
        if http2 not in self._clients:
            self._clients[http2] = httpx.AsyncClient(
                verify=False,  # noqa: S501  # an ALB doesn't validate its targets' certificates either
                http1=not http2,
                http2=http2,
                trust_env=False,
                timeout=None,  # noqa: S113  # the whole check has one
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
            )
        return self._clients[http2]


def matches(matcher: str, code: int) -> bool:
    """Whether a group's matcher accepts a status code. A matcher is like 200, 200,202 or 200-399, or a mixture; for gRPC like 0-99."""
    for part in matcher.split(","):
        first, _, last = part.strip().partition("-")
        if first.isdigit() and int(first) <= code <= (int(last) if last.isdigit() else int(first)):
            return True
    return False
