"""Rules that authenticate, through a real Envoy: users log in at the local provider, tokens are looked at."""

from __future__ import annotations

import base64
import json
import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from alb_reconcile.sandbox.traffic.snapshot import Rule
from tests.sandbox.traffic.front_lab import TIMEOUT, Lab, fixed, forward, group, headers_of, listener, when

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ISSUER = "https://id.example.com"
OIDC: dict[str, Any] = {
    "Issuer": ISSUER,
    "AuthorizationEndpoint": f"{ISSUER}/authorize",
    "TokenEndpoint": f"{ISSUER}/token",
    "UserInfoEndpoint": f"{ISSUER}/userinfo",
    "ClientId": "web",
    "HiddenSecret": "only the provider knows",
    "Scope": "openid email",
}
SPOOFED = {"x-amzn-oidc-identity": "root", "x-amzn-oidc-data": "x.y.z", "x-amzn-oidc-accesstoken": "mine"}


def oidc(**settings: Any) -> dict[str, Any]:
    return {"Type": "authenticate-oidc", "Order": 1, "AuthenticateOidcConfig": {**OIDC, **settings}}


def cognito(**settings: Any) -> dict[str, Any]:
    config = {
        "UserPoolArn": "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_abc",
        "UserPoolClientId": "client",
        "UserPoolDomain": "shop",
        **settings,
    }
    return {"Type": "authenticate-cognito", "Order": 1, "AuthenticateCognitoConfig": config}


def jwt(*claims: tuple[str, str, list[str]]) -> dict[str, Any]:
    config: dict[str, Any] = {"Issuer": ISSUER, "JwksEndpoint": f"{ISSUER}/keys"}
    if claims:
        config["AdditionalClaims"] = [dict(zip(("Name", "Format", "Values"), claim, strict=True)) for claim in claims]
    return {"Type": "jwt-validation", "Order": 1, "JwtValidationConfig": config}


def behind(first: Mapping[str, Any], last: Mapping[str, Any], *conditions: Any, priority: int | None = None) -> Rule:
    return Rule(f"rule/{priority}", priority, conditions, (first, {**last, "Order": 2}))


def serve(lab: Lab, *rules: Rule) -> str:
    """An HTTPS listener with these rules; where a browser finds it."""
    lab.show([listener(443, *rules, protocol="HTTPS")], [group("web", "i-a")])
    return next(door.url for door in lab.front.doors() if door.port == 443).rstrip("/")


@pytest.fixture
def browser(trust: ssl.SSLContext) -> Iterator[httpx.Client]:
    with httpx.Client(verify=trust, timeout=TIMEOUT, trust_env=False) as client:
        yield client


def log_in(browser: httpx.Client, url: str, **form: str) -> httpx.Response:
    """From a page that asks who comes, through the provider's page, back to where the load balancer leads."""
    page = browser.get(url, follow_redirects=True)
    assert "<h1>Log in</h1>" in page.text
    back = browser.post(page.url, data={"user": "alice", "answer": "login", **form})
    assert back.status_code == 302, back.text
    return browser.get(back.headers["location"])


def told(page: httpx.Response) -> dict[str, str]:
    """What the target heard, in lower case."""
    return {name.lower(): value for name, value in headers_of(page).items()}


def decoded(part: str) -> dict[str, Any]:
    return dict(json.loads(base64.urlsafe_b64decode(part)))


def token(lab: Lab, **claims: Any) -> str:
    form = {"grant_type": "client_credentials", "client_id": "robot", "claims": json.dumps(claims)}
    answer = httpx.post(f"{lab.front.provider_url}/id.example.com/token", data=form, timeout=TIMEOUT)
    return str(answer.json()["access_token"])


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


class TestLogin:
    def test_somebody_logs_in_and_the_target_hears_who_it_is(self, lab: Lab, browser: httpx.Client) -> None:
        url, provider = serve(lab, behind(oidc(), forward("web"))), lab.front.provider_url
        back = log_in(browser, f"{url}/cart?x=1&y=%20")
        assert (back.status_code, back.headers["location"]) == (302, f"{url}/cart?x=1&y=%20")
        page = browser.get(back.headers["location"], headers=SPOOFED)
        assert page.json()["path"] == "/cart?x=1&y=%20"
        heard = told(page)
        assert heard["x-amzn-oidc-identity"] == "alice"
        header, payload, signature = heard["x-amzn-oidc-data"].split(".")
        fields = decoded(header)
        kid = fields.pop("kid")
        assert fields.pop("exp")
        assert fields == {"typ": "JWT", "alg": "ES256", "iss": ISSUER, "client": "web", "signer": "balancer/1"}
        claims = decoded(payload)
        assert (claims["sub"], claims["email"], claims["iss"]) == ("alice", "alice@example.com", ISSUER)
        key = load_pem_public_key(httpx.get(f"{provider}/public-keys/{kid}").content)
        assert isinstance(key, ec.EllipticCurvePublicKey)
        numbers = base64.urlsafe_b64decode(signature)
        both = (int.from_bytes(numbers[:32], "big"), int.from_bytes(numbers[32:], "big"))
        key.verify(utils.encode_dss_signature(*both), f"{header}.{payload}".encode(), ec.ECDSA(hashes.SHA256()))
        sent = bearer(heard["x-amzn-oidc-accesstoken"])
        assert httpx.get(f"{provider}/id.example.com/userinfo", headers=sent).json()["sub"] == "alice"

    def test_without_a_session_users_are_sent_to_the_provider_and_no_target_hears_of_it(
        self, lab: Lab, browser: httpx.Client
    ) -> None:
        url = serve(lab, behind(oidc(AuthenticationRequestExtraParams={"display": "page"}), forward("web")))
        seen = len(lab.apis["a"].paths)
        for method in ("GET", "POST"):  # AWS documents no other treatment of other methods
            answer = browser.request(method, f"{url}/cart", headers=SPOOFED)
            assert (answer.status_code, answer.headers["server"]) == (302, "awselb/2.0")
            place, _, text = answer.headers["location"].partition("?")
            assert place == f"{lab.front.provider_url}/id.example.com/authorize"
            query = {name: values[0] for name, values in parse_qs(text).items()}
            assert query.pop("state")
            assert query == {
                "client_id": "web", "display": "page", "redirect_uri": f"{url}/oauth2/idpresponse",
                "response_type": "code", "scope": "openid email",
            }  # fmt: skip
        assert len(lab.apis["a"].paths) == seen

    def test_the_cookie_is_for_https_only_and_unreadable(self, lab: Lab, browser: httpx.Client) -> None:
        url = serve(lab, behind(oidc(SessionCookieName="mine", SessionTimeout=60), forward("web")))
        back = log_in(browser, url, claims=json.dumps({"groups": ["x" * 60] * 80}))
        cookies = [item for item in back.headers.get_list("set-cookie") if item.startswith("mine-")]
        assert [item.partition("=")[0] for item in cookies] == [f"mine-{number}" for number in range(len(cookies))]
        assert len(cookies) > 1
        for item in cookies:
            assert len(item) <= 4096
            assert {"Path=/", "Secure", "HttpOnly"} <= set(item.split("; "))
            assert "alice" not in item
        assert browser.get(back.headers["location"]).status_code == 200

    def test_a_cookie_of_another_client_or_that_was_changed_is_no_session(
        self, lab: Lab, browser: httpx.Client
    ) -> None:
        other = behind(oidc(ClientId="other"), fixed("other"), when("path-pattern", "/other"), priority=1)
        url = serve(lab, other, behind(oidc(), fixed("mine")))
        log_in(browser, url)
        sealed = browser.cookies["AWSELBAuthSessionCookie-0"]
        assert browser.get(url).text == "mine"
        assert browser.get(f"{url}/other").status_code == 302
        log_in(browser, f"{url}/other")
        assert browser.get(f"{url}/other").text == "other"
        for text in (sealed[:-8] + "AAAAAAAA", "anything"):
            sent = {"Cookie": f"AWSELBAuthSessionCookie-0={text}"}
            assert httpx.get(url, verify=False, headers=sent, timeout=TIMEOUT).status_code == 401

    def test_allow_lets_strangers_through_without_what_they_say_of_themselves(
        self, lab: Lab, browser: httpx.Client
    ) -> None:
        login = behind(oidc(), fixed(""), when("path-pattern", "/login"), priority=1)
        url = serve(lab, login, behind(oidc(OnUnauthenticatedRequest="allow"), forward("web")))
        assert not told(browser.get(url, headers=SPOOFED)).keys() & SPOOFED.keys()
        log_in(browser, f"{url}/login")
        assert told(browser.get(url)).keys() > SPOOFED.keys()

    @pytest.mark.parametrize(
        ("settings", "form", "status"),
        [
            ({}, {"answer": "deny"}, 561),
            ({"Scope": "email"}, {}, 401),  # no id token
            ({}, {"claims": json.dumps({"groups": ["x" * 100] * 110})}, 500),  # more than fit
        ],
    )
    def test_a_login_that_fails(
        self, lab: Lab, browser: httpx.Client, settings: dict[str, Any], form: dict[str, str], status: int
    ) -> None:
        url = serve(lab, behind(oidc(**settings), forward("web")))
        assert log_in(browser, url, **form).status_code == status

    def test_nobody_comes_back_by_anothers_login(self, lab: Lab, browser: httpx.Client) -> None:
        url = serve(lab, behind(oidc(), forward("web")))
        page = browser.get(url, follow_redirects=True)
        back = browser.post(page.url, data={"answer": "login"}).headers["location"]
        callback = f"{url}/oauth2/idpresponse"
        state = parse_qs(urlsplit(back).query)["state"][0]
        for other in (callback, f"{callback}?code=x", f"{callback}?code=x&state=made-up", f"{callback}?state={state}"):
            assert browser.get(other).status_code == 401
        assert httpx.get(back, verify=False, timeout=TIMEOUT).status_code == 401  # another browser
        assert browser.get(back).status_code == 302
        assert browser.get(back).status_code == 401  # a second time: the nonce is gone

    def test_a_pool_of_cognito_is_a_provider(self, lab: Lab, browser: httpx.Client) -> None:
        url = serve(lab, behind(cognito(), forward("web")))
        log_in(browser, url)
        header = decoded(told(browser.get(url))["x-amzn-oidc-data"].split(".")[0])
        issuer = "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_abc"
        assert (header["iss"], header["client"]) == (issuer, "client")

    def test_no_file_of_the_front_has_the_client_secret(self, lab: Lab) -> None:
        serve(lab, behind(oidc(), forward("web")))
        texts = [file.read_text() for file in lab.folder.rglob("*.json")]
        assert any("/alb-reconcile/checks/" in text for text in texts)
        assert not [text for text in texts if OIDC["HiddenSecret"] in text]


class TestTokens:
    @pytest.mark.parametrize(
        ("claims", "fault"),
        [
            ({}, ""),
            ({"iss": "https://other.example.com"}, "iss"),
            ({"exp": 1}, "exp"),
            ({"exp": None}, "exp"),
            ({"nbf": 4e9}, "nbf or iat"),
            ({"iat": 4e9}, "nbf or iat"),
        ],
    )
    def test_only_a_good_one_of_the_provider_gets_through(
        self, lab: Lab, browser: httpx.Client, claims: dict[str, Any], fault: str
    ) -> None:
        url = serve(lab, behind(jwt(), forward("web")))
        seen, sent = len(lab.apis["a"].paths), bearer(token(lab, **claims))
        answer = browser.get(url, headers=sent)
        if fault:
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == f'Bearer error="invalid_token", error_description="{fault}"'
            assert len(lab.apis["a"].paths) == seen
        else:
            assert told(answer)["authorization"] == sent["Authorization"]

    def test_without_one_and_with_signatures_of_others_it_is_401(self, lab: Lab, browser: httpx.Client) -> None:
        url = serve(lab, behind(jwt(), forward("web")))
        for headers in ({}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer"}):
            answer = browser.get(url, headers=headers)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        header, payload, signature = token(lab).split(".")
        none = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
        other = base64.urlsafe_b64encode(json.dumps({"iss": ISSUER, "exp": 4e9}).encode()).decode().rstrip("=")
        for text in (f"{header}.{other}.{signature}", f"{none}.{payload}.", "a.b.c", "nonsense", f"{header}.{payload}"):
            assert browser.get(url, headers=bearer(text)).status_code == 401

    def test_further_claims(self, lab: Lab, browser: httpx.Client) -> None:
        wanted = [
            ("aud", "single-string", ["shop"]),
            ("groups", "string-array", ["staff", "ops"]),
            ("scope", "space-separated-values", ["read", "write"]),
        ]
        url = serve(lab, behind(jwt(*wanted), forward("web")))
        good = {"aud": "shop", "groups": ["ops", "staff", "x"], "scope": "write read x"}
        assert browser.get(url, headers=bearer(token(lab, **good))).status_code == 200
        for name, value in (
            ("aud", "other"), ("aud", ["shop"]), ("groups", ["ops"]), ("groups", "ops staff"), ("scope", "read"),
        ):  # fmt: skip
            answer = browser.get(url, headers=bearer(token(lab, **{**good, name: value})))
            assert answer.status_code == 401
            assert name in answer.headers["www-authenticate"]
