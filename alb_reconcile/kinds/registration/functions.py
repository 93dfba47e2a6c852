"""Lets load balancers invoke a Lambda function, and checks whether they may (Lambda AddPermission, RemovePermission, GetPolicy)."""

import json
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

from alb_reconcile.aws.client import Aws
from alb_reconcile.kinds import waits
from alb_reconcile.kinds.context import Run
from alb_reconcile.model.errors import AwsError, ignoring
from alb_reconcile.model.text import digest

_PRINCIPAL: Final = "elasticloadbalancing.amazonaws.com"
_INVOKE: Final = "lambda:InvokeFunction"
_OPERATORS: Final = ("ArnLike", "ArnEquals", "StringLike", "StringEquals")
_MISSING: Final = "ResourceNotFoundException"
"""Lambda's error code for a function, an alias or a policy that doesn't exist."""


def statement_id(group: str) -> str:
    """The id of this tool's statement for a target group. Statements with other ids aren't this tool's."""
    return f"alb-reconcile-{digest(group, 16)}"


async def is_there(aws: Aws, function: str) -> bool:
    """Whether the function, version or alias that the ARN names exists; true where these credentials may not read it."""
    try:
        await aws.call("lambda", "get_function_configuration", FunctionName=function)
    except AwsError as error:
        return error.code != _MISSING
    return True


async def is_permitted(aws: Aws, function: str, group: str) -> bool:
    """Whether a statement of the function's policy, this tool's or another, lets the target group invoke the function."""
    with ignoring(_MISSING):
        answer = await aws.call("lambda", "get_policy", FunctionName=function)
        statements = json.loads(answer["Policy"]).get("Statement", ())
        return any(_permits(item, group) for item in statements)
    return False


def _permits(statement: Mapping[str, Any], group: str) -> bool:
    """Whether a statement lets load balancers invoke the function for this target group. A statement with conditions that aren't known
    here counts as one that doesn't."""
    principal = statement.get("Principal")
    service = principal.get("Service") if isinstance(principal, dict) else principal
    actions = _each(statement.get("Action"))
    if statement.get("Effect") != "Allow" or not {_PRINCIPAL, "*"}.intersection(_each(service)):
        return False
    return any(fnmatchcase(_INVOKE, action) for action in actions) and all(
        _holds(operator, key.lower(), values, group)
        for operator, wanted in (statement.get("Condition") or {}).items()
        for key, values in wanted.items()
    )


def _holds(operator: str, key: str, values: object, group: str) -> bool:
    if key == "aws:sourcearn" and operator in _OPERATORS:
        return any(_matches(operator, value, group) for value in _each(values))
    return (key, operator) == ("aws:sourceaccount", "StringEquals") and group.split(":")[4] in _each(values)


def _matches(operator: str, pattern: str, text: str) -> bool:
    return pattern == text if operator == "StringEquals" else fnmatchcase(text, pattern)  # ArnEquals is ArnLike


def _each(value: object) -> Iterable[str]:
    return [value] if isinstance(value, str) else value if isinstance(value, list) else []


async def permit(run: Run, function: str, group: str) -> None:
    """Let the target group invoke the function. AWS refuses a second statement of the same id; one that permits it is enough."""
    try:
        await run.aws.call(
            "lambda", "add_permission", retry=waits.FUNCTION_BUSY, FunctionName=function,
            StatementId=statement_id(group), Action=_INVOKE, Principal=_PRINCIPAL, SourceArn=group,
        )  # fmt: skip
    except AwsError as error:
        if error.code != "ResourceConflictException" or not await is_permitted(run.aws, function, group):
            raise


async def forbid(run: Run, function: str, group: str) -> None:
    """Remove this tool's statement; other statements stay."""
    await run.gone(
        "lambda", "remove_permission", retry=waits.FUNCTION_BUSY, missing=(_MISSING,), FunctionName=function,
        StatementId=statement_id(group),
    )  # fmt: skip
