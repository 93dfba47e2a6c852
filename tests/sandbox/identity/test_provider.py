"""The local provider by itself: what it says of itself, and what it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from alb_reconcile.sandbox.identity.guards import Bearer, Login
from alb_reconcile.sandbox.identity.places import local_issuer
from alb_reconcile.sandbox.identity.service import Service

if TYPE_CHECKING:
    from collections.abc import Iterator

ISSUER = "https://tenant.example.com/v2/"
LOGIN = Login(ISSUER, "web", "secret", "C", "openid", 60, (), "authenticate", "arn")
BACK = "https://shop.example.com/oauth2/idpresponse"
ASKED = {"client_id": "web", "response_type": "code", "redirect_uri": BACK, "scope": "openid profile", "state": "s"}


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    made = Service()
    made.know({"a": LOGIN, "b": Bearer("plain")})
    yield made
    made.close()


@pytest.fixture
def base(service: Service) -> str:
    return local_issuer(service.url, ISSUER)


def code(base: str, **asked: str) -> str:
    answer = httpx.post(f"{base}/authorize", params={**ASKED, **asked}, data={"user": "alice"})
    return parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]


def test_it_describes_itself_under_the_issuers_own_name(base: str) -> None:
    told = httpx.get(f"{base}/.well-known/openid-configuration").json()
    assert told["issuer"] == ISSUER
    assert told["authorization_endpoint"] == f"{base}/authorize"
    assert [item["kty"] for item in httpx.get(told["jwks_uri"]).json()["keys"]] == ["RSA"]
    assert not {"d", "p", "q"} & httpx.get(told["jwks_uri"]).json()["keys"][0].keys()


def test_a_page_of_texts_that_somebody_sends_has_no_markup_of_theirs(base: str) -> None:
    page = httpx.get(f"{base}/authorize", params={**ASKED, "client_id": "<script>", "scope": '"><b>'}).text
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize("place", ["http://shop.example.com/oauth2/idpresponse", "https://evil.example.com/", ""])
def test_it_sends_nobody_anywhere_but_to_a_load_balancer(base: str, place: str) -> None:
    assert httpx.get(f"{base}/authorize", params={**ASKED, "redirect_uri": place}).status_code == 400


def test_a_code_is_for_one_client_and_one_way_back(base: str) -> None:
    form = {"grant_type": "authorization_code", "redirect_uri": BACK}
    for auth, changed, error in (
        (("web", "any"), {}, ""),
        (("other", "any"), {}, "invalid_grant"),
        (("web", "any"), {"redirect_uri": "https://x/oauth2/idpresponse"}, "invalid_grant"),
        (("web", ""), {}, "invalid_client"),
        (("web", "any"), {"code": "made-up"}, "invalid_grant"),
        (("web", "any"), {"grant_type": "password"}, "unsupported_grant_type"),
    ):
        answer = httpx.post(f"{base}/token", data={**form, "code": code(base), **changed}, auth=auth).json()
        assert answer.get("error", "") == error
    answer = httpx.post(f"{base}/token", data={**form, "code": code(base), "client_id": "web", "client_secret": "x"})
    told = httpx.get(f"{base}/userinfo", headers={"Authorization": f"Bearer {answer.json()['access_token']}"})
    assert told.json() == {"sub": "alice", "name": "Alice", "preferred_username": "alice"}
    assert httpx.get(f"{base}/userinfo", headers={"Authorization": "Bearer made-up"}).status_code == 401
