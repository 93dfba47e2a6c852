"""HTTPS listeners: versions by security policy, and clients that show a certificate."""

from __future__ import annotations

import re
import ssl
from datetime import UTC
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import httpx
import pytest

from alb_reconcile.sandbox.traffic.snapshot import Mutual
from alb_reconcile.sandbox.traffic.tls import versions
from tests.sandbox.authorities import authority
from tests.sandbox.traffic.front_lab import Lab, forward, group, headers_of, listener, rule

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.sandbox.authorities import Client

PREFIX = "X-Amzn-Mtls-Clientcert"


def show(lab: Lab, **more: Any) -> None:
    secure = listener(443, rule(forward("web")), protocol="HTTPS", certificates=["shop"], **more)
    lab.show([secure], [group("web", "i-a")], certificates={"shop": ("shop.example.com",)})


def ask(lab: Lab, client: Client | None = None, **headers: str) -> dict[str, str]:
    """The headers that the target sees of a request."""
    context = ssl.create_default_context(cafile=str(lab.front.ca_file))
    if client:
        context.load_cert_chain(client.file)
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return headers_of(httpx.get(lab.url(443), verify=context, headers=named))


def mutual(mode: str, **more: Any) -> Mutual:
    return Mutual(mode, **{"authorities": authority("one").pem if mode == "verify" else "", **more})


class TestVerify:
    def test_only_clients_of_the_trust_stores_authorities_come_in(self, lab: Lab, tmp_path: Path) -> None:
        show(lab, mutual=mutual("verify"))
        assert ask(lab, authority("one").client(tmp_path, "mine"))
        for stranger in (None, authority("two").client(tmp_path, "other")):
            with pytest.raises(httpx.TransportError):
                ask(lab, stranger)

    def test_expired_ones_only_where_that_is_ignored(self, lab: Lab, tmp_path: Path) -> None:
        expired = authority("one").client(tmp_path, "old", days_left=-1)
        show(lab, mutual=mutual("verify"))
        with pytest.raises(httpx.TransportError):
            ask(lab, expired)
        show(lab, mutual=mutual("verify", ignores_expiry=True))
        assert ask(lab, expired)

    def test_none_that_a_list_revokes(self, lab: Lab, tmp_path: Path) -> None:
        good, bad = (authority("one").client(tmp_path, name) for name in ("good", "bad"))
        show(lab, mutual=mutual("verify", revocations=authority("one").revoke([bad.certificate])))
        assert ask(lab, good)
        with pytest.raises(httpx.TransportError):
            ask(lab, bad)

    def test_the_target_is_told_of_it(self, lab: Lab, tmp_path: Path) -> None:
        show(lab, mutual=mutual("verify"))
        client = authority("one").client(tmp_path, "mine")
        seen = ask(lab, client, X_Amzn_Mtls_Clientcert_Subject="CN=forged")
        found = {name: value for name, value in seen.items() if name.startswith(PREFIX)}
        begin, end = client.certificate.not_valid_before_utc, client.certificate.not_valid_after_utc
        assert found == {
            f"{PREFIX}-Serial-Number": f"{client.certificate.serial_number:x}".upper().rjust(
                (client.certificate.serial_number.bit_length() + 7) // 8 * 2, "0"
            ),
            f"{PREFIX}-Issuer": "CN=one",
            f"{PREFIX}-Subject": r"CN=mine,O=Example\, Inc,C=US",
            f"{PREFIX}-Validity": f"NotBefore={text(begin)};NotAfter={text(end)}",
            f"{PREFIX}-Leaf": found[f"{PREFIX}-Leaf"],
        }
        leaf = found[f"{PREFIX}-Leaf"]
        assert leaf.startswith("-----BEGIN%20CERTIFICATE-----%0A")
        assert not {"%2B", "%2F", "%3D"} & set(re.findall("%..", leaf))
        assert unquote(leaf) == client.pem

    def test_headers_can_have_other_names(self, lab: Lab, tmp_path: Path) -> None:
        key = "routing.http.request.x_amzn_mtls_clientcert_subject.header_name"
        show(lab, mutual=mutual("verify"), attributes={key: "X-Client"})
        seen = ask(lab, authority("one").client(tmp_path, "mine"))
        assert seen["X-Client"] == r"CN=mine,O=Example\, Inc,C=US"
        assert f"{PREFIX}-Subject" not in seen


def text(moment: Any) -> str:
    return str(moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))


class TestPassthrough:
    def test_whatever_a_client_shows_is_handed_on(self, lab: Lab, tmp_path: Path) -> None:
        show(lab, mutual=mutual("passthrough"))
        client = authority("two").client(tmp_path, "anybody", days_left=-1)
        seen = ask(lab, client)
        assert unquote(seen[PREFIX]) == client.pem
        assert f"{PREFIX}-Subject" not in seen

    def test_who_shows_nothing_comes_in_and_can_not_forge_it(self, lab: Lab) -> None:
        show(lab, mutual=mutual("passthrough"))
        assert PREFIX not in ask(lab, X_Amzn_Mtls_Clientcert="forged")


class TestPolicies:
    @pytest.mark.parametrize(
        ("policy", "expected"),
        [
            ("ELBSecurityPolicy-2016-08", ("TLSv1_0", "TLSv1_2")),
            ("ELBSecurityPolicy-TLS-1-1-2017-01", ("TLSv1_1", "TLSv1_2")),
            ("ELBSecurityPolicy-TLS-1-2-Ext-2018-06", ("TLSv1_2", "TLSv1_2")),
            ("ELBSecurityPolicy-FS-2018-06", ("TLSv1_0", "TLSv1_2")),
            ("ELBSecurityPolicy-FS-1-2-Res-2020-10", ("TLSv1_2", "TLSv1_2")),
            ("ELBSecurityPolicy-TLS13-1-0-2021-06", ("TLSv1_0", "TLSv1_3")),
            ("ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09", ("TLSv1_2", "TLSv1_3")),
            ("ELBSecurityPolicy-TLS13-1-3-2021-06", ("TLSv1_3", "TLSv1_3")),
        ],
    )
    def test_versions(self, policy: str, expected: tuple[str, str]) -> None:
        assert versions(policy) == expected

    def test_they_are_spoken(self, lab: Lab) -> None:
        for policy, version in (("TLS13-1-3-2021-06", "TLSv1.3"), ("TLS-1-2-2017-01", "TLSv1.2")):
            show(lab, policy=f"ELBSecurityPolicy-{policy}")
            context = ssl.create_default_context(cafile=str(lab.front.ca_file))
            with httpx.Client(verify=context) as client, client.stream("GET", lab.url(443)) as answer:
                stream = answer.extensions["network_stream"]
                assert stream.get_extra_info("ssl_object").version() == version
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        with pytest.raises(httpx.ConnectError):
            httpx.get(lab.url(443), verify=context)
