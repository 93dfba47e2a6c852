"""Gives the local provider's address that replaces a provider that a spec names."""

from typing import Final
from urllib.parse import quote

CALLBACK: Final = "/oauth2/idpresponse"
"""Where an ALB takes a user back from the provider (AWS ELB, 'Authenticate users using an Application Load Balancer')."""


def slug_of(issuer: str) -> str:
    """An issuer as a path of the local provider: without its scheme."""
    return quote(issuer.removeprefix("https://").strip("/"), safe="/:@")


def local_issuer(provider: str, issuer: str) -> str:
    """The address that stands for an issuer; its endpoints lie below: authorize, token, userinfo and jwks."""
    return f"{provider.rstrip('/')}/{slug_of(issuer)}"
