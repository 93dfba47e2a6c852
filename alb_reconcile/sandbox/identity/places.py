"""Gives the local provider's address that replaces a provider that a spec names."""

from typing import Final
from urllib.parse import quote

CALLBACK: Final = "/oauth2/idpresponse"
"""The path to which the provider redirects a user back (AWS ELB, 'Authenticate users using an Application Load Balancer')."""


def slug_of(issuer: str) -> str:
    """The path of an issuer on the local provider: the issuer's address without its scheme."""
    return quote(issuer.removeprefix("https://").strip("/"), safe="/:@")


def local_issuer(provider: str, issuer: str) -> str:
    """The local address in place of an issuer. Below it are the endpoints authorize, token, userinfo and jwks."""
    return f"{provider.rstrip('/')}/{slug_of(issuer)}"
