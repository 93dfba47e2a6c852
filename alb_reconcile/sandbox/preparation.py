"""Has the sandbox make the resources that a stack names and doesn't declare. Never imports moto."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from http.client import HTTPConnection, HTTPException
from typing import Any, Final

from alb_reconcile.aws.role import Role
from alb_reconcile.model.address import Address
from alb_reconcile.model.lookup import lookups_in
from alb_reconcile.sandbox.client import HOST, PREPARATION, Sandbox, SandboxError

_TIMEOUT: Final = 60.0


def describe(states: Iterable[Any]) -> list[Any]:
    """Desired states (dataclasses) as JSON values, with None in place of references to entries: a stack declares those resources itself."""
    return [_without_references(asdict(state)) for state in states]


def _without_references(value: Any) -> Any:
    if isinstance(value, Address):
        return None
    if isinstance(value, dict):
        return {key: _without_references(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_references(item) for item in value]
    return value


def prepare(sandbox: Sandbox, region: str, states: Iterable[Any]) -> list[str]:
    """Make what desired states (dataclasses) name. Returns a line for each resource that was made. Raises SandboxError."""
    states = list(states)
    lookups = dict.fromkeys(item for state in states for item in lookups_in(state))
    wanted: dict[str, Any] = {
        "region": region,
        "states": describe(states),
        "lookups": [
            {
                "kind": item.kind,
                "tags": dict(item.tags),
                "parameter": item.parameter,
                "domain": item.domain,
                "many": item.many,
                "words": item.words,
            }
            for item in lookups
            if item.by != "default"  # a default VPC exists from the beginning
        ],
    }
    return _send(sandbox, wanted)


def prepare_roles(sandbox: Sandbox, roles: Iterable[Role]) -> list[str]:
    """Make roles of other accounts that the sandbox's own account may assume. Returns a line for each role that was made.

    Raises SandboxError.
    """
    named = [{"arn": role.arn, "external_id": role.external_id} for role in roles]
    return _send(sandbox, {"roles": named}) if named else []


def _send(sandbox: Sandbox, wanted: dict[str, Any]) -> list[str]:
    connection = HTTPConnection(HOST, sandbox.port, timeout=_TIMEOUT)
    try:
        body = json.dumps(wanted, default=str)
        connection.request("POST", PREPARATION, body, {"X-Token": sandbox.token, "Content-Type": "application/json"})
        return list(json.loads(connection.getresponse().read())["made"])
    except (OSError, HTTPException, ValueError, TypeError, KeyError):
        raise SandboxError(
            f"the sandbox at {sandbox.endpoint_url} doesn't make what is missing; see its log beside its state file"
        ) from None
    finally:
        connection.close()
