"""HTTPS listeners: whose certificate, HTTP/2, and what a change of certificates does."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from alb_reconcile.sandbox.traffic.snapshot import Imported
from tests.sandbox.authorities import server_certificate, servers_pem
from tests.sandbox.traffic.front_lab import TIMEOUT, Lab, forward, group, headers_of, listener, rule

if TYPE_CHECKING:
    pass

NAMES = {
    "shop": ("shop.example.com", "*.shop.example.com"),
    "blog": ("blog.example.com",),
    "odd": ("no such_name", "ok.example.com"),
}


def serve(lab: Lab, *certificates: str, **attributes: str) -> None:
    named = {key.replace("__", "."): value for key, value in attributes.items()}
    secure = listener(443, rule(forward("web")), protocol="HTTPS", certificates=certificates)
    plain = listener(80, rule(forward("web")))
    lab.show([secure, plain], [group("web", "i-a")], certificates=NAMES, attributes=named)


@pytest.fixture
def names_for(lab: Lab) -> Callable[[str], set[str]]:
    """The names in the certificate that a client gets who asks for one."""
    context = ssl.create_default_context(cafile=str(lab.front.ca_file))
    context.check_hostname = False

    def ask(server_name: str) -> set[str]:
        port = httpx.URL(lab.url(443)).port
        with (
            socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as plain,
            context.wrap_socket(plain, server_hostname=server_name) as secure,
        ):
            shown: dict[str, Any] = dict(secure.getpeercert() or {})
            return {str(value) for kind, value in shown["subjectAltName"] if kind == "DNS"}

    return ask


Names = Callable[[str], set[str]]


def test_browsers_that_trust_the_authority_trust_localhost_and_nobody_else_does(
    lab: Lab, trust: ssl.SSLContext
) -> None:
    serve(lab, "shop")
    url = next(door.url for door in lab.front.doors() if door.port == 443)
    assert url.startswith("https://localhost:")
    for address in (url, lab.url(443)):
        assert httpx.get(address, verify=trust).json()["target"] == "a"
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(lab.url(443))


def test_the_name_asked_for_chooses_the_certificate_or_any_other_the_default_one(lab: Lab, names_for: Names) -> None:
    serve(lab, "blog", "shop", "odd")
    for name, known in (
        ("shop.example.com", "shop.example.com"), ("x.shop.example.com", "shop.example.com"),
        ("blog.example.com", "blog.example.com"), ("ok.example.com", "ok.example.com"),
        ("other.example.org", "blog.example.com"), ("localhost", "blog.example.com"),
    ):  # fmt: skip
        assert known in names_for(name)
    serve(lab, "shop", "blog")
    assert "shop.example.com" in names_for("other.example.org")
    serve(lab, "gone")
    assert names_for("localhost") == {"localhost"}


def test_an_imported_one_is_served_as_it_is_and_localhost_stays_trusted(lab: Lab, names_for: Names) -> None:
    chain, key = server_certificate("imported.example.com")
    secure = listener(443, rule(forward("web")), protocol="HTTPS", certificates=["theirs"])
    lab.show([secure], [group("web", "i-a")])
    lab.change(imported={"theirs": Imported(chain, key)})
    context = ssl.create_default_context(cadata=servers_pem())
    with (
        socket.create_connection(("127.0.0.1", httpx.URL(lab.url(443)).port), timeout=TIMEOUT) as plain,
        context.wrap_socket(plain, server_hostname="imported.example.com") as shown,
    ):
        assert shown.getpeercert(binary_form=True) == ssl.PEM_cert_to_DER_cert(chain)
    assert names_for("localhost") == {"localhost"}


def test_clients_may_speak_http_2_on_https_where_the_load_balancer_does(lab: Lab, trust: ssl.SSLContext) -> None:
    for enabled, over_two in (("true", "HTTP/2"), ("false", "HTTP/1.1")):
        serve(lab, "shop", routing__http2__enabled=enabled)
        with httpx.Client(http2=True, verify=trust, base_url=lab.url(443)) as client:
            answers = [client.get("/") for _ in range(3)]
        assert {answer.http_version for answer in answers} == {over_two}
        assert httpx.get(lab.url(443), verify=trust).http_version == "HTTP/1.1"
        seen = {name.lower(): value for name, value in headers_of(answers[0]).items()}
        assert (seen["x-forwarded-proto"], seen["x-forwarded-port"]) == ("https", "443")
        assert seen["host"].startswith("127.0.0.1:")
    with httpx.Client(http2=True, http1=False, base_url=lab.url(80)) as client, pytest.raises(httpx.TransportError):
        client.get("/")
