"""The guard of changes in the calls' own threads, as botocore sends them."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.aws import timeouts
from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.timeouts import Timeouts
from alb_reconcile.aws.transport import BotoTransport
from alb_reconcile.locking import durations
from alb_reconcile.model.errors import AwsError, InterruptedRun, LeaseError

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Refuser(BaseHTTPRequestHandler):
    """503 to everything, so that botocore repeats it."""

    seen: list[str]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.seen.append(body.partition("Action=")[2].partition("&")[0])
        self.send_response(503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving(kind: type[Any]) -> Iterator[tuple[str, list[str]]]:
    seen: list[str] = []
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (kind,), {"seen": seen})) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", seen
        finally:
            server.shutdown()
            thread.join()


class _Guard:
    """Lets so many attempts pass."""

    def __init__(self, attempts: int) -> None:
        self.attempts = attempts
        self.permitted: list[float] = []

    async def permit(self, seconds: float, /) -> None:
        self.permitted.append(seconds)

    def check(self, seconds: float, /) -> None:
        assert seconds == timeouts.settled("ec2")
        self.attempts -= 1
        if self.attempts < 0:
            raise LeaseError("it wasn't sent")


@pytest.mark.parametrize(("attempts", "sent"), [(0, 0), (1, 0), (2, 1), (3, 2)])
def test_each_attempt_is_asked_for(monkeypatch: pytest.MonkeyPatch, attempts: int, sent: int) -> None:
    """Once when the call's thread begins, then before each attempt. What isn't granted isn't sent; reads aren't asked."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")

    async def main(url: str) -> None:
        transport = BotoTransport(region="us-east-1", endpoint_url=url)
        transport.prepare()
        aws = Aws(transport, max_workers=1)
        guard = aws.guard = _Guard(attempts)
        with pytest.raises(LeaseError):
            await aws.call("ec2", "create_tags", Resources=["i-1"], Tags=[])
        assert aws.changed == (attempts > 0)
        assert guard.permitted == [timeouts.settled_all("ec2")]
        assert not aws.is_changing
        with pytest.raises(AwsError, match="503"):
            await aws.call("ec2", "describe_vpcs")
        aws.close()

    with serving(_Refuser) as (url, seen):
        asyncio.run(main(url))
    assert seen.count("CreateTags") == sent
    assert seen.count("DescribeVpcs") == 4


def test_the_worst_case_follows_from_the_clients_numbers() -> None:
    assert timeouts.timeouts_of("ec2") == Timeouts(4, 60, 4)
    assert timeouts.longest("ec2") == 4 * 64 + (1 + 2 + 4) + 3 * 5
    assert timeouts.longest("ec2", once=True) == 64
    assert timeouts.settled("ec2") == 300, "until AWS refuses what was signed then"
    assert timeouts.settled_all("ec2") < durations.LEASE - durations.RENEW_INTERVAL - timeouts.longest("s3"), (
        "it is had without a wait"
    )
    assert timeouts.longest("s3") < 40, "a renewal ends long before the next is due"


class _Hole:
    """A transport that answers when the test ends."""

    def __init__(self) -> None:
        self.done = threading.Event()

    def __call__(self, *_: Any, once: bool = False) -> dict[str, Any]:
        self.done.wait(30)
        return {}


def test_calls_aside_end_in_time_and_arent_kept_from_their_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though all workers hang."""
    monkeypatch.setattr(timeouts, "longest", lambda *_, **__: -4.9)
    hole = _Hole()

    async def main() -> None:
        aws = Aws(hole, max_workers=1)
        stuck = asyncio.ensure_future(aws.call("ec2", "create_tags"))
        while not aws.is_changing:
            await asyncio.sleep(0.01)
        aws.stopping.set()
        with pytest.raises(InterruptedRun):  # what isn't held yet isn't taken any more
            await aws.aside("s3", "put_object")
        with pytest.raises(AwsError, match="no answer within"):
            await aws.aside("s3", "get_object", urgent=True)
        assert aws.calls == {"create_tags": 1, "get_object": 1}
        hole.done.set()
        await stuck
        aws.close()

    asyncio.run(main())


def test_who_holds_a_lease_doesnt_stand_behind_those_who_want_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though all of their calls hang."""
    done = threading.Event()

    def hang(service: str, operation: str, params: Any, *, once: bool = False) -> dict[str, Any]:
        if operation == "get_object":
            done.wait(30)
        return {"ETag": '"1"'}

    async def main() -> None:
        aws = Aws(hang, max_workers=1)
        line = [asyncio.ensure_future(aws.fork().aside("s3", "get_object")) for _ in range(12)]
        await asyncio.sleep(0)
        async with asyncio.timeout(20):
            await aws.fork().aside("s3", "put_object", urgent=True)
        assert not any(call.done() for call in line)
        done.set()
        await asyncio.gather(*line)
        aws.close()

    asyncio.run(main())
