"""The sandbox answers this machine's programs, for AWS's API of a few services, and no page in a browser."""

from __future__ import annotations

import http.client
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from moto.backends import list_of_moto_modules

from alb_reconcile.sandbox.allowed_services import SERVICES
from tests.e2e.tool import REGION, Account, Tool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

OURS = "/alb-reconcile/sandbox"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
DESCRIBE = b"Action=DescribeVpcs&Version=2016-11-15"
Answer = tuple[int, str, dict[str, str]]


def signed_for(service: str) -> dict[str, str]:
    scope = f"testing/20261125/{REGION}/{service}/aws4_request"
    return {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"}


@pytest.fixture
def port(running_sandbox: Tool) -> int:
    return int(running_sandbox.state()["port"])


@pytest.fixture
def ask(port: int, running_sandbox: Tool) -> Callable[..., Answer]:
    token = str(running_sandbox.state()["token"])

    def send(
        method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b"", host: str = ""
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.putrequest(method, path, skip_host=True)
            for name in host.split() or [f"127.0.0.1:{port}"]:
                connection.putheader("Host", name.replace("PORT", str(port)))
            for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
                connection.putheader(name, value.replace("PORT", str(port)).replace("TOKEN", token))
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), dict(answer.getheaders())
        finally:
            connection.close()

    return send


def is_refused(answer: Answer) -> bool:
    """With one plain sentence, and nothing that lets a page read it."""
    status, text, headers = answer
    assert not [name for name in headers if name.lower().startswith("access-control-")]
    if status != 403:
        return False
    assert text.startswith("The sandbox ")
    assert text.endswith(".\n")
    assert text.count("\n") == 1
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    return True


REQUESTS: tuple[tuple[Any, ...], ...] = (
    ("GET", OURS, {"X-Token": "TOKEN"}),
    ("GET", f"{OURS}/traffic"),
    ("POST", "/", {**FORM, **signed_for("ec2")}, DESCRIBE),
)


@pytest.mark.parametrize("host", ["127.0.0.1:PORT", "localhost:PORT", "LocalHost:PORT", "[::1]:PORT"])
def test_its_own_names_are_answered(ask: Callable[..., Answer], host: str) -> None:
    """So is an address that was typed into a browser."""
    for request in REQUESTS:
        assert ask(*request, host=host)[0] == 200
    assert ask("GET", OURS, {"Sec-Fetch-Site": "none", "X-Token": "TOKEN"}, host=host)[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:PORT", "evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:PORT",
        "127.0.0.1.evil.example:PORT", "x@127.0.0.1:PORT", "bucket.localhost:PORT", "0.0.0.0:PORT",
        "127.0.0.1:PORT evil.example:PORT",
    ],
)  # fmt: skip
def test_a_name_that_was_pointed_here_is_refused(ask: Callable[..., Answer], host: str) -> None:
    for request in REQUESTS:
        assert is_refused(ask(*request, host=host))


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Origin", "https://evil.example"), ("Origin", "null"), ("Origin", "http://127.0.0.1:PORT"),
        ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Site", "same-site"), ("Sec-Fetch-Site", "same-origin"),
    ],
)  # fmt: skip
def test_a_page_is_refused(ask: Callable[..., Answer], header: str, value: str) -> None:
    for method, path, *rest in REQUESTS:
        given, *body = rest or [{}]
        assert is_refused(ask(method, path, {**given, header: value}, *body))
        assert is_refused(ask("OPTIONS", path, {header: value, "Access-Control-Request-Method": method}))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"), ("POST", "/"), ("GET", "/?Action=DescribeVpcs&Version=2016-11-15"), ("GET", "/moto-api/"),
        ("POST", "/moto-api/reset"), ("GET", "/moto-api/data.json"), ("PUT", "/bucket"), ("GET", "/latest/meta-data/"),
        ("POST", f"/ec2_{REGION}/"), ("POST", f"{OURS}/"), ("GET", f"/lambda_{REGION}/2015-03-31/functions"),
    ],
)  # fmt: skip
def test_what_isnt_signed_is_refused(ask: Callable[..., Answer], method: str, path: str) -> None:
    body = DESCRIBE if method == "POST" else b""
    assert is_refused(ask(method, path, FORM if body else {}, body))


def test_the_documentation_lists_what_is_served() -> None:
    page = (Path(__file__).parent.parent.parent / "docs" / "sandbox.md").read_text(encoding="utf-8")
    (listed,) = re.findall(r"They have to be for (.*?)\. Of Lambda", page, re.DOTALL)
    assert re.findall(r"`(.*?)`", listed) == sorted(SERVICES)


def test_no_other_service_is_served(ask: Callable[..., Answer]) -> None:
    served = {
        "acm",
        "ec2",
        "iam",
        "logs",
        "route53",
        "s3",
        "secretsmanager",
        "servicequotas",
        "sqs",
        "ssm",
        "sts",
        "wafv2",
    }
    others = {*list_of_moto_modules(), "lambda", "execute-api", "s3express"} - served
    assert {"batch", "awslambda", "dynamodb", "moto_api", "instance_metadata"} <= others
    for service in others:
        assert is_refused(ask("POST", "/", {**FORM, **signed_for(service)}, DESCRIBE)), service


def test_it_is_emptied_with_its_token_only(ask: Callable[..., Answer], account: Account) -> None:
    """A signature for another service doesn't reach the emulator's own API either."""
    vpc = account.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    for path in ("/moto-api/reset", "/moto-api/reset/"):
        assert ask("POST", path, signed_for("s3"))[0] >= 400  # there is no such bucket
    assert ask("POST", OURS)[0] == ask("POST", OURS, {"X-Token": "mine"})[0] == 403
    assert ask("POST", f"{OURS}/preparation", {"X-Token": "mine"}, b"{}")[0] == 403
    assert account.ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"]


def test_its_token_is_told_to_nobody(ask: Callable[..., Answer], running_sandbox: Tool) -> None:
    """The state file in the state folder, which only its user may enter, has it; no answer and no list of processes does."""
    state = running_sandbox.state()
    for headers in ({}, {"X-Token": ""}, {"X-Token": "mine"}, {"X-Token": "\xe9"}):
        assert ask("GET", OURS, headers)[:2] == (403, "{}")
    assert ask("GET", OURS, {"X-Token": "TOKEN"})[0] == 200
    for name in ("cmdline", "environ"):
        assert state["token"].encode() not in Path(f"/proc/{state['pid']}/{name}").read_bytes()
    folder = Path(running_sandbox.environment["ALB_RECONCILE_SANDBOX_DIR"])
    assert folder.stat().st_mode & 0o777 == 0o700
