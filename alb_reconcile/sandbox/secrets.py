"""Makes others' client secrets and an application's secrets in the local AWS that a spec names, in SSM and Secrets Manager."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from moto.secretsmanager.models import secretsmanager_backends
from moto.ssm.models import ssm_backends

from alb_reconcile.sandbox.strict.world import World

_VALUE: Final = "sandbox"  # the local provider takes any client secret


def make_secrets(world: World, states: Any) -> Iterator[str]:
    """Make the missing secrets; yield a line for each. Secrets from environment variables and files aren't made: the user's own process
    reads those."""
    for source, name, key in dict.fromkeys(_named(states)):
        if source == "ssm" and _make_parameter(world, name):
            yield f"SSM parameter {name} (a client secret)"
        elif source == "secretsmanager" and _make_secret(world, name, [key] if key else []):
            yield f"secret {name} (a client secret)"


def make_places(world: World, places: Iterable[str]) -> Iterator[str]:
    """Make the missing parameters and secrets that an application names, in the form `ssm:NAME`, `secretsmanager:NAME` or
    `secretsmanager:NAME#KEY`, each with the value "sandbox"; yield a line for each. A secret is made with all keys that are named."""
    keys: dict[str, list[str]] = {}
    for place in dict.fromkeys(places):
        source, _, name = place.partition(":")
        if source == "ssm" and _make_parameter(world, name):
            yield f"SSM parameter {name} (its value is {_VALUE!r})"
        elif source == "secretsmanager":
            name, _, key = name.partition("#")
            keys.setdefault(name, []).extend([key] if key else [])
    for name, named in keys.items():
        if _make_secret(world, name, named):
            told = f" of {', '.join(named)}" if named else ""
            yield f"secret {name} (its value{told} is {_VALUE!r})"


def _make_parameter(world: World, name: str) -> bool:
    """Make a SecureString, unless a parameter of that name or ARN is there."""
    parameters = ssm_backends[world.account][world.region]
    if name.startswith("arn:"):
        below = name.partition(":parameter/")[2]
        name = f"/{below}" if "/" in below else below
    if parameters.get_parameter(name):
        return False
    parameters.put_parameter(
        name=name, value=_VALUE, parameter_type="SecureString", description="", allowed_pattern="", keyid="alias/aws/ssm",
        overwrite=False, tags=[], data_type="text", tier="Standard", policies=None,
    )  # fmt: skip
    return True


def _make_secret(world: World, name: str, keys: list[str]) -> bool:
    """Make a secret, unless one of that name or ARN is there: a JSON object with these keys, or a text without any."""
    secrets = secretsmanager_backends[world.account][world.region]
    if secrets.secrets.get(name) is not None:
        return False
    value = json.dumps(dict.fromkeys(keys, _VALUE)) if keys else _VALUE
    secrets.create_secret(name, value, None, None, None, None, None, [], force_overwrite=False)
    made = secrets.secrets.get(name)
    if made and name.startswith("arn:"):
        made.arn = name
    return True


def _named(value: Any) -> Iterator[tuple[str, str, str]]:
    """The source, name and JSON key of each client secret that desired states refer to: fields of `Secret`."""
    if isinstance(value, dict):
        if value.keys() >= {"source", "name", "version"}:
            yield str(value["source"]), str(value["name"]), str(value.get("json_key") or "")
        for item in value.values():
            yield from _named(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _named(item)
