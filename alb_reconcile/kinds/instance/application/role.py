"""Lists what an application's instances need from AWS by their role, and what a plan needs to look up versions."""

from collections.abc import Iterable, Iterator
from typing import Any

from alb_reconcile.aws.partitions import partition_of
from alb_reconcile.kinds.grants import Grant, Scope
from alb_reconcile.kinds.instance.application.user_data import Application
from alb_reconcile.kinds.secret_versions import READ


def role_statements(
    region: str, *, bucket: str, prefix: str, secrets: Iterable[str], log_group: str, account: str = "*"
) -> list[dict[str, Any]]:
    """The statements of the role's policy. All versions of an artifact have the same prefix, so a deployment doesn't change the policy."""
    partition = partition_of(region)
    start = f"arn:{partition}"
    found = [_allow(["s3:GetObject", "s3:GetObjectVersion"], [f"{start}:s3:::{bucket}/{prefix}"])]
    names = sorted({name.partition("#")[0] for name in secrets})
    own = f"{region or '*'}:{account}"
    parameters = [name.removeprefix("ssm:").removeprefix("/") for name in names if name.startswith("ssm:")]
    if parameters:
        found.append(_allow(["ssm:GetParameter"], [f"{start}:ssm:{own}:parameter/{name}" for name in parameters]))
    stored = [name.removeprefix("secretsmanager:") for name in names if name.startswith("secretsmanager:")]
    if stored:  # Secrets Manager adds six characters
        arns = [f"{start}:secretsmanager:{own}:secret:{name}-??????" for name in stored]
        found.append(_allow(["secretsmanager:GetSecretValue"], arns))
    if log_group:
        actions = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
        found.append(_allow(actions, [f"{start}:logs:{own}:log-group:{log_group}:*"]))
    return found


def _allow(actions: list[str], resources: list[str]) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": actions, "Resource": resources}


def statements_of(app: Application, account: str = "*") -> list[dict[str, Any]]:
    """The statements that the role of an application's instances needs."""
    return role_statements(
        app.region,
        bucket=app.bucket,
        prefix=app.prefix,
        secrets=app.secrets.values(),
        log_group=app.log_group,
        account=account,
    )


def version_grants(app: Application, scope: Scope) -> Iterator[Grant]:
    """The permissions to look up versions. They show neither an artifact nor a secret."""
    yield Grant(("s3:ListBucketVersions",), (scope.s3(app.bucket),))
    for place in app.secrets.values():
        source, _, name = place.partition("#")[0].partition(":")
        if source == "ssm":
            yield Grant(READ[:1])
        else:
            yield Grant(READ[1:], (scope.arn("secretsmanager", f"secret:{name}-??????"),))
