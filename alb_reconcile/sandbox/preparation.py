"""Has the sandbox make what a stack names and doesn't declare. Never imports moto."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from http.client import HTTPConnection, HTTPException
from typing import Any, Final

from alb_reconcile.sandbox.client import HOST, PREPARATION, Sandbox, SandboxError

_TIMEOUT: Final = 60.0


def prepare(sandbox: Sandbox, region: str, states: Iterable[Any]) -> list[str]:
    """Returns what has been made, a line each, for desired states (dataclasses). Raises SandboxError."""
    wanted = {"region": region, "states": [asdict(state) for state in states]}
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
