"""The actions that authenticate, as values: read from actions of listeners and rules in AWS's shapes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from alb_reconcile.model.actions import pool_issuer
from alb_reconcile.model.text import digest


@dataclass(frozen=True)
class Login:
    """authenticate-oidc, or authenticate-cognito as the OIDC login that it amounts to.

    `seconds`: how long a session lasts; `otherwise`: what happens without a login (authenticate, allow or deny); `signer`: the load
    balancer's ARN.
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
    """An additional claim that a token needs. `format`: single-string, string-array or space-separated-values."""

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
"""The key for requests that come back from a provider, whichever rule sent the user there. No guard has it."""


def key_of(listener: str, rule: str) -> str:
    """The key of a rule's guard, a digest. No client secret goes into it."""
    return digest([listener, rule], 16)


def read_guard(actions: tuple[Mapping[str, Any], ...], balancer: str) -> Guard | None:
    """The check that the actions of a rule make before they route; None if they make none."""
    for action in actions:
        kind = action.get("Type")
        if kind == "authenticate-oidc":
            config = action["AuthenticateOidcConfig"]
            return _login(config, balancer, config["Issuer"], config["ClientId"], config.get("HiddenSecret", ""))
        if kind == "authenticate-cognito":
            config = action["AuthenticateCognitoConfig"]
            # AWS asks Cognito for the client's secret; here there is none
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
