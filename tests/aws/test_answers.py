"""Answers that aren't AWS's end a call in one clear error, never in a traceback, and never count as an empty list."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.aws.transport import BotoTransport
from alb_reconcile.model.errors import AwsError

if TYPE_CHECKING:
    from collections.abc import Iterator

VPCS = b"""<?xml version="1.0" encoding="UTF-8"?>
<DescribeVpcsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">
  <requestId>r</requestId><vpcSet><item><vpcId>vpc-1</vpcId></item></vpcSet>
</DescribeVpcsResponse>
"""
LIMITED = b"""<?xml version="1.0" encoding="UTF-8"?>
<Response><Errors><Error><Code>RequestLimitExceeded</Code><Message>Request limit exceeded.</Message></Error></Errors></Response>"""
BROKEN = LIMITED.replace(b"RequestLimitExceeded", b"InternalError")
REFUSED = LIMITED.replace(b"RequestLimitExceeded", b"UnauthorizedOperation")
PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body><br></body></html>"
WELL_FORMED = b"<html><body><p>Sign in</p></body></html>"


class _Scripted(BaseHTTPRequestHandler):
    status: int
    body: bytes
    asked: list[str]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.asked.append(self.path)
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    do_GET = do_CONNECT = do_POST  # noqa: N815  # http.server's names

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def answering(status: int, body: bytes) -> Iterator[tuple[BotoTransport, list[str]]]:
    asked: list[str] = []
    own = type("Own", (_Scripted,), {"status": status, "body": body, "asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), own) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            url = f"http://key:secret@127.0.0.1:{server.server_port}"
            transport = BotoTransport(region="us-east-1", endpoint_url=url, sandbox=True)
            transport.prepare()
            yield transport, asked
        finally:
            server.shutdown()
            thread.join()


def fault(status: int, body: bytes, service: str, operation: str, **params: Any) -> tuple[AwsError, str, int]:
    """What is told, where it was asked, and how often."""
    with answering(status, body) as (transport, asked), pytest.raises(AwsError) as caught:
        transport(service, operation, params)
    return caught.value, transport.endpoint, len(asked)


def test_an_answer_of_aws_is_read() -> None:
    with answering(200, VPCS) as (transport, _):
        assert [item["VpcId"] for item in transport("ec2", "describe_vpcs", {})["Vpcs"]] == ["vpc-1"]
    with answering(200, b'{"Version": "2012-10-17"}') as (transport, _):
        assert transport("s3", "get_bucket_policy", {"Bucket": "logs"})["Policy"] == '{"Version": "2012-10-17"}'


def test_a_refusal_of_aws_is_told_as_one() -> None:
    error, _, _ = fault(403, REFUSED, "ec2", "describe_vpcs")
    assert (error.code, error.ambiguous) == ("UnauthorizedOperation", False)


@pytest.mark.parametrize(("body", "throttled"), [(LIMITED, True), (BROKEN, False)])
def test_a_call_that_is_throttled_has_had_no_effect(body: bytes, throttled: bool) -> None:
    """EC2 says so with status 503; after others of that status nobody knows."""
    with answering(503, body) as (transport, _), pytest.raises(AwsError) as caught:
        transport("ec2", "create_vpc", {"CidrBlock": "10.0.0.0/16"}, once=True)
    assert (caught.value.is_throttled, caught.value.ambiguous) == (throttled, not throttled)
    assert caught.value.is_passing


@pytest.mark.parametrize("status", [200, 403, 407])
@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param(PAGE, '"<!DOCTYPE html> <html><head><title>Sign in', id="a page"),
        pytest.param(WELL_FORMED, '"<html><body><p>Sign in', id="a well-formed page"),
        pytest.param(VPCS[: len(VPCS) // 2], '"<?xml version=', id="half an answer"),
        pytest.param(b"Blocked by policy", '"Blocked by policy"', id="a text"),
        pytest.param(b"\x1b[2J\x00\xff", "x1b[2J", id="bytes"),
    ],
)
@pytest.mark.parametrize(("service", "operation"), [("ec2", "describe_vpcs"), ("elbv2", "describe_load_balancers")])
def test_what_is_no_answer_of_aws(status: int, body: bytes, words: str, service: str, operation: str) -> None:
    error, endpoint, asked = fault(status, body, service, operation)
    assert (error.code, error.ambiguous, asked) == ("InvalidResponse", True, 1)
    assert str(error).isprintable()
    assert f"http://***@127.0.0.1:{endpoint.rpartition(':')[2]} answered status {status} with" in str(error)
    assert words in str(error)


@pytest.mark.parametrize(
    ("body", "call"),
    [
        (VPCS.replace(b"</item>", b""), ("ec2", "describe_vpcs")),  # only a parser sees it
        *((body, ("ssm", "get_parameter", "Name")) for body in (PAGE, b"{", b"[]")),
        *((body, ("s3", "get_bucket_policy", "Bucket")) for body in (PAGE, WELL_FORMED, b'{"Version": ')),
    ],
)
def test_broken_within(body: bytes, call: tuple[str, ...]) -> None:
    service, operation, *names = call
    error, _, _ = fault(200, body, service, operation, **dict.fromkeys(names, "logs"))
    assert error.code == "InvalidResponse"
