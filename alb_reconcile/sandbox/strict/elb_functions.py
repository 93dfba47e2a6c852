"""Imitates AWS's rules for targets that are Lambda functions."""

import json
from fnmatch import fnmatchcase
from typing import Any

from .rule import Call, refuse

PRINCIPAL = "elasticloadbalancing.amazonaws.com"


def check_function(call: Call, group: Any) -> None:
    """RegisterTargets: one function a target group, in the same region, with permission for load balancers to invoke it.

    AWS ELB, 'Use Lambda functions as targets': AccessDenied without the permission.
    """
    wanted = {item["Id"] for item in call.given("Targets", [])}
    there = {key[0] for key, item in call.world.ledger.targets.get(group.arn, {}).items() if item.gone_at is None}
    if len(wanted | there) > 1:
        refuse("TooManyTargets", "You can register only one Lambda function per target group")
    for arn in wanted:
        if not permits(call, arn, group.arn):
            refuse(
                "AccessDenied",
                f"elasticloadbalancing principal does not have permission to invoke {arn} from target group {group.arn}",
                status=403,
            )


def permits(call: Call, arn: str, group: str) -> bool:
    """Whether the function's policy has a statement for the group. moto keeps one policy for the function and all its aliases."""
    from moto.awslambda.models import lambda_backends  # loads many services, so only where there are functions

    parts = arn.split(":")
    backend = lambda_backends[call.world.account][call.world.region]
    if parts[3] != call.world.region:
        refuse("ValidationError", f"The Lambda function '{arn}' is not in this region")
    name, qualifier = parts[6], parts[7] if len(parts) > 7 else None
    try:
        policy = json.loads(json.loads(backend.get_policy(name, qualifier))["Policy"])
    except Exception as error:
        if "NotFound" not in type(error).__name__:
            raise
        return False
    return any(
        (item.get("Principal") or {}).get("Service") == PRINCIPAL
        and all(fnmatchcase(group, source) for source in _sources(item))
        for item in policy["Statement"]
    )


def _sources(statement: dict[str, Any]) -> list[str]:
    conditions = (statement.get("Condition") or {}).values()
    return [value for item in conditions for key, value in item.items() if key.lower() == "aws:sourcearn"]
