"""Imitates AWS's rules for actions that authenticate: authenticate-oidc, authenticate-cognito and jwt-validation."""

from typing import Any

from .rule import refuse

ROUTING = ("forward", "redirect", "fixed-response")
AUTHENTICATING = {
    "authenticate-oidc": "AuthenticateOidcConfig",
    "authenticate-cognito": "AuthenticateCognitoConfig",
    "jwt-validation": "JwtValidationConfig",
}
SESSION = {
    "SessionCookieName": "AWSELBAuthSessionCookie",
    "Scope": "openid",
    "SessionTimeout": 604800,
    "OnUnauthenticatedRequest": "authenticate",
}
"""The defaults in AuthenticateOidcActionConfig and AuthenticateCognitoActionConfig."""
SECRET = "HiddenSecret"  # noqa: S105 (the name of a key, of which the API has no member)
"""The key for a client secret in an action; the client secret is never shown."""


def complete_authentication(action: dict[str, Any], held: list[Any]) -> dict[str, Any]:
    """The action as DescribeListeners shows it: with defaults, and without the client secret (AuthenticateOidcActionConfig)."""
    key = AUTHENTICATING[action["Type"]]
    config = dict(action.get(key) or {})
    if action["Type"] != "jwt-validation":
        config = SESSION | config
    if "SessionTimeout" in config:
        config["SessionTimeout"] = int(config["SessionTimeout"])
    if action["Type"] == "authenticate-oidc":
        config = hide_secret(config, held)
    check_settings(action["Type"], config)
    return {**action, key: config}


def hide_secret(config: dict[str, Any], held: list[Any]) -> dict[str, Any]:
    """AuthenticateOidcActionConfig: ClientSecret 'is required if you are creating a rule. If you are modifying a rule, you can
    omit this parameter if you set UseExistingClientSecret to true'; both at once are refused (ansible-collections/amazon.aws,
    issue 1877)."""
    secret = config.pop("ClientSecret", None)
    keeps = str(config.pop("UseExistingClientSecret", False)).lower() == "true"
    if secret and keeps:
        refuse(
            "InvalidLoadBalancerAction",
            "You cannot both specify a client secret and set UseExistingClientSecret to true",
        )
    before: dict[str, Any] = next(
        (item["AuthenticateOidcConfig"] for item in held if item.get("Type") == "authenticate-oidc"), {}
    )
    secret = secret or config.pop(SECRET, None) or (before.get(SECRET) if keeps else None)
    if not secret:
        refuse("InvalidLoadBalancerAction", "A client secret must be specified")
    return {**config, SECRET: secret}


def check_settings(kind: str, config: dict[str, Any]) -> None:
    """AuthenticateOidcActionConfig, JwtValidationActionConfig: 'a full URL, including the HTTPS protocol'; ten parameters and ten
    claims at most."""
    endpoints = (
        ("Issuer", "AuthorizationEndpoint", "TokenEndpoint", "UserInfoEndpoint") if kind != "jwt-validation" else ()
    )
    for name in (*endpoints, "JwksEndpoint"):
        if name in config and not str(config[name]).startswith("https://"):
            refuse("InvalidLoadBalancerAction", f"{name} must be an HTTPS URL")
    if len(config.get("AuthenticationRequestExtraParams") or {}) > 10 or len(config.get("AdditionalClaims") or []) > 10:
        refuse("InvalidLoadBalancerAction", "At most 10 are allowed")
    for claim in config.get("AdditionalClaims") or []:
        check_claim(claim)


def check_claim(claim: dict[str, Any]) -> None:
    """JwtValidationActionAdditionalClaim: 'You can't specify exp, iss, nbf, or iat because we validate them by default'; 'If the
    format is space-separated-values, the values can't include spaces'."""
    if claim.get("Name") in ("exp", "iss", "nbf", "iat"):
        refuse("InvalidLoadBalancerAction", f"The claim {claim['Name']} is validated by default")
    if claim.get("Format") == "space-separated-values" and any(
        " " in str(value) for value in claim.get("Values") or ()
    ):
        refuse("InvalidLoadBalancerAction", "Space-separated values can't include spaces")


def check_order(actions: list[Any], protocol: str) -> None:
    """Action: 'exactly one of the following routing actions: forward, fixed-response, or redirect, and it must be the last action
    to be performed. Optionally, a rule for an HTTPS listener can also include one of the following user authentication
    actions'."""
    ordered = [item.get("Type") for item in sorted(actions, key=lambda item: int(item.get("Order", 0)))]
    authenticating = [kind for kind in ordered if kind in AUTHENTICATING]
    if authenticating and protocol != "HTTPS":
        refuse("InvalidLoadBalancerAction", f"'{authenticating[0]}' is only supported on HTTPS listeners")
    if len(authenticating) > 1:
        refuse("TooManyActions", "A rule can have one action that authenticates")
    if ordered and (ordered[-1] not in ROUTING or sum(kind in ROUTING for kind in ordered) > 1):
        refuse("InvalidLoadBalancerAction", "The last action must be a forward, a redirect or a fixed response")
