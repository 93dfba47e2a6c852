"""HTTPS listeners: whose certificate, HTTP/2, and what a change of certificates does."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from alb_reconcile.sandbox.traffic.certificates import Authority
from alb_reconcile.sandbox.traffic.snapshot import Imported
from tests.sandbox.authorities import server_certificate, servers_pem
from tests.sandbox.traffic.front_lab import TIMEOUT, Lab, fixed, forward, group, headers_of, listener, rule

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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


def trust(lab: Lab) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(lab.front.ca_file))


def names_for(lab: Lab, server_name: str) -> set[str]:
    """The names in the certificate that a client gets who asks for one."""
    context = trust(lab)
    context.check_hostname = False
    port = httpx.URL(lab.url(443)).port
    with (
        socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as plain,
        context.wrap_socket(plain, server_hostname=server_name) as secure,
    ):
        shown: dict[str, Any] = dict(secure.getpeercert() or {})
        return {str(value) for kind, value in shown["subjectAltName"] if kind == "DNS"}


class TestCertificates:
    def test_browsers_that_trust_the_authority_trust_localhost(self, lab: Lab) -> None:
        serve(lab, "shop")
        url = next(door.url for door in lab.front.doors() if door.port == 443)
        assert url.startswith("https://localhost:")
        for address in (url, lab.url(443)):
            assert httpx.get(address, verify=trust(lab)).json()["target"] == "a"

    def test_nobody_else_does(self, lab: Lab) -> None:
        serve(lab, "shop")
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(lab.url(443))

    def test_the_name_asked_for_chooses_the_certificate(self, lab: Lab) -> None:
        serve(lab, "shop", "blog", "odd")
        assert "shop.example.com" in names_for(lab, "shop.example.com")
        assert "shop.example.com" in names_for(lab, "x.shop.example.com")
        assert "blog.example.com" in names_for(lab, "blog.example.com")
        assert "ok.example.com" in names_for(lab, "ok.example.com")

    def test_any_other_name_gets_the_default_one(self, lab: Lab) -> None:
        serve(lab, "blog", "shop")
        assert "blog.example.com" in names_for(lab, "other.example.org")
        assert "blog.example.com" in names_for(lab, "localhost")
        serve(lab, "shop", "blog")
        assert "shop.example.com" in names_for(lab, "other.example.org")

    def test_a_certificate_that_is_not_known_is_for_localhost(self, lab: Lab) -> None:
        serve(lab, "gone")
        assert names_for(lab, "localhost") == {"localhost"}

    def test_the_same_names_keep_their_certificate(self, tmp_path: Path) -> None:
        authority = Authority(tmp_path)
        first = authority.certify(["A.example.com"])
        assert authority.certify(["a.example.com"]) is first
        assert first.key.stat().st_mode & 0o077 == 0
        assert authority.certify(["b.example.com"]) != first


class TestHttp2:
    def test_clients_may_speak_it_on_https(self, lab: Lab) -> None:
        serve(lab, "shop")
        with httpx.Client(http2=True, verify=trust(lab), base_url=lab.url(443)) as client:
            answers = [client.get("/") for _ in range(3)]
        assert {answer.http_version for answer in answers} == {"HTTP/2"}
        seen = headers_of(answers[0])
        assert (seen["x-forwarded-proto"], seen["x-forwarded-port"]) == (
            "https",
            "443",
        )  # lower case, as in HTTP/2
        assert seen["host"].startswith("127.0.0.1:")
        with httpx.Client(verify=trust(lab), base_url=lab.url(443)) as client:
            assert client.get("/").http_version == "HTTP/1.1"

    def test_not_on_http(self, lab: Lab) -> None:
        serve(lab, "shop")
        with (
            httpx.Client(http2=True, http1=False, base_url=lab.url(80)) as client,
            pytest.raises(httpx.TransportError),
        ):
            client.get("/")

    def test_not_where_the_load_balancer_does_not(self, lab: Lab) -> None:
        serve(lab, "shop", routing__http2__enabled="false")
        with httpx.Client(http2=True, verify=trust(lab), base_url=lab.url(443)) as client:
            assert client.get("/").http_version == "HTTP/1.1"


def test_the_target_is_told_of_tls_if_wanted(lab: Lab) -> None:
    key = "routing__http__x_amzn_tls_version_and_cipher_suite__enabled"
    serve(lab, "shop", **{key: "true"})
    seen = headers_of(httpx.get(lab.url(443), verify=trust(lab)))
    assert seen["X-Amzn-Tls-Version"] == "TLSv1.3"
    assert seen["X-Amzn-Tls-Cipher-Suite"].startswith("TLS_")
    secure = listener(
        443, rule(forward("web")), protocol="HTTPS", certificates=["shop"],
        attributes={"routing.http.request.x_amzn_tls_version.header_name": "X-Tls"},
    )  # fmt: skip
    named = {key.replace("__", "."): "true"}
    lab.show([secure], [group("web", "i-a")], certificates=NAMES, attributes=named)
    seen = headers_of(httpx.get(lab.url(443), verify=trust(lab)))
    assert seen["X-Tls"] == "TLSv1.3"
    assert "X-Amzn-Tls-Version" not in seen
    serve(lab, "shop")
    assert "X-Amzn-Tls-Version" not in headers_of(httpx.get(lab.url(443), verify=trust(lab)))


def test_cookies_of_https_listeners_are_secure_for_other_sites(lab: Lab) -> None:
    sticky = group("web", "i-a", attributes={"stickiness.enabled": "true", "stickiness.type": "lb_cookie"})
    lab.show(
        [listener(443, rule(forward("web")), protocol="HTTPS", certificates=["shop"])],
        [sticky],
        certificates=NAMES,
    )
    cookies = httpx.get(lab.url(443), verify=trust(lab)).headers.get_list("set-cookie")
    assert cookies[1].endswith("; SameSite=None; Secure")


def test_a_listener_that_turns_to_https_keeps_its_port(lab: Lab) -> None:
    lab.show([listener(443, rule(fixed("plain")))])
    before = lab.url(443)
    assert httpx.get(before).text == "plain"
    lab.show([listener(443, rule(fixed("safe")), protocol="HTTPS", certificates=["shop"])], certificates=NAMES)
    assert lab.url(443) == before.replace("http", "https")
    assert httpx.get(lab.url(443), verify=trust(lab)).text == "safe"


class TestImported:
    def test_it_is_served_as_it_is_and_localhost_stays_trusted(self, lab: Lab) -> None:
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
        assert names_for(lab, "localhost") == {"localhost"}
