"""Checks whether the identity providers that a load balancer will call answer.

A load balancer fetches the keys of jwt_validation, and asks the token and user info endpoints of authenticate_oidc (Elastic Load
Balancing, "Verify JWTs using an Application Load Balancer", "Authenticate users using an Application Load Balancer"). The
authorization endpoint is for browsers. AWS may reach an address that this machine can't reach, so a failure is a warning only.
"""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final

from alb_reconcile.aws.client import Aws
from alb_reconcile.kinds.base import Intent
from alb_reconcile.model.actions import Action
from alb_reconcile.model.discovery import Finding

_ASKED: Final = {"authenticate-oidc": ("token_endpoint", "user_info_endpoint"), "jwt-validation": ("jwks_endpoint",)}


async def check_providers(aws: Aws, intents: Sequence[Intent], field: str) -> list[Finding]:
    """A warning for each address of an action that doesn't answer, where the action is to be made or changed."""
    places = [
        (item, f"{field}.{kind.replace('-', '_')}", name, url)
        for item in intents
        if item.fields is None or field in item.fields
        for kind, name, url in _addresses(getattr(item.wanted, field))
    ]
    urls = sorted({(url, name == "jwks_endpoint") for _, _, name, url in places})
    answers = await asyncio.gather(*(aws.ask_outside(url, keys=keys) for url, keys in urls))
    told = dict(zip((url for url, _ in urls), answers, strict=True))
    way_out = "asked from here; correct it, unless only AWS can reach it"
    return [
        Finding(item.desired, path, f"{name} {url} {told[url]}, {way_out}", warning=True)
        for item, path, name, url in places
        if told[url]
    ]


def _addresses(action: Action) -> Iterator[tuple[str, str, str]]:
    """The type of the authentication, and by its settings' names the addresses that the load balancer calls."""
    if found := action.authentication:
        yield from ((found.type, name, url) for name, url in found.settings if name in _ASKED.get(found.type, ()))
