"""Checks what a rule that authenticates promises to clients that haven't logged in, or have no token."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from alb_reconcile.model.actions import Authentication
from alb_reconcile.model.secrets import hide_query
from alb_reconcile.verification.client import Reply, Shot

CALLBACK: Final = "/oauth2/idpresponse"
"""The path by which a provider sends users back to an ALB (AWS ELB, 'Authenticate users using an Application Load Balancer')."""
Provider = Callable[[str], str]
"""The address that stands for an issuer in the sandbox, with authorize, token and jwks below it."""


def unasked(wanted: Authentication, shot: Shot, reply: Reply, provider: Provider | None) -> str:
    """How the answer to a client without login or token differs from what is promised, in words, or nothing.

    Promised is a redirect to the authorization endpoint, or 401 where such clients are denied or a token is missing; and in no case an
    answer of a target.
    """
    if reply.target is not None:
        return (
            f"a target ({reply.target}) answered a request of somebody who isn't logged in: {wanted.type} asks nobody"
        )
    asks = wanted.type != "jwt-validation" and _said(wanted, "on_unauthenticated_request", "authenticate") != "deny"
    if reply.status != (302 if asks else 401):
        promise = "302, to the authorization endpoint" if asks else "401"
        return f"status {reply.status} instead of {promise}, for somebody who isn't logged in"
    return _misled(wanted, shot, reply.headers.get("location", ""), provider) if asks else ""


def _misled(wanted: Authentication, shot: Shot, location: str, provider: Provider | None) -> str:
    """What is wrong with the address to which a user is sent (OpenID Connect Core, 3.1.2.1), or nothing."""
    expected = authorization_endpoint(wanted, provider)
    try:
        found, right = urlsplit(location), urlsplit(expected)
        same = (found.scheme, found.hostname, found.port, found.path) == (
            right.scheme, right.hostname, right.port, right.path or found.path,
        )  # fmt: skip
        query = dict(parse_qsl(found.query, keep_blank_values=True))
        back = urlsplit(query.get("redirect_uri", ""))
        comes_back = (back.scheme, back.hostname, back.path) == ("https", shot.request.host.lower(), CALLBACK)
    except ValueError:
        same = comes_back = False
        query = {}
    if not same:
        return f'sent to "{hide_query(location)}" instead of {expected} to log in'
    if not comes_back:
        return f'the provider is told to send users back to "{query.get("redirect_uri", "")}" instead of {CALLBACK}'
    wishes = {
        "client_id": _said(wanted, "client_id" if wanted.type == "authenticate-oidc" else "user_pool_client_id"),
        "response_type": "code",
        "scope": _said(wanted, "scope", "openid"),
        **json.loads(_said(wanted, "authentication_request_extra_params", "{}")),
    }
    wrong = sorted(name for name, value in wishes.items() if query.get(name) != value)
    if wrong or not query.get("state"):
        return f"users are sent to log in with another {', '.join(wrong) or 'state'} than the spec says"
    return ""


def authorization_endpoint(wanted: Authentication, provider: Provider | None) -> str:
    """The address where users log in (Amazon Cognito, 'The redirect and authorization endpoint')."""
    if provider is not None:
        return f"{provider(wanted.issuer)}/authorize"
    if wanted.type == "authenticate-oidc":
        return _said(wanted, "authorization_endpoint")
    domain, region = _said(wanted, "user_pool_domain"), _said(wanted, "user_pool_arn").split(":")[3]
    host = domain if "." in domain else f"{domain}.auth.{region}.amazoncognito.com"
    return f"https://{host}/oauth2/authorize"


def needed_claims(wanted: Authentication) -> dict[str, object]:
    """The claims that a token needs in addition to those that each token needs."""
    shapes: dict[str, Callable[[list[str]], object]] = {
        "single-string": lambda values: values[0],
        "string-array": list,
        "space-separated-values": " ".join,
    }
    claims = json.loads(_said(wanted, "additional_claims", "[]"))
    return {item["Name"]: shapes[item["Format"]](item["Values"]) for item in claims}


def _said(wanted: Authentication, key: str, default: str = "") -> str:
    return dict(wanted.settings).get(key, default)
