"""An open-rate load: requests start when they are due, however long earlier ones take, and every answer is read whole."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.processes import GUARD

if TYPE_CHECKING:
    from collections.abc import Sequence

CONNECTIONS = 32
"""Kept alive, and used in turn; where all are busy, more are opened."""
FRESH = 11
"""One request in so many has a connection of its own."""
POSTED = 13
"""One in so many is a POST with a body: nobody on the way may send it twice."""
TIMEOUT = GUARD
"""Seconds for one request. One that is late hasn't failed; one without an answer in this time has."""
MOST = 400
"""Requests under way at most: on a machine that can't keep up, requests start late instead of heaping up."""
BODY = b"x" * 2000


@dataclass(frozen=True, slots=True)
class Answer:
    """A request and what came of it. `begun` and `ended` by time.monotonic(); `error` is empty with a whole answer."""

    path: str
    begun: float
    ended: float
    status: int = 0
    instance: str = ""
    version: str = ""
    error: str = ""

    @property
    def is_good(self) -> bool:
        """Whether an instance's whole answer came."""
        return self.status == 200 and not self.error


class _Connection:
    """One HTTP/1.1 connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.is_open = True

    @classmethod
    async def to(cls, port: int) -> _Connection:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body. Raises OSError, EOFError, ValueError if it isn't whole, or no HTTP."""
        self.is_open = False  # until the whole answer has come
        self.writer.write(request)
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        version, status, _ = head[0].split(" ", 2)
        if version != "HTTP/1.1":
            raise ValueError(f"not HTTP/1.1: {head[0]!r}")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        body = await self.reader.readexactly(int(headers["content-length"]))
        self.is_open = headers.get("connection", "").lower() != "close"
        return int(status), headers, body


class Load:
    """Requests for `paths` in turn, `rate` a second, to a local port, from entering the block until leaving it.

    Leaving waits for what is still under way. What came is in `answers`, in the order of its end.
    """

    def __init__(self, url: str, *, rate: float, paths: Sequence[str] = ("/",)) -> None:
        self.rate, self.paths, self.answers = rate, paths, list[Answer]()
        self.sent = 0
        self._port = int(urlsplit(url).port or 80)
        self._idle: deque[_Connection] = deque()
        self._over = threading.Event()
        self._problem: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="load")

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        if self._problem is not None:
            raise self._problem

    def until(self, sent: int) -> None:
        """Wait until so many requests have been sent since the beginning."""
        while self.sent < sent and self._thread.is_alive():
            time.sleep(0.02)

    def more(self, count: int) -> None:
        """Wait until so many more have been sent."""
        self.until(self.sent + count)

    @property
    def failures(self) -> list[Answer]:
        """Those that weren't answered as they should."""
        return [answer for answer in self.answers if not answer.is_good]

    def from_instances(self, begun_after: float = 0.0, ended_before: float = float("inf")) -> Counter[str]:
        """How many requests each instance answered, of those that were wholly within that time."""
        return self._count("instance", begun_after, ended_before)

    def from_versions(self, begun_after: float = 0.0, ended_before: float = float("inf")) -> Counter[str]:
        """The same for each version."""
        return self._count("version", begun_after, ended_before)

    def _count(self, name: str, after: float, before: float) -> Counter[str]:
        return Counter(
            getattr(answer, name)
            for answer in self.answers
            if answer.is_good and answer.begun > after and answer.ended < before
        )

    def _run(self) -> None:
        try:
            asyncio.run(self._send())
        except BaseException as error:  # told to whoever leaves the block, in the test's own thread
            self._problem = error

    async def _send(self) -> None:
        self._idle.extend([await _Connection.to(self._port) for _ in range(CONNECTIONS)])
        async with asyncio.TaskGroup() as group:
            began = time.monotonic()
            while not self._over.is_set():
                now = time.monotonic()
                began = max(began, now - 1 - self.sent / self.rate)  # what was late stays so
                while began + self.sent / self.rate <= now and self.sent < len(self.answers) + MOST:
                    group.create_task(self._one(self.sent))
                    self.sent += 1
                await asyncio.sleep(max(began + self.sent / self.rate - time.monotonic(), 0.002))
        for connection in self._idle:
            connection.writer.close()
        await asyncio.gather(*(item.writer.wait_closed() for item in self._idle), return_exceptions=True)

    async def _one(self, number: int) -> None:
        path, fresh = self.paths[number % len(self.paths)], number % FRESH == 0
        request = self._request(path, fresh=fresh, posted=number % POSTED == 0)
        begun = time.monotonic()
        try:
            async with asyncio.timeout(TIMEOUT):
                status, body = await self._ask(request, fresh=fresh)
            who = _read(body) if status == 200 else ("", "")
            self.answers.append(Answer(path, begun, time.monotonic(), status, *who))
        except (OSError, EOFError, ValueError, KeyError, TimeoutError) as error:
            told_error = f"{type(error).__name__}: {error}"
            self.answers.append(Answer(path, begun, time.monotonic(), error=told_error))

    def _request(self, path: str, *, fresh: bool, posted: bool) -> bytes:
        head = [f"{'POST' if posted else 'GET'} {path} HTTP/1.1", "Host: load.test"]
        if fresh:
            head.append("Connection: close")
        if posted:
            head.append(f"Content-Length: {len(BODY)}")
        return "\r\n".join((*head, "", "")).encode() + (BODY if posted else b"")

    async def _ask(self, request: bytes, *, fresh: bool) -> tuple[int, bytes]:
        connection = self._idle.popleft() if self._idle and not fresh else await _Connection.to(self._port)
        try:
            status, _, body = await connection.ask(request)
        finally:
            if connection.is_open and not fresh:
                self._idle.append(connection)
            else:
                connection.writer.close()
        return status, body


def _read(body: bytes) -> tuple[str, str]:
    """The instance that answered, and its version. Raises ValueError, KeyError if it isn't the web API's answer."""
    told = json.loads(body)
    if not isinstance(told, dict):
        raise ValueError(f"not the web API's answer: {body[:100]!r}")  # noqa: TRY004 (the answer is wrong, not a type)
    return told["instance_id"], told["version"]
