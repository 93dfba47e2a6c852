"""Sessions over time, and providers that fail: what a load balancer answers then."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from functools import cache
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc.jwk import KeySet, RSAKey

from alb_reconcile.sandbox.identity.claims import HEADERS, Signer
from alb_reconcile.sandbox.identity.gatekeeper import Asked, Gatekeeper, Verdict
from alb_reconcile.sandbox.identity.guards import CALLBACK_KEY, Bearer, Login
from alb_reconcile.sandbox.identity.service import Service
from alb_reconcile.sandbox.identity.tokens import find_fault
from alb_reconcile.sandbox.strict import VirtualClock
from tests.aws.test_answers import answering

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

HOST = "shop.example.com"
GUARD = Login("https://id.example.com", "web", "secret", "C", "openid", 7200, (), "authenticate", "arn")
REFRESHED = replace(GUARD, scope="openid offline_access")
START = 1_800_000_000.0


class Person:
    """Somebody with a browser, in front of a gatekeeper. `provider` is where users log in."""

    def __init__(self, gatekeeper: Gatekeeper) -> None:
        self.gatekeeper = gatekeeper
        self.cookies: dict[str, str] = {}

    def ask(self, target: str = "/", key: str = "web") -> Verdict:
        verdict = self.gatekeeper.decide(key, Asked(HOST, target, self.cookies))
        for cookie in verdict.cookies:
            ((name, morsel),) = SimpleCookie(cookie).items()
            self.cookies[name] = morsel.value
            assert morsel["expires"]
        return verdict

    def come_back(self, **answer: str) -> Verdict:
        """Sent away, and back at once with what a provider might answer."""
        state = parse_qs(urlsplit(location(self.ask())).query)["state"][0]
        query = httpx.QueryParams({"state": state, **answer})
        return self.ask(f"/oauth2/idpresponse?{query}", CALLBACK_KEY)

    def log_in(self, name: str = "alice") -> Verdict:
        """At the local provider's page."""
        back = urlsplit(httpx.post(location(self.ask()), data={"user": name}).headers["location"])
        return self.ask(f"{back.path}?{back.query}", CALLBACK_KEY)


def location(verdict: Verdict) -> str:
    assert verdict.status == 302
    return dict(verdict.headers)["location"]


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(START)


@pytest.fixture
def person(clock: VirtualClock) -> Iterator[Person]:
    service = Service(clock.now)
    service.know({"web": GUARD})
    yield Person(service.gatekeeper)
    service.close()


@contextlib.contextmanager
def told_by(status: int, body: Any) -> Iterator[Person]:
    """Somebody whose provider answers so."""
    with answering(status, json.dumps(body).encode()) as (transport, _):
        gatekeeper = Gatekeeper(transport.endpoint.replace("key:secret@", ""), Signer(), lambda: START)
        gatekeeper.guards = {"web": GUARD, "api": Bearer("https://id.example.com")}
        yield Person(gatekeeper)
        gatekeeper.close()


def test_a_session_lasts_as_long_as_the_rule_says(person: Person, clock: VirtualClock) -> None:
    assert location(person.log_in()) == f"https://{HOST}/"
    clock.advance(7199)  # the access token has expired: without a refresh token that doesn't matter
    assert person.ask().status == 200
    clock.advance(1)
    assert person.ask().status == 302


def test_an_expired_access_token_is_refreshed(person: Person, clock: VirtualClock) -> None:
    person.gatekeeper.guards = {"web": REFRESHED}
    person.log_in()
    before = dict(person.ask().headers)[HEADERS[0]]
    clock.advance(3600)
    refreshed = person.ask()
    assert refreshed.cookies
    after = dict(refreshed.headers)[HEADERS[0]]
    assert after != before
    assert dict(person.ask().headers)[HEADERS[0]] == after
    clock.advance(3600)  # refreshing doesn't make the session longer
    assert person.ask().status == 302


def test_a_login_may_take_fifteen_minutes(person: Person, clock: VirtualClock) -> None:
    for late, status in ((900, 302), (901, 401)):
        back = urlsplit(location(person.ask()))
        clock.advance(late)
        answer = httpx.post(back.geturl(), data={"user": "alice"}).headers["location"]
        assert person.ask(f"/oauth2/idpresponse?{urlsplit(answer).query}", CALLBACK_KEY).status == status
        person.cookies.clear()


def test_a_code_counts_once(person: Person) -> None:
    page = location(person.ask())
    query = urlsplit(httpx.post(page, data={"user": "alice"}).headers["location"]).query
    nonce = dict(person.cookies)
    assert person.ask(f"/oauth2/idpresponse?{query}", CALLBACK_KEY).status == 302
    person.cookies = nonce
    assert person.ask(f"/oauth2/idpresponse?{query}", CALLBACK_KEY).status == 561


def test_a_login_attempt_is_no_session_and_a_session_no_login_attempt(person: Person) -> None:
    state = parse_qs(urlsplit(location(person.ask())).query)["state"][0]
    assert person.gatekeeper.decide("web", Asked(HOST, "/", {"C-0": state})).status == 302
    person.log_in()
    back = f"/oauth2/idpresponse?{httpx.QueryParams({'state': person.cookies['C-0'], 'code': 'x'})}"
    assert person.ask(back, CALLBACK_KEY).status == 401


@pytest.mark.parametrize(
    ("replied", "body", "status"),
    [
        (400, {"error": "invalid_client"}, 561),
        (200, ["nonsense"], 401),
        (200, {"access_token": "a", "id_token": "nonsense"}, 401),
    ],
)
def test_what_the_token_endpoint_says(replied: int, body: Any, status: int) -> None:
    with told_by(replied, body) as person:
        assert person.come_back(code="x").status == status


def test_a_provider_that_doesnt_answer_is_500() -> None:
    person = Person(hostile())
    assert person.come_back(code="x").status == 500
    assert person.gatekeeper.decide("api", Asked(HOST, "/", {}, "Bearer x")).status == 500


@pytest.mark.parametrize(
    ("replied", "body"),
    [
        (200, {"keys": []}),
        (200, {"keys": [{"kty": "oct"}] * 11}),
        (200, {"keys": ["x" * 160_000]}),
        (404, {}),
        (200, []),
    ],
    ids=["none", "more than ten", "too large", "missing", "nonsense"],
)
def test_keys_that_cant_be_used_are_500(replied: int, body: Any) -> None:
    with told_by(replied, body) as person:
        assert person.gatekeeper.decide("api", Asked(HOST, "/", {}, "Bearer x")).status == 500


def test_a_rule_that_is_gone_lets_nobody_in(person: Person) -> None:
    assert person.ask(key="gone").status == 500


TEXTS = st.text(max_size=40) | st.sampled_from(["W10.x", "[" * 5000, "e30..a.b.c", "é", "eyJraWQiOjF9.x.y.z"])


@settings(max_examples=30)
@given(cookie=TEXTS, nonce=TEXTS, state=TEXTS, token=TEXTS)
def test_whatever_comes_is_refused_in_words(cookie: str, nonce: str, state: str, token: str) -> None:
    cookies = {"C-0": cookie, "AWSALBAuthNonce": nonce}
    for key, target in (("web", "/"), (CALLBACK_KEY, f"/oauth2/idpresponse?{httpx.QueryParams({'state': state})}")):
        assert hostile().decide(key, Asked(HOST, target, cookies)).status in (302, 401)
    sealed = parse_qs(urlsplit(location(hostile().decide("web", Asked(HOST, "/", {})))).query)["state"][0]
    back = f"/oauth2/idpresponse?{httpx.QueryParams({'state': sealed})}"
    assert hostile().decide(CALLBACK_KEY, Asked(HOST, back, cookies)).status == 401
    assert find_fault(Bearer("x"), token, KEYS, START) == "its signature"


KEYS = KeySet([RSAKey.generate_key(2048, {"kid": "1"})]).as_dict(private=False)


@cache
def hostile() -> Gatekeeper:
    gatekeeper = Gatekeeper("http://127.0.0.1:1", Signer(), lambda: START)
    gatekeeper.guards = {"web": GUARD, "api": Bearer("https://id.example.com")}
    return gatekeeper
