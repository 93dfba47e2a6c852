"""Reads the versions of secrets, and why a secret can't be had, without reading a secret (SSM DescribeParameters, Secrets Manager DescribeSecret)."""

from collections.abc import Mapping
from typing import Final

from alb_reconcile.aws.client import Aws
from alb_reconcile.model.actions import Secret
from alb_reconcile.model.errors import AwsError, ignoring

READ: Final = ("ssm:DescribeParameters", "secretsmanager:DescribeSecret")
"""The IAM actions that show a version and no secret: `aws/ssm` decrypts for every identity that may call GetParameter."""
_MISSING: Final = ("ResourceNotFoundException",)


async def current_version(aws: Aws, secret: Secret) -> str:
    """A secret's present version (SSM DescribeParameters, Secrets Manager DescribeSecret); empty where it can't be read."""
    try:
        if secret.source == "ssm":
            named = [{"Key": "Name", "Values": [secret.name]}]
            rows = await aws.pages("ssm", "describe_parameters", "Parameters", ParameterFilters=named, MaxResults=50)
            return next((str(row["Version"]) for row in rows if row["Name"] == secret.name), "")
        if secret.source == "secretsmanager":
            answer = await aws.call("secretsmanager", "describe_secret", SecretId=secret.name)
            if "DeletedDate" in answer:
                return ""
            stages: Mapping[str, list[str]] = answer.get("VersionIdsToStages") or {}
            return next((version for version, names in stages.items() if "AWSCURRENT" in names), "")
    except AwsError as error:
        if error.code not in _MISSING:
            raise
        return ""
    return secret.version


async def objection(aws: Aws, secret: Secret) -> str:
    """Why AWS can't give a secret; empty if it can, as far as can be seen without reading the secret."""
    what, action = {"ssm": ("SSM parameter", READ[0])}.get(secret.source, ("secret in Secrets Manager", READ[1]))
    try:
        if await current_version(aws, secret):
            return ""
        if secret.source == "secretsmanager" and await _is_leaving(aws, secret):
            return f"the secret {secret.name} is scheduled for deletion; restore it, or name another one"
    except AwsError as error:
        if "AccessDenied" not in error.code:
            raise
        return f"these credentials may not look at the {what} {secret.name}; allow them {action}"
    return f"there is no {what} {secret.name} in this region and account; put it there, or correct its name"


async def _is_leaving(aws: Aws, secret: Secret) -> bool:
    with ignoring(*_MISSING):
        return "DeletedDate" in await aws.call("secretsmanager", "describe_secret", SecretId=secret.name)
    return False
