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


def mutual(mode: str = "verify", **more: Any) -> Mutual:
    return Mutual(mode, **{"authorities": authority("one").pem if mode == "verify" else "", **more})


def test_only_clients_of_the_trust_stores_authorities_come_in(lab: Lab, tmp_path: Path) -> None:
    one = authority("one")
    mine, bad, expired = (
        one.client(tmp_path, name, days_left=left) for name, left in (("mine", 5), ("bad", 5), ("old", -1))
    )
    other = authority("two").client(tmp_path, "other")
    for settings, welcome, unwelcome in (
        ({}, (mine, bad), (None, other, expired)),
        ({"ignores_expiry": True}, (mine, expired), (None, other)),
        ({"revocations": one.revoke([bad.certificate])}, (mine,), (bad,)),
    ):
        show(lab, mutual=mutual(**settings))
        for client in welcome:
            assert ask(lab, client)
        for stranger in unwelcome:
            with pytest.raises(httpx.TransportError):
                ask(lab, stranger)


def test_the_target_is_told_of_it_under_names_that_can_be_others(lab: Lab, tmp_path: Path) -> None:
    show(lab, mutual=mutual())
    client = authority("one").client(tmp_path, "mine")
    certificate, subject = client.certificate, r"CN=mine,O=Example\, Inc,C=US"
    seen = ask(lab, client, X_Amzn_Mtls_Clientcert_Subject="CN=forged")
    found = {name: value for name, value in seen.items() if name.startswith(PREFIX)}
    begin, end = (
        moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        for moment in (certificate.not_valid_before_utc, certificate.not_valid_after_utc)
    )
    size = (certificate.serial_number.bit_length() + 7) // 8
    leaf = found.pop(f"{PREFIX}-Leaf")
    assert found == {
        f"{PREFIX}-Serial-Number": certificate.serial_number.to_bytes(size, "big").hex().upper(),
        f"{PREFIX}-Issuer": "CN=one",
        f"{PREFIX}-Subject": subject,
        f"{PREFIX}-Validity": f"NotBefore={begin};NotAfter={end}",
    }
    assert leaf.startswith("-----BEGIN%20CERTIFICATE-----%0A")
    assert not {"%2B", "%2F", "%3D"} & set(re.findall("%..", leaf))
    assert unquote(leaf) == client.pem
    key = "routing.http.request.x_amzn_mtls_clientcert_subject.header_name"
    show(lab, mutual=mutual(), attributes={key: "X-Client"})
    seen = ask(lab, client)
    assert seen["X-Client"] == subject
    assert f"{PREFIX}-Subject" not in seen


def test_whatever_a_client_shows_is_passed_through_and_nothing_forged(lab: Lab, tmp_path: Path) -> None:
    show(lab, mutual=mutual("passthrough"))
    client = authority("two").client(tmp_path, "anybody", days_left=-1)
    seen = ask(lab, client)
    assert unquote(seen[PREFIX]) == client.pem
    assert f"{PREFIX}-Subject" not in seen
    assert PREFIX not in ask(lab, X_Amzn_Mtls_Clientcert="forged")


@pytest.mark.parametrize(
    ("policy", "least", "most"),
    [
        ("2016-08", "TLSv1_0", "TLSv1_2"),
        ("TLS-1-1-2017-01", "TLSv1_1", "TLSv1_2"),
        ("TLS-1-2-Ext-2018-06", "TLSv1_2", "TLSv1_2"),
        ("FS-2018-06", "TLSv1_0", "TLSv1_2"),
        ("FS-1-2-Res-2020-10", "TLSv1_2", "TLSv1_2"),
        ("TLS13-1-0-2021-06", "TLSv1_0", "TLSv1_3"),
        ("TLS13-1-2-Res-PQ-2025-09", "TLSv1_2", "TLSv1_3"),
        ("TLS13-1-3-2021-06", "TLSv1_3", "TLSv1_3"),
    ],
)
def test_versions_by_policy(policy: str, least: str, most: str) -> None:
    assert versions(f"ELBSecurityPolicy-{policy}") == (least, most)


def test_versions_are_spoken(lab: Lab) -> None:
    context = ssl.create_default_context(cafile=str(lab.front.ca_file))
    for policy, version in (("TLS13-1-3-2021-06", "TLSv1.3"), ("TLS-1-2-2017-01", "TLSv1.2")):
        show(lab, policy=f"ELBSecurityPolicy-{policy}")
        with httpx.Client(verify=context) as client, client.stream("GET", lab.url(443)) as answer:
            stream = answer.extensions["network_stream"]
            assert stream.get_extra_info("ssl_object").version() == version
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    with pytest.raises(httpx.ConnectError):
        httpx.get(lab.url(443), verify=context)
