"""What an Application Load Balancer doesn't hand on, with the status that it answers then."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.sandbox.traffic.front_lab import TIMEOUT, Lab, forward, group, listener, raw, rule
from tests.sandbox.traffic.test_front import page

if TYPE_CHECKING:
    from collections.abc import Iterator

GRPC = -1
"""Not a status of HTTP."""
BAD = page("400 Bad Request")


def addresses(count: int) -> str:
    return ", ".join(["192.0.2.1"] * count)


def test_at_most_30_addresses_in_x_forwarded_for(lab: Lab) -> None:
    assert lab.get(headers={"X-Forwarded-For": addresses(30)}).status_code == 200
    answer = lab.get(headers={"X-Forwarded-For": addresses(31)})
    assert (answer.status_code, answer.headers["server"], answer.text) == (463, "awselb/2.0", "")
    two = httpx.Headers([("X-Forwarded-For", addresses(20)), ("X-Forwarded-For", addresses(11))])
    assert lab.get(headers=two).status_code == 463


def test_no_trace(lab: Lab) -> None:
    answer = httpx.request("TRACE", lab.url(), timeout=TIMEOUT)
    assert (answer.status_code, answer.headers["server"]) == (405, "awselb/2.0")
    assert answer.headers["content-type"] == "text/html"


def test_a_request_line_has_16_kb(lab: Lab) -> None:
    """With method, version and spaces."""
    longest = 16_384 - len("GET / HTTP/1.1")
    assert lab.get("/" + "x" * longest).status_code == 200
    answer = lab.get("/" + "x" * (longest + 1))
    assert (answer.status_code, answer.text) == (400, BAD)


def test_a_header_has_16_kb(lab: Lab) -> None:
    longest = 16_384 - len("X-Long: ")
    assert lab.get(headers={"X-Long": "x" * longest}).status_code == 200
    answer = lab.get(headers={"X-Long": "x" * (longest + 1)})
    assert (answer.status_code, answer.text) == (400, BAD)


def test_all_headers_together_have_64_kb(lab: Lab) -> None:
    headers = {f"X-{number}": "x" * 15_000 for number in range(4)}
    assert lab.get(headers=headers).status_code == 200
    answer = lab.get(headers=headers | {"X-5": "x" * 6_000})
    assert (answer.status_code, answer.headers["server"], answer.text) == (400, "awselb/2.0", BAD)


def test_redirects_and_fixed_responses_have_the_same_limits(lab: Lab) -> None:
    away = {"Type": "redirect", "Order": 1, "RedirectConfig": {"StatusCode": "HTTP_301", "Path": "/x"}}
    lab.show([listener(80, rule(forward("web"))), listener(81, rule(away))], [group("web", "i-a")])
    assert lab.get(port=81).status_code == 301
    assert lab.get(port=81, headers={"X-Forwarded-For": addresses(31)}).status_code == 463


@pytest.mark.parametrize(
    ("version", "method", "content", "plain", "over_two"),
    [
        ("HTTP1", "GET", "", 200, 200),
        ("HTTP1", "POST", "application/grpc+proto", GRPC, GRPC),
        ("HTTP2", "GET", "", 464, 502),
        ("GRPC", "POST", "application/grpc", GRPC, GRPC),
        ("GRPC", "POST", "", 464, 502),
        ("GRPC", "GET", "", 464, 464),
    ],
)
def test_the_protocol_has_to_fit_the_target_groups(
    lab: Lab, version: str, method: str, content: str, plain: int, over_two: int
) -> None:
    """The tests' own target speaks HTTP/1.1 only: where it is asked over HTTP/2, that ends in 502.

    A gRPC client sees any refusal as an answer with a gRPC status.
    """
    secure = listener(443, rule(forward("web")), protocol="HTTPS", certificates=["x"])
    lab.show([listener(80, rule(forward("web"))), secure], [group("web", "i-a", version=version)])
    trust = ssl.create_default_context(cafile=str(lab.front.ca_file))
    headers = {"Content-Type": content} if content else {}
    with httpx.Client(http2=True, verify=trust, timeout=TIMEOUT) as client:
        answer = client.request(method, lab.url(), headers=headers)
        assert (status(answer), answer.http_version) == (plain, "HTTP/1.1")
        answer = client.request(method, lab.url(443), headers=headers)
        assert (status(answer), answer.http_version) == (over_two, "HTTP/2")


def status(answer: httpx.Response) -> int:
    return GRPC if answer.headers.get("grpc-status", "0") != "0" else answer.status_code


def test_an_unknown_transfer_encoding_is_501(lab: Lab) -> None:
    lab.forwards(forward("web"), group("web", "i-a"))
    with raw(lab.url()) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 501 ")
