"""Judges AssumeRole as IAM does: moto lets any caller assume any role, even one that doesn't exist."""

import functools
import json
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

from moto.iam.models import iam_backends
from moto.sts.exceptions import STSClientError, STSValidationError
from moto.sts.responses import TokenResponse
from moto.utilities.utils import get_partition

_CHAINED: Final = 3600
"""The most seconds of a session that is requested with another role's session (IAM User Guide, "Role chaining")."""


def judged(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """AssumeRole: AccessDenied if there is no such role, or its trust policy doesn't allow the caller, with this external
    id and these session tags (STS API Reference, AssumeRole; IAM User Guide, "Access to AWS accounts owned by third parties", "Pass
    session tags in AWS STS"). ValidationError for a session that is longer than the role or role chaining allows."""

    @functools.wraps(original)
    def assume_role(response: Any) -> Any:
        arn = response._get_param("RoleArn") or ""
        _, caller, _ = response.backend.get_caller_identity(response.get_access_key(), response.region)
        role = role_of(arn, response.region)
        tags = {item["Key"]: item["Value"] for item in response._get_param("Tags") or []}
        asked = {"sts:ExternalId": response._get_param("ExternalId")}
        asked |= {f"aws:RequestTag/{key}": value for key, value in tags.items()}
        wanted = ("sts:AssumeRole", *(("sts:TagSession",) if tags else ()))
        for action in wanted:
            if role is None or not _allows(role.assume_role_policy_document, action, caller, asked):
                raise STSClientError(
                    "AccessDenied", f"User: {caller} is not authorized to perform: {action} on resource: {arn}"
                )
        seconds = response._get_int_param("DurationSeconds", _CHAINED)
        if role is not None and seconds > int(role.max_session_duration or _CHAINED):
            raise STSValidationError("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
        if ":assumed-role/" in caller and seconds > _CHAINED:
            raise STSValidationError(
                "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"
            )
        return original(response)

    return assume_role


def role_of(arn: str, region: str) -> Any:
    """moto's role of an ARN; None if there is none."""
    account = arn.split(":")[4] if arn.count(":") > 4 else ""
    if account not in iam_backends:  # a look-up would make the account
        return None
    roles = list(iam_backends[account][get_partition(region)].roles.values())
    return next((role for role in roles if role.arn == arn), None)


def trusts(role: Any, service: str) -> bool:
    """Whether a role's trust policy lets a service, such as ec2.amazonaws.com, assume the role."""
    return _allows(role.assume_role_policy_document, "sts:AssumeRole", service, {})


def _allows(document: str, action: str, caller: str, asked: Mapping[str, str | None]) -> bool:
    try:
        statements = json.loads(document).get("Statement", [])
    except (ValueError, AttributeError):
        return False
    statements = [statements] if isinstance(statements, dict) else statements
    fitting = [item["Effect"] for item in statements if _fits(item, action, caller, asked)]
    return "Allow" in fitting and "Deny" not in fitting


def _fits(statement: Any, action: str, caller: str, asked: Mapping[str, str | None]) -> bool:
    if not any(fnmatchcase(action.lower(), item.lower()) for item in listed(statement.get("Action"))):
        return False
    principal = statement.get("Principal")
    named = ["*"] if principal == "*" else []
    if isinstance(principal, dict):
        named = [*listed(principal.get("AWS")), *listed(principal.get("Service"))]
    account = caller.split(":")[4] if caller.startswith("arn:") else ""
    known = {"*", account, caller, f"arn:aws:iam::{account}:root", _role_behind(caller)}
    if not known & set(named):
        return False
    conditions = statement.get("Condition", {})
    return all(
        holds(operator, values, asked.get(key)) for operator, keys in conditions.items() for key, values in keys.items()
    )


def _role_behind(caller: str) -> str:
    """The ARN, without a path, of the role of a caller's session; a caller without a role as it is."""
    if ":assumed-role/" not in caller:
        return caller
    return f"{caller.replace(':sts:', ':iam:').replace(':assumed-role/', ':role/').rpartition('/')[0]}"


def holds(operator: str, values: Any, found: str | None) -> bool:
    """Whether a condition holds. A condition with an unknown operator doesn't."""
    if found is None:
        return False
    if operator == "StringEquals":
        return found in listed(values)
    return operator == "StringLike" and any(fnmatchcase(found, item) for item in listed(values))


def listed(value: Any) -> list[str]:
    """The texts of a policy's element, which may be one text or a list."""
    return value if isinstance(value, list) else [value] if isinstance(value, str) else []


def patches() -> list[tuple[Any, str, Any]]:
    return [(TokenResponse, "assume_role", judged(TokenResponse.assume_role))]
