"""Decides for a load balancer whether a request may pass, by its rules; users without login are sent to the local provider."""

import hmac
import json
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qs, urlencode

import httpx
from joserfc import jws
from joserfc.errors import JoseError

from alb_reconcile.sandbox.identity import tokens
from alb_reconcile.sandbox.identity.claims import HEADERS, Signer
from alb_reconcile.sandbox.identity.guards import CALLBACK_KEY, Bearer, Guard, Login
from alb_reconcile.sandbox.identity.places import CALLBACK, local_issuer
from alb_reconcile.sandbox.identity.sessions import Seal, UnreadableError, read_shards, write_shards
from alb_reconcile.sandbox.pages import word_page

TIMEOUT: Final = 5.0
"""Seconds within which the provider must answer (AWS ELB, 'Troubleshoot', HTTP 500)."""
_LOGIN: Final = 15 * 60
"""Seconds within which a user must log in: the client login timeout (AWS ELB, 'Authenticate users')."""
_MOST: Final = 11 * 1024
"""The most bytes of user claims and access token together."""
_NONCE: Final = "AWSALBAuthNonce"
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
"""The characters that no header can contain."""


@dataclass(frozen=True)
class Asked:
    """A request that isn't authenticated yet. `target` is its path with its query, `host` may have a port."""

    host: str
    target: str
    cookies: Mapping[str, str]
    authorization: str = ""


@dataclass(frozen=True)
class Verdict:
    """The decision on a request. Status 200 lets it pass: `headers` are added to it, `removed` are removed from it, and its answer sets
    `cookies`. With any other status, the verdict is the answer."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    cookies: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    body: str = ""


class _RefusedError(Exception):
    """A login fails, and the user gets this HTTP status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Gatekeeper:
    """Decides requests by its `guards`. `provider` is the local provider's address, which replaces all providers that specs name.

    Several threads may call its methods at once.
    """

    def __init__(self, provider: str, signer: Signer, now: Callable[[], float] = time.time) -> None:
        self.provider, self._signer, self._now = provider, signer, now
        self._sessions, self._logins = Seal(), Seal()  # a key each: neither passes for the other
        self.guards: Mapping[str, Guard] = {}
        self._http = httpx.Client(timeout=TIMEOUT, trust_env=False, verify=False)  # noqa: S501  # plain HTTP, on this machine

    def close(self) -> None:
        self._http.close()

    def decide(self, key: str, asked: Asked) -> Verdict:
        """Whether a request may pass the guard with that key. One that comes back from a provider doesn't pass: it is answered here."""
        if key == CALLBACK_KEY:
            return self._come_back(asked)
        guard = self.guards.get(key)
        if isinstance(guard, Login):
            return self._ask_user(key, guard, asked)
        if isinstance(guard, Bearer):
            return self._ask_token(guard, asked)
        return _page(500)  # the rule is gone

    def _ask_token(self, guard: Bearer, asked: Asked) -> Verdict:
        """Check a request's bearer token (AWS ELB, 'Verify JWTs'). AWS doesn't document the challenge with 401: here it is RFC 6750's."""
        scheme, _, token = asked.authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            return _page(401, ("www-authenticate", "Bearer"))
        try:
            answer = self._http.get(f"{local_issuer(self.provider, guard.issuer)}/jwks")
            keys = answer.json() if answer.is_success and len(answer.content) <= tokens.LARGEST else {}
        except (httpx.HTTPError, ValueError):
            keys = {}
        if not isinstance(keys, dict) or not 0 < len(keys.get("keys") or ()) <= tokens.MOST_KEYS:
            return _page(500)
        if fault := tokens.find_fault(guard, token.strip(), keys, self._now()):
            description = f'Bearer error="invalid_token", error_description="{fault}"'
            return _page(401, ("www-authenticate", description))
        return Verdict(200)

    def _ask_user(self, key: str, guard: Login, asked: Asked) -> Verdict:
        try:
            session = self._session(guard, asked)
        except UnreadableError:
            return _page(401)  # AuthInvalidCookie
        if session is not None:
            verdict = self._let_pass(guard, session)
            if verdict is not None:
                return verdict
        if guard.otherwise == "allow":
            return Verdict(200, removed=HEADERS)
        return _page(401) if guard.otherwise == "deny" else self._send_away(key, guard, asked)

    def _session(self, guard: Login, asked: Asked) -> dict[str, Any] | None:
        """A request's session; None if it has none, or one that is over or for another issuer or client. Raises UnreadableError."""
        sealed = read_shards(asked.cookies, guard.cookie)
        session = self._sessions.open(sealed) if sealed else None
        if session is None or session["until"] <= self._now():
            return None
        return session if session["for"] == [guard.issuer, guard.client_id] else None

    def _let_pass(self, guard: Login, session: dict[str, Any]) -> Verdict | None:
        """Let a request pass with the user's claims; None if the user is no longer logged in.

        AWS ELB, 'Authentication logout and session timeout': an expired access token is refreshed if there is a refresh
        token; without one the session is kept until it times out.
        """
        cookies: tuple[str, ...] = ()
        if session["expires"] <= self._now() and session["refresh"]:
            asked = {"grant_type": "refresh_token", "refresh_token": session["refresh"]}
            try:
                session = self._begin_session(guard, self._ask_for_tokens(guard, asked), until=session["until"])
            except _RefusedError:
                return None
            cookies = self._cookies(guard, session)
        claims = session["claims"]
        data = self._signer.sign(claims, guard.issuer, guard.client_id, guard.signer, self._now())
        values = (session["access"], _CONTROL.sub("", str(claims.get("sub", ""))), data)
        return Verdict(200, tuple(zip(HEADERS, values, strict=True)), cookies)

    def _send_away(self, key: str, guard: Login, asked: Asked) -> Verdict:
        """Redirect a user to the authorization endpoint (OpenID Connect Core, 3.1.2.1)."""
        nonce = secrets.token_urlsafe(24)
        state = self._logins.close(
            {"key": key, "to": f"https://{asked.host}{asked.target}", "nonce": nonce, "at": self._now()}
        )
        query = {
            "client_id": guard.client_id,
            "redirect_uri": f"https://{asked.host}{CALLBACK}",
            "response_type": "code",
            "scope": guard.scope,
            "state": state,
        }
        location = f"{local_issuer(self.provider, guard.issuer)}/authorize?{urlencode(query | dict(guard.extra))}"
        return _redirect(location, (_cookie(_NONCE, nonce, self._now() + _LOGIN),))

    def _come_back(self, asked: Asked) -> Verdict:
        """Answer a user whom the provider has redirected back. AWS ELB, 'Troubleshoot': 401 if the login is incomplete, 561 if the provider
        returns an error, 500 if it doesn't answer."""
        query = {name: values[0] for name, values in parse_qs(asked.target.partition("?")[2]).items()}
        try:
            state = self._logins.open(query["state"])
        except (KeyError, UnreadableError):
            return _page(401)
        guard = self.guards.get(state["key"]) if state else None
        nonce = asked.cookies.get(_NONCE, "").encode()
        if state is None or not isinstance(guard, Login) or not hmac.compare_digest(state["nonce"].encode(), nonce):
            return _page(401)
        if state["at"] + _LOGIN < self._now():
            return _page(401)
        if "error" in query:
            return _page(561)
        if "code" not in query:
            return _page(401)
        form = {
            "grant_type": "authorization_code",
            "code": query["code"],
            "redirect_uri": f"https://{asked.host}{CALLBACK}",
        }
        try:
            session = self._begin_session(guard, self._ask_for_tokens(guard, form))
        except _RefusedError as refused:
            return _page(refused.status)
        return _redirect(state["to"], (*self._cookies(guard, session), _cookie(_NONCE, "", 0)))

    def _ask_for_tokens(self, guard: Login, form: Mapping[str, str]) -> dict[str, Any]:
        """The token endpoint's answer. Raises _RefusedError."""
        url = f"{local_issuer(self.provider, guard.issuer)}/token"
        ask = partial(self._http.post, url, data=dict(form), auth=(guard.client_id, guard.client_secret))
        return _answer_of(ask)

    def _begin_session(self, guard: Login, answer: Mapping[str, Any], until: float | None = None) -> dict[str, Any]:
        """A session from tokens. Raises _RefusedError."""
        now, access = self._now(), str(answer.get("access_token") or "")
        if until is None:
            _check_id_token(guard, str(answer.get("id_token") or ""), now)
        url = f"{local_issuer(self.provider, guard.issuer)}/userinfo"
        claims = _answer_of(partial(self._http.get, url, headers={"Authorization": f"Bearer {access}"}))
        if len(json.dumps(claims)) + len(access) > _MOST:
            raise _RefusedError(500)
        return {
            "for": [guard.issuer, guard.client_id],
            "claims": claims,
            "access": access,
            "refresh": str(answer.get("refresh_token") or ""),
            "expires": now + float(answer.get("expires_in") or 0),
            "until": now + guard.seconds if until is None else until,
        }

    def _cookies(self, guard: Login, session: Mapping[str, Any]) -> tuple[str, ...]:
        dated = partial(_cookie, until=session["until"])
        return tuple(write_shards(guard.cookie, self._sessions.close(session), dated))


def _answer_of(ask: Callable[[], httpx.Response]) -> dict[str, Any]:
    """The provider's answer. Raises _RefusedError: 500 without an answer, 561 for an error, 401 for an answer that can't be read."""
    try:
        answer = ask()
    except httpx.HTTPError:
        raise _RefusedError(500) from None
    if not answer.is_success:
        raise _RefusedError(561)
    try:
        told = answer.json()
    except ValueError:
        raise _RefusedError(401) from None
    if not isinstance(told, dict):
        raise _RefusedError(401)
    return told


def _check_id_token(guard: Login, token: str, now: float) -> None:
    """Check an ID token (OpenID Connect Core, 3.1.3.7), but not its signature, since it came directly from the provider.

    Raises _RefusedError: 'the requested scope doesn't return an ID token' is 401 (AWS ELB, 'Troubleshoot').
    """
    try:
        claims = json.loads(jws.extract_compact(token.encode()).payload)
        good = (
            claims["iss"] == guard.issuer and guard.client_id in (claims["aud"], *claims["aud"]) and claims["exp"] > now
        )
    except (JoseError, ValueError, TypeError, KeyError):
        good = False
    if not good:
        raise _RefusedError(401)


def _cookie(name: str, value: str, until: float) -> str:
    return f"{name}={value}; Expires={formatdate(until, usegmt=True)}; Path=/; Secure; HttpOnly; SameSite=None"


def _redirect(location: str, cookies: tuple[str, ...]) -> Verdict:
    return Verdict(302, (("location", location), ("content-type", "text/html")), cookies, body=word_page(302))


def _page(status: int, *headers: tuple[str, str]) -> Verdict:
    return Verdict(status, (("content-type", "text/html"), *headers), body=word_page(status))
