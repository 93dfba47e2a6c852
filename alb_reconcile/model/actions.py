"""The action of a listener or a rule, which says what becomes of a request."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.secrets import Headers


class Forward(NamedTuple):
    """The part of a forward that goes to one target group."""

    target_group: Ref
    weight: int = 1


@dataclass(frozen=True, kw_only=True)
class Secret:
    """The place of a secret (`env`, `file`, `ssm` or `secretsmanager`, with the name in it), and its version. Never the secret itself."""

    source: str
    name: str
    version: str = ""
    json_key: str = ""
    """The secret's key where the place holds a JSON object; empty where the whole text is the secret."""
    folder: str = field(default="", compare=False, repr=False)
    """The folder that a file's name is relative to."""

    def __str__(self) -> str:
        key = f" key {self.json_key}" if self.json_key else ""
        return f"{self.source} {self.name}{key}" + (f" version {self.version}" if self.version else "")


def pool_issuer(arn: str) -> str:
    """The issuer of a user pool (Amazon Cognito, 'Understanding user pool JSON web tokens')."""
    _, _, _, region, _, pool = arn.split(":", 5)
    return f"https://cognito-idp.{region}.amazonaws.com/{pool.rpartition('/')[2]}"


@dataclass(frozen=True, kw_only=True)
class Authentication:
    """What a request has to prove before it is routed. `type` is AWS's: authenticate-oidc, authenticate-cognito or
    jwt-validation; `settings` are (key, value) pairs by AWS's names in snake_case, lists and mappings as JSON."""

    type: str
    settings: tuple[tuple[str, str], ...]
    client_secret: Secret | None = None

    @property
    def keeps_out(self) -> bool:
        """Whether requests without that proof are refused."""
        return dict(self.settings).get("on_unauthenticated_request") != "allow"

    @property
    def issuer(self) -> str:
        """The issuer of the users' tokens, as tokens name it."""
        said = dict(self.settings)
        return pool_issuer(said["user_pool_arn"]) if self.type == "authenticate-cognito" else said["issuer"]

    def __str__(self) -> str:
        parts = [f"{key} {value}" for key, value in self.settings]
        secret = [f"client_secret from {self.client_secret}"] if self.client_secret else []
        return f"{self.type} {', '.join([*parts, *secret])}"


SHORTEST: Final = 1
"""Seconds of the shortest stickiness of a forward (ELB API Reference, TargetGroupStickinessConfig)."""


@dataclass(frozen=True, kw_only=True)
class Action:
    """A forward, a redirect or a fixed response; exactly one of them. Before it, perhaps, an authentication.

    `redirect` and `fixed_response` hold (key, value) pairs by AWS's names in snake_case. `unsupported` has further or other actions
    of AWS that no spec can say, in AWS's words: first the type.
    """

    authentication: Authentication | None = None
    forward: tuple[Forward, ...] = ()
    stickiness_seconds: int | None = None
    """Seconds for which clients stay with one of several groups. None also for the shortest time, which AWS requires of sticky groups."""
    redirect: tuple[tuple[str, str], ...] = ()
    fixed_response: tuple[tuple[str, str], ...] = ()
    unsupported: tuple[str, ...] = ()
    keeps_split: bool | None = field(default=None, compare=False)
    """Whether another tool moves the weights (`weights: {managed_by: external}`)."""

    @property
    def receiving(self) -> tuple[Forward, ...]:
        """The groups that get requests: by their weight, as the only group, or from clients that stick to them."""
        if len(self.forward) == 1 or (self.stickiness_seconds or 0) > SHORTEST:
            return self.forward
        return tuple(item for item in self.forward if item.weight)

    def settle(self, found: Action, addresses: Mapping[str, Address]) -> Action:
        """The same action, with the weights that another tool has set, while the groups and the sum are as wanted.

        `addresses` names the stack's own target groups by id: a group that is replaced hands its weight on.
        """
        if len(self.forward) > 1 and (self.stickiness_seconds, found.stickiness_seconds) == (None, SHORTEST):
            return replace(self, stickiness_seconds=SHORTEST).settle(found, addresses)
        if not self.keeps_split:
            return self
        split: Counter[Ref] = Counter()
        names = [addresses.get(str(item.target_group), item.target_group) for item in self.forward]
        for item in found.forward:
            name = addresses.get(str(item.target_group), item.target_group)
            if item.weight or name in names:  # a group at weight 0 is only there to be checked
                split[name] += item.weight
        if set(names) != split.keys() or split.total() != sum(item.weight for item in self.forward):
            return self
        kept = (item._replace(weight=split[name]) for item, name in zip(self.forward, names, strict=True))
        return replace(self, forward=tuple(kept))

    def redacted(self, _: Headers, instead: str) -> Action:
        """The same action without the query of a redirect, except placeholders."""
        redirect = tuple(
            (key, instead if key == "query" and re.sub(r"#{[a-z]+}|[&=]", "", text) else text)
            for key, text in self.redirect
        )
        return replace(self, redirect=redirect)

    def keep_unsupported(self, found: Action) -> Action:
        """The same action, with the found settings that no spec can say."""
        return replace(self, unsupported=found.unsupported)

    def with_secret(self, version: str) -> Action:
        """The same action, with its client secret's present version, where AWS keeps the secret."""
        secret = self.authentication.client_secret if self.authentication else None
        if self.authentication is None or secret is None or not version:
            return self
        return replace(
            self, authentication=replace(self.authentication, client_secret=replace(secret, version=version))
        )


def is_opaque(words: str) -> bool:
    """Whether only the type of an unsupported setting is known: AWS doesn't show the rest, so the setting can't be written again."""
    return words.endswith(" {}")


_LEFT_OUT: Final = {
    "protocol": "#{protocol}",
    "port": "#{port}",
    "host": "#{host}",
    "path": "/#{path}",
    "query": "#{query}",
    "content_type": "text/plain",
    "message_body": "",
}
"""What AWS fills in for the parts of a redirect or fixed response that were left out."""


def canonical(config: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    """A redirect or fixed response as an `Action` holds it: without values that mean the same as leaving them out."""
    return tuple(
        sorted(
            (key, str(value)) for key, value in config.items() if value is not None and _LEFT_OUT.get(key) != str(value)
        )
    )
