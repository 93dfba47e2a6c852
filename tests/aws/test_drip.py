"""An answer that comes byte by byte, none of them late: botocore's own limit counts anew with each, and would wait for ever."""

from __future__ import annotations

import gc
import socket
import threading
import warnings
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.aws import timeouts
from alb_reconcile.aws.timeouts import Timeouts
from alb_reconcile.aws.transport import BotoTransport
from alb_reconcile.model.errors import AwsError
from tests.aws.test_answers import VPCS
from tests.processes import GUARD

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
PAUSE = 0.02
"""Seconds between bytes: far less than what a byte may take."""
SHORT = Timeouts(connect=0.3, read=0.5, attempts=1)


@contextmanager
def dripping(body: bytes, quick: int) -> Iterator[tuple[BotoTransport, list[bytes]]]:
    """A server whose answers come in one piece up to a byte, and then slowly, to their end. What it was asked is listed."""
    asked: list[bytes] = []
    over = threading.Event()

    def answer(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            asked.append(connection.recv(65_536))
            text = HEAD % len(body) + body
            connection.sendall(text[:quick])
            for byte in text[quick:]:
                if over.wait(PAUSE):
                    break
                connection.sendall(bytes([byte]))

    def serve() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(server.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        transport = BotoTransport(region="us-east-1", endpoint_url=url, sandbox=True)
        transport.prepare()
        try:
            yield transport, asked
        finally:
            over.set()
            server.shutdown(socket.SHUT_RDWR)
            for thread in threading.enumerate():
                if thread.name == "attempt":
                    thread.join(GUARD)
            with warnings.catch_warnings(action="ignore"):  # botocore drops what it has read halfway
                gc.collect()


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeouts, "_STANDARD", SHORT)
    monkeypatch.setattr(timeouts, "_SERVICES", {})
    monkeypatch.setattr(timeouts, "CONTENT", SHORT.read)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    ("call", "body", "quick"),
    [
        (("ec2", "describe_vpcs", {}), VPCS, 0),
        pytest.param(("ec2", "describe_vpcs", {}), VPCS, len(HEAD) + 10, marks=pytest.mark.slow),
        (("s3", "get_object", {"Bucket": "logs", "Key": "one"}), b"x" * 500, len(HEAD) + 5),
    ],
    ids=["from the status line on", "its body", "an object"],
)
def test_it_ends_as_one_that_never_comes(call: tuple[str, str, dict[str, str]], body: bytes, quick: int) -> None:
    with dripping(body, quick) as (transport, asked), pytest.raises(AwsError) as caught:
        transport(*call)
    assert (caught.value.code, caught.value.ambiguous, len(asked)) == ("ReadTimeoutError", True, 1)


@pytest.mark.parametrize("once", [False, True])
def test_it_is_repeated_as_a_lost_answer_is(monkeypatch: pytest.MonkeyPatch, *, once: bool) -> None:
    """Never what must not be sent twice."""
    monkeypatch.setattr(timeouts, "_STANDARD", SHORT._replace(attempts=2))
    with dripping(VPCS, 0) as (transport, asked), pytest.raises(AwsError):
        transport("ec2", "create_internet_gateway", {}, once=once)
    assert len(asked) == (1 if once else 2)


def test_a_slow_one_that_ends_in_time_is_read() -> None:
    with dripping(VPCS, len(HEAD) + len(VPCS) - 20) as (transport, asked):
        assert transport("ec2", "describe_vpcs", {})["Vpcs"] == [{"VpcId": "vpc-1"}]
    assert len(asked) == 1
