"""What an Application Load Balancer doesn't hand on, with the status that it answers then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.sandbox.traffic.front_lab import TIMEOUT, Lab, forward, group, listener, rule
from tests.sandbox.traffic.test_front import page

if TYPE_CHECKING:
    import ssl

GRPC = -1
"""Not a status of HTTP."""
BAD = page("400 Bad Request")
LINE, HEADER = 16_384 - len("GET / HTTP/1.1"), 16_384 - len("X-Long: ")
"""The longest path and header: a request line has 16 KB with method, version and spaces."""


def addresses(*counts: int) -> dict[str, Any]:
    return {"headers": httpx.Headers([("X-Forwarded-For", ", ".join(["192.0.2.1"] * count)) for count in counts])}


def long(**more: str) -> dict[str, Any]:
    return {"headers": {f"X-{number}": "x" * 15_000 for number in range(4)} | more}


@pytest.mark.parametrize(
    ("path", "params", "status", "text"),
    [
        ("", addresses(30), 200, None),
        ("", addresses(31), 463, ""),
        ("", addresses(20, 11), 463, ""),
        ("x" * LINE, {}, 200, None),
        ("x" * (LINE + 1), {}, 400, BAD),
        ("", {"headers": {"X-Long": "x" * HEADER}}, 200, None),
        ("", {"headers": {"X-Long": "x" * (HEADER + 1)}}, 400, BAD),
        ("", long(), 200, None),
        ("", long(X_5="x" * 6_000), 400, BAD),  # all together have 64 KB
    ],
    ids=lambda value: str(value)[:20],
)
def test_sizes(lab: Lab, path: str, params: dict[str, Any], status: int, text: str | None) -> None:
    lab.forwards(forward("web"), group("web", "i-a"))
    answer = lab.get(f"/{path}", **params)
    assert answer.status_code == status
    if text is not None:
        assert (answer.headers["server"], answer.text) == ("awselb/2.0", text)


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
    lab: Lab, trust: ssl.SSLContext, version: str, method: str, content: str, plain: int, over_two: int
) -> None:
    """The tests' own target speaks HTTP/1.1 only: where it is asked over HTTP/2, that ends in 502.

    A gRPC client sees any refusal as an answer with a gRPC status.
    """
    secure = listener(443, rule(forward("web")), protocol="HTTPS", certificates=["x"])
    lab.show([listener(80, rule(forward("web"))), secure], [group("web", "i-a", version=version)])
    headers = {"Content-Type": content} if content else {}
    with httpx.Client(http2=True, verify=trust, timeout=TIMEOUT) as client:
        answer = client.request(method, lab.url(), headers=headers)
        assert (status(answer), answer.http_version) == (plain, "HTTP/1.1")
        answer = client.request(method, lab.url(443), headers=headers)
        assert (status(answer), answer.http_version) == (over_two, "HTTP/2")


def status(answer: httpx.Response) -> int:
    return GRPC if answer.headers.get("grpc-status", "0") != "0" else answer.status_code
