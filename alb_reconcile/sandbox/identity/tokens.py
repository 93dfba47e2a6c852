"""Checks bearer tokens for jwt-validation: whether a rule accepts the token of a request."""

from collections.abc import Mapping
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from alb_reconcile.sandbox.identity.guards import Bearer, Claim

LARGEST: Final = 150 * 1024
"""The most bytes of a JWKS."""
MOST_KEYS: Final = 10
"""The most keys of a JWKS. AWS ELB, 'Verify JWTs': beyond either limit the load balancer forwards nothing."""


def find_fault(guard: Bearer, token: str, keys: Mapping[str, Any], now: float) -> str:
    """Why a token isn't accepted, in a word or two; empty if it is accepted.

    AWS ELB, 'Verify JWTs using an Application Load Balancer': the signature (RS256 only), iss and exp, which are
    required, nbf and iat if the token has them, and the additional claims.
    """
    try:
        claims = jwt.decode(token, KeySet.import_key_set(dict(keys)), algorithms=["RS256"]).claims  # type: ignore[arg-type]
    except (JoseError, ValueError, TypeError, KeyError, RecursionError):
        return "its signature"
    if claims.get("iss") != guard.issuer:
        return "iss"
    if not _is_after(claims.get("exp"), now):
        return "exp"
    if any(name in claims and not _is_before(claims[name], now) for name in ("nbf", "iat")):
        return "nbf or iat"
    return next((claim.name for claim in guard.claims if not _has(claims.get(claim.name), claim)), "")


def _is_after(value: Any, now: float) -> bool:
    return isinstance(value, int | float) and value > now


def _is_before(value: Any, now: float) -> bool:
    return isinstance(value, int | float) and value <= now


def _has(value: Any, claim: Claim) -> bool:
    """Whether a token has a claim (JwtValidationActionAdditionalClaim). Whether one of several values is enough isn't documented: here all
    are needed."""
    if claim.format == "string-array":
        return isinstance(value, list) and set(claim.values) <= {str(item) for item in value}
    if not isinstance(value, str):
        return False
    return (
        set(claim.values) <= set(value.split()) if claim.format == "space-separated-values" else value in claim.values
    )
