"""Imitates client tokens (AWS EC2, 'Ensuring idempotency'): two requests with the same token and parameters make one resource."""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from .rule import Call, refuse


def made_once(call: Call, key: str, there: Mapping[str, Any], make: Callable[[], Any]) -> Any:
    """The answer to a create request. If its token has made a resource that still exists, the answer has that resource;
    IdempotentParameterMismatch for other parameters. `key` is the answer's key for the resource."""
    token, digest = call.given("ClientToken"), fingerprint(call.params)
    if token is None:
        return make()
    known_digest, known = call.world.ledger.tokens.get((token, call.action), (digest, ""))
    if digest != known_digest:
        refuse_mismatch()
    if known in there:
        return {key: there[known]}
    result = make()
    call.world.ledger.tokens[token, call.action] = (digest, result[key].id)
    return result


def refuse_mismatch() -> None:
    refuse(
        "IdempotentParameterMismatch",
        "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).",
    )


def fingerprint(params: Any) -> str:
    plain = {key: value for key, value in params.items() if key not in ("ClientToken", "DryRun")}
    return hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode()).hexdigest()
