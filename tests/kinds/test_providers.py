"""Identity providers that don't answer: a warning with its place, where an action that asks them is made or changed."""

from __future__ import annotations

import ssl
from functools import partial
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.aws.outside import ask
from tests.kinds.hand import edited
from tests.kinds.test_authentication import COGNITO, JWT, LISTENERS, OIDC, behind, put
from tests.kinds.test_listener import upload_certificates
from tests.verify.servers import Authority, Front, front, unused_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.harness import Spec
    from tests.kinds.hand import Hand

KEYS = b'{"keys": []}'
ELSEWHERE = {"Location": "http://169.254.169.254/latest/meta-data/"}


def route(method: str, host: str, path: str, headers: object) -> tuple[int, dict[str, str], bytes]:
    if path == "/moved":
        return 302, ELSEWHERE, b""
    known = {"/keys": KEYS, "/text": b"none", "/list": b"[]"}
    return (200, {}, known[path]) if path in known else (405, {}, b"")


@pytest.fixture
def provider(hand: Hand, tmp_path: Path) -> Iterator[Front]:
    """An https address on this machine that the tool's asking trusts."""
    authority = Authority(tmp_path)
    hand.world.outside = partial(ask, context=ssl.create_default_context(cafile=authority.file))
    upload_certificates()
    with front(route, authority.context("localhost")) as found:
        yield found


def jwt(url: str) -> Spec:
    return {"jwt_validation": {**JWT, "jwks_endpoint": url}}


def warned(hand: Hand, spec: Spec) -> list[str]:
    return [text for text in hand.world.plan(spec).warnings if "asked from here" in text]


def test_one_that_answers_isnt_mentioned_and_cognito_is_aws(hand: Hand, provider: Front) -> None:
    assert not warned(hand, behind(jwt(f"https://localhost:{provider.port}/keys")))
    assert not warned(hand, behind({"authenticate_cognito": COGNITO}))


@pytest.mark.parametrize(
    ("path", "words"),
    [("/gone", "answers 405"), ("/moved", "answers 302"), ("/text", "isn't a JSON Web Key Set"), ("/list", "isn't a JSON")],
)  # fmt: skip
def test_keys_have_to_be_keys(hand: Hand, provider: Front, path: str, words: str) -> None:
    found = warned(hand, behind(jwt(f"https://localhost:{provider.port}{path}")))
    assert len(found) == 2, "the listener's and the rule's"
    assert all(words in text and ".jwt_validation: jwks_endpoint https://localhost" in text for text in found)
    assert all(text.split(":")[1].isdecimal() for text in found)


def test_nobody_who_listens_is_a_warning_and_no_refusal(hand: Hand, provider: Front) -> None:
    spec = behind(jwt(f"https://localhost:{unused_port()}/keys"))
    assert all("doesn't answer" in text for text in warned(hand, spec))
    hand.make(spec)
    assert not warned(hand, spec), "nothing is asked where nothing is changed"


def test_of_oidc_those_are_asked_that_the_load_balancer_asks(hand: Hand, provider: Front) -> None:
    put()
    base = f"https://localhost:{provider.port}"
    action = {"authenticate_oidc": {**OIDC, "client_secret": {"ssm": "/web/oidc"}}}
    spec = behind(action)
    for place in ("https/default_action", "https/rules/a/action"):
        where = f"{LISTENERS}/{place}/authenticate_oidc"
        spec = edited(spec, f"{where}/token_endpoint", f"{base}/token")
        spec = edited(spec, f"{where}/user_info_endpoint", f"https://localhost:{unused_port()}/userinfo")
    found = warned(hand, spec)
    assert len(found) == 2, "any answer will do"
    assert all(".authenticate_oidc: user_info_endpoint " in text for text in found)
