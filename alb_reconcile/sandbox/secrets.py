"""Makes others' client secrets in the local AWS that a spec names, in SSM and Secrets Manager."""

import json
from collections.abc import Iterator
from typing import Any, Final

from moto.secretsmanager.models import secretsmanager_backends
from moto.ssm.models import ssm_backends

from alb_reconcile.sandbox.strict.world import World

_VALUE: Final = "sandbox"  # the local provider takes any


def make_secrets(world: World, states: Any) -> Iterator[str]:
    """Make the missing secrets; yield a line for each. Secrets from environment variables and files aren't made: the user's own process
    reads those."""
    for source, name, key in dict.fromkeys(_named(states)):
        if source == "ssm":
            parameters = ssm_backends[world.account][world.region]
            if not parameters.get_parameter(name):
                parameters.put_parameter(
                    name=name, value=_VALUE, parameter_type="SecureString", description="", allowed_pattern="", keyid="alias/aws/ssm",
                    overwrite=False, tags=[], data_type="text", tier="Standard", policies=None,
                )  # fmt: skip
                yield f"SSM parameter {name} (a client secret)"
        elif source == "secretsmanager":
            secrets = secretsmanager_backends[world.account][world.region]
            if secrets.secrets.get(name) is None:
                value = json.dumps({key: _VALUE}) if key else _VALUE
                secrets.create_secret(name, value, None, None, None, None, None, [], force_overwrite=False)
                made = secrets.secrets.get(name)
                if made and name.startswith("arn:"):
                    made.arn = name
                yield f"secret {name} (a client secret)"


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
