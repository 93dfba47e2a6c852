"""A small OpenID provider on this machine, in place of every provider that a spec names. It accepts every login and claim."""

import html
import json
import math
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey
from werkzeug.wrappers import Request, Response

from alb_reconcile.sandbox.identity.places import CALLBACK, slug_of

_LIFE: Final = 3600
"""Seconds for which access and ID tokens are valid."""
_CODE: Final = 60
_MOST: Final = 1000
"""The most codes, access tokens and refresh tokens, of each, that are kept; beyond that the oldest is dropped."""
_ROLES: Final = ("authorize", "token", "userinfo", "jwks")

_PAGE: Final = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Log in</title>
<style>
body {{ font: 16px/1.5 sans-serif; max-width: 26em; margin: 4em auto; padding: 0 1em }}
label {{ display: block; margin: 1em 0 }} input, textarea {{ font: inherit; width: 100%; box-sizing: border-box }}
button {{ font: inherit; padding: .3em 1.5em }} small {{ color: #555 }}
</style></head>
<body>
<h1>Log in</h1>
<p>The sandbox's own provider, in the place of <b>{issuer}</b>, for the client <b>{client}</b>. Any name will do.</p>
<form method="post">
<label>Name <input name="user" value="alice" autofocus required></label>
<label>Further claims, as JSON <textarea name="claims" rows="2" placeholder='{{"groups": ["staff"]}}'></textarea></label>
<button name="answer" value="login">Log in</button> <button name="answer" value="deny">Deny</button>
</form>
<p><small>Scope: {scope}</small></p>
</body></html>
"""


@dataclass(frozen=True)
class Grant:
    """A user's login for a client: what a code or token stands for."""

    client: str
    redirect: str
    scope: str
    nonce: str
    claims: Mapping[str, Any]
    expires: float


class _ProblemError(Exception):
    """An OAuth 2.0 error, with its code and HTTP status."""

    def __init__(self, code: str, status: int = 400) -> None:
        super().__init__(code)
        self.code, self.status = code, status


class Provider:
    """An OpenID provider that accepts every client, secret and user name. Several threads may call its methods at once."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self.issuers: Mapping[str, str] = {}
        """The issuers that specs name, by their paths on this provider."""
        self._codes: dict[str, Grant] = {}
        self._access: dict[str, Grant] = {}
        self._refreshing: dict[str, Grant] = {}

    @cached_property
    def _key(self) -> RSAKey:
        return RSAKey.generate_key(2048, {"kid": secrets.token_hex(8), "alg": "RS256", "use": "sig"})

    def answer(self, request: Request) -> Response:
        """The answer to a request at an endpoint of an issuer. The request's path contains the issuer's path."""
        path, _, role = request.path.strip("/").rpartition("/")
        if path.endswith("/.well-known") and role == "openid-configuration":
            return _json(self._describe(request, path.removesuffix("/.well-known")))
        issuer = self.issuers.get(slug_of(path), f"https://{path}")
        try:
            if role == "authorize" and path:
                return self._authorize(request, issuer)
            if role == "token" and path and request.method == "POST":
                return _json(self._grant(request, issuer))
            if role == "userinfo" and path:
                return _json(self._tell_user(request))
        except _ProblemError as problem:
            return _json({"error": problem.code}, problem.status)
        if role == "jwks" and path:
            return _json({"keys": [self._key.as_dict(private=False)]})
        return Response("There is nothing here. The sandbox's documentation says which addresses there are.\n", 404)

    def _describe(self, request: Request, path: str) -> dict[str, Any]:
        """The provider's metadata (OpenID Connect Discovery, 3)."""
        base = f"{request.host_url}{path}"
        named = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri")
        return {
            "issuer": self.issuers.get(slug_of(path), f"https://{path}"),
            **{name: f"{base}/{role}" for name, role in zip(named, _ROLES, strict=True)},
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        }

    def _authorize(self, request: Request, issuer: str) -> Response:
        """The authorization endpoint (OpenID Connect Core, 3.1.2): a login page, then a redirect back to the client."""
        asked = request.args
        back = urlsplit(asked.get("redirect_uri", ""))
        if back.scheme != "https" or back.path != CALLBACK or not back.netloc:
            return Response(f"redirect_uri has to be an HTTPS address that ends in {CALLBACK}.\n", 400)
        if asked.get("response_type") != "code":
            return _back(asked, {"error": "unsupported_response_type"})
        if asked.get("prompt") == "none":
            return _back(asked, {"error": "login_required"})  # this provider keeps no login sessions
        if request.method != "POST":
            told = (issuer, asked.get("client_id", ""), asked.get("scope", ""))
            words = dict(zip(("issuer", "client", "scope"), map(html.escape, told), strict=True))
            return Response(_PAGE.format(**words), mimetype="text/html")
        if request.form.get("answer") == "deny":
            return _back(asked, {"error": "access_denied"})
        user = request.form.get("user") or "alice"
        further = _claims(request.form.get("claims", ""))
        code = secrets.token_urlsafe(24)
        claims = {**_user(user, asked.get("scope", "")), **further}
        redirect, scope = asked["redirect_uri"], asked.get("scope", "")
        until = self._now() + _CODE
        grant = Grant(asked.get("client_id", ""), redirect, scope, asked.get("nonce", ""), claims, until)
        _keep(self._codes, code, grant)
        return _back(asked, {"code": code})

    def _grant(self, request: Request, issuer: str) -> dict[str, Any]:
        """The token endpoint (OAuth 2.0, 4.1.3, 4.4 and 6). Raises _ProblemError."""
        form, basic = request.form, request.authorization
        client = (basic.username if basic and basic.type == "basic" else form.get("client_id")) or ""
        secret = (basic.password if basic and basic.type == "basic" else form.get("client_secret")) or ""
        kind = form.get("grant_type")
        if kind == "client_credentials":
            scope, further = form.get("scope", ""), _claims(form.get("claims", ""))
            return self._tokens(issuer, client or "client", scope, {"sub": client or "client", **further})
        if not client or not secret:
            raise _ProblemError("invalid_client", 401)
        kept, name = {
            "authorization_code": (self._codes, "code"),
            "refresh_token": (self._refreshing, "refresh_token"),
        }.get(kind or "", ({}, ""))
        if not name:
            raise _ProblemError("unsupported_grant_type")
        grant = kept.pop(form.get(name, ""), None)
        if grant is None or grant.client != client or grant.expires < self._now():
            raise _ProblemError("invalid_grant")
        if name == "code" and grant.redirect != form.get("redirect_uri"):
            raise _ProblemError("invalid_grant")
        answer = self._tokens(issuer, client, grant.scope, {"sub": grant.claims["sub"]})
        _keep(self._access, answer["access_token"], replace(grant, expires=self._now() + _LIFE))
        scopes = grant.scope.split()
        if "openid" in scopes:
            answer["id_token"] = self._sign(
                {"iss": issuer, "aud": client, "nonce": grant.nonce or None, **_dates(self._now()), **grant.claims}
            )
        if "offline_access" in scopes:
            answer["refresh_token"] = secrets.token_urlsafe(24)
            _keep(self._refreshing, answer["refresh_token"], replace(grant, nonce="", expires=math.inf))
        return answer

    def _tokens(self, issuer: str, client: str, scope: str, claims: Mapping[str, Any]) -> dict[str, Any]:
        access = {"iss": issuer, "client_id": client, "scope": scope, **_dates(self._now()), **claims}
        return {"access_token": self._sign(access), "token_type": "Bearer", "expires_in": _LIFE}

    def _sign(self, claims: Mapping[str, Any]) -> str:
        header = {"alg": "RS256", "typ": "JWT", "kid": self._key.kid}
        return jwt.encode(header, {name: value for name, value in claims.items() if value is not None}, self._key)

    def _tell_user(self, request: Request) -> dict[str, Any]:
        """The userinfo endpoint (OpenID Connect Core, 5.3). Raises _ProblemError."""
        given = request.authorization
        grant = self._access.get((given.token if given else None) or "")
        if grant is None or grant.expires <= self._now():
            raise _ProblemError("invalid_token", 401)
        return dict(grant.claims)


def _dates(now: float) -> dict[str, int]:
    return {"iat": int(now), "exp": int(now) + _LIFE}


def _user(name: str, scope: str) -> dict[str, Any]:
    """The claims of a user that a scope asks for (OpenID Connect Core, 5.4)."""
    claims: dict[str, Any] = {"sub": name}
    scopes = scope.split()
    if "profile" in scopes:
        claims |= {"name": name.capitalize(), "preferred_username": name}
    if "email" in scopes:
        claims |= {"email": name if "@" in name else f"{name}@example.com", "email_verified": True}
    return claims


def _claims(text: str) -> dict[str, Any]:
    """The further claims that the user entered, a JSON object. Raises _ProblemError."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise _ProblemError("invalid_request")
    return found


def _back(asked: Mapping[str, str], answer: Mapping[str, str]) -> Response:
    state = {"state": asked["state"]} if "state" in asked else {}
    return Response(status=302, headers={"Location": f"{asked['redirect_uri']}?{urlencode({**answer, **state})}"})


def _keep(kept: dict[str, Grant], name: str, grant: Grant) -> None:
    kept[name] = grant
    while len(kept) > _MOST:
        kept.pop(next(iter(kept)), None)


def _json(value: Mapping[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(value), status, mimetype="application/json", headers={"Cache-Control": "no-store"})
