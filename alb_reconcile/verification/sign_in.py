"""Logs in at the sandbox's own provider, to test what is behind rules that authenticate; elsewhere checks the keys that verify tokens."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import httpx

from alb_reconcile.model.actions import Authentication
from alb_reconcile.verification.authentication import CALLBACK, Provider, needed_claims
from alb_reconcile.verification.checks import Check
from alb_reconcile.verification.client import ERRORS, Client, Reply, Shot, Trust, classify, make_context

Headers = tuple[tuple[str, str], ...]
"""The headers that a request needs to be let through."""
_COOKIE: Final = re.compile(r"(?:^|, )([^=;, ]+)=([^;,]*)")
_LARGEST: Final = 150 * 1024
_MOST: Final = 10
_TIMEOUT: Final = 5.0
"""Seconds, bytes and keys that an ALB accepts of a JWKS (AWS ELB, 'Verify JWTs', 'Troubleshoot')."""


class SignInError(Exception):
    """A login failed; the text says what went wrong."""


class Visitor:
    """A user whom the sandbox's provider knows. Once logged in, the user is let in by each rule that asks for the same login."""

    def __init__(self, client: Client, provider: Provider) -> None:
        self._client, self._provider = client, provider
        self._cookies: dict[tuple[str, ...], Headers] = {}

    async def sign_in(self, check: Check, shot: Shot) -> Headers | None:
        """The headers that let requests through; None where neither this rule nor another sends users to log in. Raises SignInError."""
        wanted = check.action.authentication
        if wanted is None:
            raise AssertionError("nobody is asked here")
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=self._client.timeout) as browser:
                if wanted.type == "jwt-validation":
                    return (("Authorization", f"Bearer {await self._token(browser, wanted)}"),)
                said = dict(wanted.settings)
                kept = ("client_id", "user_pool_client_id", "session_cookie_name")
                key = (wanted.issuer, *(said.get(name, "") for name in kept))
                if key not in self._cookies and said.get("on_unauthenticated_request") != "deny":
                    self._cookies[key] = await self._log_in(browser, shot)
                return self._cookies.get(key)
        except httpx.HTTPError as error:
            raise SignInError(f"the sandbox's provider doesn't answer ({classify(error)[1]})") from None

    async def _token(self, browser: httpx.AsyncClient, wanted: Authentication) -> str:
        form = {"grant_type": "client_credentials", "claims": json.dumps(needed_claims(wanted))}
        answer = await browser.post(f"{self._provider(wanted.issuer)}/token", data=form)
        if not answer.is_success:
            raise SignInError(f"the sandbox's provider gives no token ({answer.status_code})")
        return str(answer.json()["access_token"])

    async def _log_in(self, browser: httpx.AsyncClient, shot: Shot) -> Headers:
        """Log in as a browser does: to the provider, through its page, back to the load balancer."""
        sent = await self._client.fire(shot)
        location = _location(sent, "nobody is sent to log in")
        page = await browser.post(location, data={"user": "verify"})
        back = urlsplit(page.headers.get("location", ""))
        if back.path != CALLBACK:
            raise SignInError(f"the sandbox's provider doesn't let verify log in ({page.status_code})")
        request = replace(
            shot.request, method="GET", path=back.path, query=tuple(parse_qsl(back.query)), headers=_carry(sent)
        )
        done = await self._client.fire(replace(shot, request=request))
        _location(done, "the login isn't taken")
        return _carry(done)


def _location(reply: Reply, problem: str) -> str:
    if reply.status != 302:
        detail = ERRORS.get(reply.error, "") or f"status {reply.status}"
        raise SignInError(f"{problem}: {detail} instead of 302")
    return reply.headers.get("location", "")


def _carry(reply: Reply) -> Headers:
    """The cookies that an answer sets, as requests have them."""
    pairs = [f"{name}={value}" for name, value in _COOKIE.findall(reply.headers.get("set-cookie", "")) if value]
    return (("Cookie", "; ".join(pairs)),) if pairs else ()


def with_headers(shot: Shot, headers: Headers) -> Shot:
    """The request with the headers that let it through; its own cookies are kept."""
    kept = dict(shot.request.headers)
    for name, value in headers:
        own = next((key for key in kept if key.lower() == name.lower()), name)
        kept[own] = f"{kept[own]}; {value}" if name == "Cookie" and own in kept else value
    return replace(shot, request=replace(shot.request, headers=tuple(kept.items())))


async def check_keys(endpoints: Iterable[str], trust: Trust) -> dict[str, str]:
    """What is wrong with JWKS endpoints, as far as they can be reached from here.

    AWS ELB, 'Verify JWTs': the endpoint has to be public, with ten keys and 150 KB at most. It answers 500 otherwise.
    """
    problems = {}
    async with httpx.AsyncClient(
        trust_env=False, timeout=_TIMEOUT, verify=make_context(trust, check_name=True)
    ) as browser:
        for url in dict.fromkeys(endpoints):
            if wrong := await _keys_at(browser, url):
                problems[url] = (
                    f"jwks_endpoint {url} {wrong}; correct it, or have it answer: until then the load balancer lets nobody in"
                )
    return problems


async def _keys_at(browser: httpx.AsyncClient, url: str) -> str:
    try:
        answer = await browser.get(url)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        kind, detail = classify(error)
        return f"doesn't answer ({detail or kind})"
    if answer.status_code != 200:
        return f"answers {answer.status_code} instead of 200"
    try:
        told: Any = answer.json()
        count = len(told["keys"])
    except (ValueError, TypeError, KeyError):
        return "doesn't answer with a JSON Web Key Set"
    if not 0 < count <= _MOST:
        return f"has {count} keys; an ALB takes 1 to {_MOST}"
    return "has more than 150 KB, which an ALB doesn't read" if len(answer.content) > _LARGEST else ""
