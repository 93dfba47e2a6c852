"""Imitates AWS's rules for the policies of Lambda functions."""

import functools
import json
from collections.abc import Callable
from typing import Any

from moto.awslambda.exceptions import LambdaClientError
from moto.awslambda.policy import Policy


class TakenError(LambdaClientError):
    """ResourceConflictException, for which moto has another code."""

    code = 409


def one_of_each_id(original: Callable[..., Any]) -> Callable[..., Any]:
    """AddPermission: ResourceConflictException where the policy has a statement of that id (moto adds a second one)."""

    @functools.wraps(original)
    def add_statement(policy: Any, raw: str, qualifier: str | None = None) -> Any:
        wanted = json.loads(raw).get("StatementId")
        if wanted in [item.get("Sid") for item in policy.statements]:
            raise TakenError(
                "ResourceConflictException",
                f"The statement id ({wanted}) provided already exists. Please provide a new statement id, or remove the existing statement.",
            )
        return original(policy, raw, qualifier)

    return add_statement


def patches() -> list[tuple[Any, str, Any]]:
    return [(Policy, "add_statement", one_of_each_id(Policy.add_statement))]
