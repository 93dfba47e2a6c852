"""Webhooks: signed, in bounded time, sent to nowhere but where they were meant to go."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import ssl
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from alb_reconcile.journal.files import RecordError
from alb_reconcile.journal.webhook import Webhook, make_webhook, send, sign
from alb_reconcile.journal.webhook_addresses import refusal
from alb_reconcile.model.errors import UsageError
from tests.journal.receiver import Receiver, receiving
from tests.processes import until

if TYPE_CHECKING:
    from collections.abc import Sequence

SECRET = "a secret of some length"
SOON = 30.0
"""Seconds that no bounded wait takes, however busy the machine is; an unbounded one takes longer."""


def hook(receiver: Receiver, **changes: Any) -> Webhook:
    return replace(make_webhook(receiver.url, SECRET, private=True, plain=True), **changes)


def deliver(webhook: Webhook, body: bytes = b"{}") -> None:
    asyncio.run(send(webhook, "msg_1", body))


def refused(webhook: Webhook) -> str:
    started = time.monotonic()
    with pytest.raises(RecordError) as caught:
        deliver(webhook)
    assert time.monotonic() - started < SOON
    text = str(caught.value)
    assert SECRET not in text
    assert "/hook" not in text
    return text


def resolving(monkeypatch: pytest.MonkeyPatch, addresses: Sequence[str]) -> list[str]:
    """Every name has those addresses. Returns the names that were asked for."""
    asked: list[str] = []

    def answer(host: str, port: int, **_: object) -> list[Any]:
        asked.append(host)
        return [(None, None, None, "", (address, port)) for address in addresses]

    monkeypatch.setattr("alb_reconcile.journal.webhook_addresses.socket.getaddrinfo", answer)
    return asked


class TestSignature:
    """As Standard Webhooks has it, so that receivers can use its libraries."""

    def test_the_specifications_own_example(self) -> None:
        webhook = make_webhook("https://example.com", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        headers = sign(webhook.secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
        assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

    def test_a_receiver_can_verify_it(self) -> None:
        body = '{"käse": 1}'.encode()
        with receiving() as receiver:
            before = int(time.time())
            deliver(hook(receiver), body)
        ((method, path, headers, got),) = receiver.requests
        assert (method, path, got) == ("POST", "/hook", body)
        assert headers["content-type"] == "application/json"
        assert headers["host"] == f"127.0.0.1:{receiver.port}"
        assert headers["webhook-id"] == "msg_1"
        assert before <= int(headers["webhook-timestamp"]) <= time.time()
        signed = f"msg_1.{headers['webhook-timestamp']}.".encode() + body
        mac = base64.b64encode(hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{mac}"
        assert SECRET not in str(receiver.requests)

    @pytest.mark.parametrize("secret", ["", "short", "whsec_c2hvcnQ=", "whsec_not base64!", "whsec_"])
    def test_secrets_that_are_none(self, secret: str) -> None:
        with pytest.raises(UsageError, match="the webhook's secret") as caught:
            make_webhook("https://example.com", secret)
        assert not secret.strip("whsec_") or secret not in str(caught.value)


class TestSettings:
    """Nothing of the URL or the secret is in a message."""

    @pytest.mark.parametrize(
        "url",
        [
            "http://host/PRIVATE", "ftp://host/PRIVATE", "file:///PRIVATE", "PRIVATE", "//host/PRIVATE", "https://",
            "https:///PRIVATE", "https://host:99999999/PRIVATE", "https://[PRIVATE", "https://ho st/\nPRIVATE", "\ud800",
        ],
    )  # fmt: skip
    def test_urls_that_are_none(self, url: str) -> None:
        with pytest.raises(UsageError, match="the webhook's URL") as caught:
            make_webhook(url, SECRET)
        assert "PRIVATE" not in str(caught.value)

    def test_what_is_shown_of_it(self) -> None:
        webhook = make_webhook("https://user:pass@hooks.example.com/services/T0/B0?key=1", SECRET)
        assert webhook.title == "https://hooks.example.com"
        for word in ("pass", "T0", "key", "secret of"):
            assert word not in repr(webhook)


class TestFailures:
    """Whatever the receiver does, the reason is one line, and soon."""

    @pytest.mark.parametrize(
        ("answers", "told"),
        [
            ({"manner": "hang"}, "it took more than 0.6 s"),
            ({"manner": "drip"}, "it took more than 0.6 s"),
            ({"manner": "close"}, "the connection was lost"),
            ({"status": 404}, "it answered with status 404"),
            ({"status": 500}, "it answered with status 500"),
        ],
        ids=str,
    )
    def test_a_receiver_that_is_none(self, answers: dict[str, Any], told: str) -> None:
        with receiving(**answers) as receiver:
            assert refused(hook(receiver, **({"timeout": 0.6} if "0.6" in told else {}))) == told
            until(lambda: receiver.requests)  # on a busy machine it reads the request later than that
            assert len(receiver.requests) == 1

    def test_a_resolver_that_hangs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        done = threading.Event()

        def hang(*_: object, **__: object) -> list[Any]:
            done.wait(60)
            return []

        monkeypatch.setattr("alb_reconcile.journal.webhook_addresses.socket.getaddrinfo", hang)
        webhook = replace(make_webhook("https://hooks.example.com/hook", SECRET), timeout=0.3)
        assert refused(webhook) == "it took more than 0.3 s"
        done.set()  # its thread ends without anybody listening, which must disturb nobody
        for thread in threading.enumerate():
            if thread.name == "resolve":
                thread.join(SOON)

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_redirects_are_not_followed(self, status: int) -> None:
        with receiving() as inside, receiving(status=status, location=inside.url) as receiver:
            told = refused(hook(receiver))
            assert told.startswith(f"it answered with a redirect ({status}), which isn't followed")
            assert (inside.requests, len(receiver.requests)) == ([], 1)


class TestTls:
    """The certificate is checked for the name, though the connection goes to the address that was looked at."""

    def answer(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, name: str, *, trusted: bool) -> str:
        authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("hooks.example.com").configure_cert(context)
        file = tmp_path / "ca.pem"
        (authority if trusted else trustme.CA()).cert_pem.write_to_path(file)
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        resolving(monkeypatch, ["127.0.0.1"])
        with receiving(context) as receiver:
            webhook = make_webhook(f"https://{name}:{receiver.port}/hook", SECRET, private=True)
            try:
                deliver(webhook)
            except RecordError as error:
                return str(error)
            return receiver.requests[0][2]["host"].partition(":")[0]

    @pytest.mark.parametrize(
        ("name", "trusted", "told"),
        [
            ("hooks.example.com", True, "hooks.example.com"),
            ("other.example.com", True, "its certificate isn't trusted: Hostname mismatch"),
            ("hooks.example.com", False, "its certificate isn't trusted: "),
        ],
    )
    def test_certificates(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, name: str, trusted: bool, told: str
    ) -> None:
        assert self.answer(monkeypatch, tmp_path, name, trusted=trusted).startswith(told)


PRIVATE = [
    "127.0.0.1", "127.8.8.8", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "100.100.100.200", "192.0.2.1",
    "198.18.0.1", "240.0.0.1", "255.255.255.255", "::1", "fc00::1", "fd12::1", "fec0::1", "2001:db8::1",
    "::ffff:10.0.0.1", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::a00:1", "64:ff9b:1::7f00:1", "2002:a00:1::", "4000::1",
]  # fmt: skip
NEVER = [
    "169.254.169.254", "169.254.170.2", "169.254.0.1", "0.0.0.0", "0.1.2.3", "224.0.0.1", "::", "fe80::1", "fe80::1%eth0",
    "ff02::1", "fd00:ec2::254", "fd00:ec2::23", "::ffff:169.254.169.254", "::ffff:0:0", "::169.254.169.254",
    "64:ff9b::a9fe:a9fe", "64:ff9b:1::a9fe:a9fe", "2002:a9fe:a9fe::",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "52.95.110.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::"]


class TestAddresses:
    """Where a message may go, whatever the name says."""

    @pytest.mark.parametrize("address", [*PUBLIC, *PRIVATE, *NEVER])
    def test_each(self, address: str) -> None:
        never = "address of instance metadata"
        inside = "private network" if address in PRIVATE else ""
        assert (never if address in NEVER else inside) in refusal(address)
        assert bool(refusal(address)) == (address not in PUBLIC)
        assert (never in refusal(address, private=True)) == (address in NEVER) == bool(refusal(address, private=True))

    @given(st.ip_addresses(v=4, network="169.254.0.0/16"), st.sampled_from(["::ffff:", "64:ff9b::", "::", ""]))
    def test_no_dress_for_metadata(self, address: Any, dress: str) -> None:
        assert refusal(f"{dress}{address}", private=True)

    @pytest.mark.parametrize(
        "url",
        [
            "https://127.0.0.1/hook", "https://localhost/hook", "https://[::1]/hook", "https://2130706433/hook",
            "https://0x7f.1/hook", "https://127.1/hook", "https://[::ffff:127.0.0.1]/hook", "https://169.254.169.254/hook",
            "https://[fd00:ec2::254]/hook", "https://0/hook",
        ],
    )  # fmt: skip
    def test_however_it_is_written(self, url: str) -> None:
        """Literal addresses go through the system's own resolver, which knows all their forms."""
        assert "so nothing is sent there" in refused(make_webhook(url, SECRET))

    @pytest.mark.parametrize(
        "addresses", [["10.0.0.1"], ["1.1.1.1", "10.0.0.1"], ["169.254.169.254"], ["1.1.1.1", "::1"]]
    )
    def test_a_name_that_leads_inside(self, monkeypatch: pytest.MonkeyPatch, addresses: list[str]) -> None:
        """One such address among others is enough: nothing is sent to any."""
        resolving(monkeypatch, addresses)
        assert "so nothing is sent there" in refused(make_webhook("https://hooks.example.com/hook", SECRET))

    def test_a_name_is_asked_for_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A name that leads elsewhere when it is asked for again has no chance to."""
        asked = resolving(monkeypatch, ["127.0.0.1"])
        with receiving() as receiver:
            url = f"http://hooks.example.com:{receiver.port}/hook?key=1"
            deliver(make_webhook(url, SECRET, private=True, plain=True))
        assert asked == ["hooks.example.com"]
        ((_, path, headers, _),) = receiver.requests
        assert (path, headers["host"]) == ("/hook?key=1", f"hooks.example.com:{receiver.port}")

    def test_no_proxy_is_asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A proxy would resolve the name anew."""
        with receiving() as proxy, receiving() as receiver:
            for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            deliver(hook(receiver))
            assert (len(proxy.requests), len(receiver.requests)) == (0, 1)
