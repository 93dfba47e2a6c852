"""`alb-reconcile verify` on rules that authenticate, where nobody can log in: what strangers are promised, and keys."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from alb_reconcile.model.actions import Action, Authentication
from alb_reconcile.model.address import Address
from alb_reconcile.verification.checks import Check
from alb_reconcile.verification.client import Endpoint, Reply, Shot, Trust
from alb_reconcile.verification.expect import ANSWERED
from alb_reconcile.verification.judge import Tally
from alb_reconcile.verification.load import Answer
from alb_reconcile.verification.matching import Request
from alb_reconcile.verification.sign_in import with_headers
from tests.harness import by_hand, demo, world
from tests.kinds.test_authentication import COGNITO, JWT, OIDC
from tests.kinds.test_listener import CERTIFICATES, upload_certificates
from tests.verify import servers
from tests.verify.bench import QUICK, Bench, Shown, to

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.harness import Spec, World

pytestmark = pytest.mark.slow

ISSUER = "https://id.example.com"


def guarded(jwks: str = "https://id.example.com/keys") -> Spec:
    spec = demo()
    oidc = {**OIDC, "client_secret": {"ssm": "/web/oidc"}, "authentication_request_extra_params": {"display": "page"}}
    closed = {"fixed_response": {"status_code": 200, "message_body": "inside"}}

    def rule(priority: int, **action: Any) -> Spec:
        conditions = [{"path_pattern": f"/{priority}"}]
        return {"priority": priority, "conditions": conditions, "action": {**action, **closed}}

    rules = {
        "pool": rule(1, authenticate_cognito={**COGNITO, "on_unauthenticated_request": "authenticate"}),
        "denied": rule(2, authenticate_cognito=COGNITO),
        "allowed": rule(3, authenticate_cognito={**COGNITO, "on_unauthenticated_request": "allow"}),
        "token": rule(4, jwt_validation={**JWT, "jwks_endpoint": jwks}),
    }
    https = {"protocol": "HTTPS", "port": 443, "certificate_arn": CERTIFICATES[0], "rules": rules}
    action = {"authenticate_oidc": oidc, "forward": "web"}
    spec["load_balancers"]["public"]["listeners"] = {"https": {**https, "default_action": action}}
    return spec


@pytest.fixture(scope="module")
def account() -> Iterator[World]:
    with world() as found:
        upload_certificates()
        by_hand("ssm").put_parameter(Name="/web/oidc", Value="secret", Type="SecureString")
        found.converge(guarded())
        yield found


@pytest.fixture
def authority(tmp_path: Path) -> servers.Authority:
    return servers.Authority(tmp_path)


def sent(host: str, endpoint: str, client: str, **changed: str) -> servers.Answer:
    query = {"client_id": client, "redirect_uri": f"https://{host}/oauth2/idpresponse", "response_type": "code"}
    return 302, {"Location": f"{endpoint}?{urlencode({**query, 'state': 'sealed', **changed})}"}, b""


def balancer(method: str, host: str, target: str, headers: Mapping[str, str]) -> servers.Answer:
    """What it does for strangers when all is well."""
    pool = "https://shop.auth.us-east-1.amazoncognito.com/oauth2/authorize"
    answers = {
        "/1": sent(host, pool, "client", scope="openid email", display="page", prompt="login"),
        "/2": (401, {}, b""),
        "/3": (200, {"Content-Type": "text/plain"}, b"inside"),
        "/4": (401, {}, b""),
    }
    return answers.get(target) or sent(host, OIDC["authorization_endpoint"], "web", scope="openid", display="page")


def keys(*found: object, status: int = 200) -> servers.Route:
    return lambda *_: (status, {"Content-Type": "application/json"}, json.dumps({"keys": found}).encode())


KEYS = keys({"kty": "RSA"})


class Guarded:
    """The stack, a load balancer before it, and its provider's keys at a local address."""

    def __init__(self, account: World, authority: servers.Authority, folder: Path, capsys: Any) -> None:
        self.authority = authority
        self.bench = Bench(account, guarded(), folder, capsys)

    def verify(self, route: servers.Route = balancer, jwks: servers.Route = KEYS) -> Shown:
        with (
            servers.front(jwks, self.authority.context("localhost")) as provider,
            servers.front(route, self.authority.context("*.us-east-1.elb.amazonaws.com")) as main,
        ):
            self.bench.spec = guarded(f"https://localhost:{provider.port}/keys")
            self.bench.write()
            return self.bench.run(*to(main.port, 443), *QUICK, "--http", "1.1", "--ca-file", self.authority.file)


@pytest.fixture
def stack(account: World, authority: servers.Authority, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Guarded:
    return Guarded(account, authority, tmp_path, capsys)


def test_strangers_are_sent_away_or_refused(stack: Guarded) -> None:
    shown = stack.verify()
    assert shown.code == 0, shown.text + shown.errors
    assert "Verified: 5 of 5 listeners and rules answered 15 requests as expected." in shown.text
    assert "authenticate-oidc, then forward to web" in shown.text
    assert "verify has no login here, so what is behind it isn't checked" in shown.flat


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"client_id": "other"}, "users are sent to log in with another client_id than the spec says"),
        ({"redirect_uri": "https://evil.example.com/oauth2/idpresponse"}, "the provider is told to send users back to"),
        ({"state": ""}, "with another state than the spec says"),
        ({"display": "popup"}, "with another display than the spec says"),
    ],
)
def test_another_login_than_the_specs_is_a_failure(stack: Guarded, changed: dict[str, str], told: str) -> None:
    def route(method: str, host: str, target: str, headers: Mapping[str, str]) -> servers.Answer:
        if target in ("/1", "/2", "/3", "/4"):
            return balancer(method, host, target, headers)
        endpoint, asked = OIDC["authorization_endpoint"], {"scope": "openid", "display": "page", **changed}
        return sent(host, endpoint, **{"client": "web", **asked})

    shown = stack.verify(route)
    assert (shown.code, told in shown.flat) == (1, True)
    assert "Not verified: 4 of 5" in shown.text


def test_elsewhere_nowhere_or_inside_is_a_failure(stack: Guarded) -> None:
    def route(method: str, host: str, target: str, headers: Mapping[str, str]) -> servers.Answer:
        if target == "/3":
            return servers.api("i-1")
        return sent(host, "https://evil.example.com/authorize", "web") if target == "/" else (404, {}, b"")

    shown = stack.verify(route)
    assert f"instead of {ISSUER}/authorize to log in" in shown.flat
    assert "status 404 instead of 302, to the authorization endpoint, for somebody who isn't logged in" in shown.flat
    assert "status 404 instead of 401, for somebody who isn't logged in" in shown.flat
    told = stack.verify(servers.in_turn("i-1")).flat
    assert "3 of 3 requests: a target (i-1) answered a request of somebody who isn't logged in" in told


@pytest.mark.parametrize(
    ("jwks", "told"),
    [
        (keys(status=404), "answers 404 instead of 200"),
        (keys(*[{}] * 11), "has 11 keys; an ALB takes 1 to 10"),
        (lambda *_: (200, {}, b"<html>"), "doesn't answer with a JSON Web Key Set"),
        (keys(), "has 0 keys; an ALB takes 1 to 10"),
        (keys("x" * 160_000), "has more than 150 KB, which an ALB doesn't read"),
    ],
    ids=["missing", "too many", "no JSON", "none", "too large"],
)
def test_keys_that_cant_be_used_are_told_with_their_place(stack: Guarded, jwks: Any, told: str) -> None:
    shown = stack.verify(balancer, jwks)
    assert shown.code == 1
    assert told in shown.flat
    assert re.search(r"spec.yaml:\d+:\d+: .*\.https\.rules\.token\.action\.jwt_validation: jwks_endpoint", shown.flat)
    assert "Not verified: 4 of 5" in shown.text


JWT_CHECK = Check(
    Address("rule", "public/https/token"), "listener", "https", 443,
    Action(
        authentication=Authentication(type="jwt-validation", settings=(("issuer", ISSUER), ("jwks_endpoint", "https://x"))),
        fixed_response=(("status_code", "401"),),
    ),
)  # fmt: skip
SHOT = Shot("rule.public/https/token", Endpoint("127.0.0.1", 1, 443, Trust()), Request("shop.example.com"))


def test_who_isnt_let_in_in_spite_of_a_login_is_told() -> None:
    """Even where a target might give that answer."""
    tally = Tally(JWT_CHECK, ANSWERED, {}, login=(("Authorization", "Bearer x"),))
    assert not tally.add(Answer(SHOT, 0, 0, 0.01, Reply(401, "1.1")))
    assert list(tally.mismatches) == ["status 401: not let in, though logged in"]
    assert tally.add(Answer(replace(SHOT, anonymous=True), 0, 0, 0.01, Reply(401, "1.1")))


def test_a_requests_own_cookies_stay_beside_the_session() -> None:
    shot = replace(SHOT, request=replace(SHOT.request, headers=(("cookie", "beta=1"), ("X-A", "b"))))
    carried = with_headers(shot, (("Cookie", "session=2"),)).request.headers
    assert carried == (("cookie", "beta=1; session=2"), ("X-A", "b"))
