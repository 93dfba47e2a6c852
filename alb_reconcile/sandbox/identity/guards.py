"""The actions that authenticate, as values: read from actions of listeners and rules in AWS's shapes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from alb_reconcile.model.actions import pool_issuer
from alb_reconcile.model.text import digest


@dataclass(frozen=True)
class Login:
    """authenticate-oidc, or authenticate-cognito as the OIDC that it is.

    `seconds`: how long a session lasts; `otherwise`: authenticate, allow or deny; `signer`: the load balancer's ARN.
    """

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    cookie: str
    scope: str
    seconds: int
    extra: tuple[tuple[str, str], ...]
    otherwise: str
    signer: str


@dataclass(frozen=True)
class Claim:
    """A further claim that a token needs. `format`: single-string, string-array or space-separated-values."""

    name: str
    format: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Bearer:
    """jwt-validation."""

    issuer: str
    claims: tuple[Claim, ...] = ()


Guard = Login | Bearer
CALLBACK_KEY: Final = "callback"
"""The key of no guard: of what comes back from a provider, whichever rule sent it there."""


def key_of(listener: str, rule: str) -> str:
    """How the guard of a rule is called. Nothing of a client secret is in it."""
    return digest([listener, rule], 16)


def read_guard(actions: tuple[Mapping[str, Any], ...], balancer: str) -> Guard | None:
    """What the actions of a rule ask before they route; None if they ask nothing."""
    for action in actions:
        kind = action.get("Type")
        if kind == "authenticate-oidc":
            config = action["AuthenticateOidcConfig"]
            return _login(config, balancer, config["Issuer"], config["ClientId"], config.get("HiddenSecret", ""))
        if kind == "authenticate-cognito":
            config = action["AuthenticateCognitoConfig"]
            # AWS asks Cognito for the client's secret; nobody has one here
            return _login(config, balancer, pool_issuer(config["UserPoolArn"]), config["UserPoolClientId"], "cognito")
        if kind == "jwt-validation":
            config = action["JwtValidationConfig"]
            claims = (
                Claim(item["Name"], item["Format"], tuple(item["Values"]))
                for item in config.get("AdditionalClaims") or ()
            )
            return Bearer(config["Issuer"], tuple(claims))
    return None


def _login(config: Mapping[str, Any], balancer: str, issuer: str, client_id: str, secret: str) -> Login:
    return Login(
        issuer,
        client_id,
        secret,
        config.get("SessionCookieName") or "AWSELBAuthSessionCookie",
        config.get("Scope") or "openid",
        int(config.get("SessionTimeout") or 604800),
        tuple(sorted((config.get("AuthenticationRequestExtraParams") or {}).items())),
        config.get("OnUnauthenticatedRequest") or "authenticate",
        balancer,
    )
