"""Looks up the versions of an application's artifact and secrets (S3 ListObjectVersions; SSM DescribeParameters; Secrets Manager DescribeSecret)."""

from alb_reconcile.aws.client import Aws
from alb_reconcile.kinds.instance.application.user_data import ETAG
from alb_reconcile.kinds.secret_versions import current_version, objection
from alb_reconcile.model.actions import Secret
from alb_reconcile.model.errors import AwsError


async def read_version(aws: Aws, place: str) -> tuple[str, str]:
    """The newest version at a place (`s3://…`, `ssm:…`, `secretsmanager:…`); or why there is none. Raises AwsError."""
    if place.startswith("s3://"):
        return await _artifact(aws, place)
    source, _, rest = place.partition(":")
    name, _, key = rest.partition("#")
    secret = Secret(source=source, name=name, json_key=key)
    if why := await objection(aws, secret):
        return "", why
    return await current_version(aws, secret), ""


async def _artifact(aws: Aws, place: str) -> tuple[str, str]:
    """A bucket without versions has the version "null" of everything, so that the object's entity tag is taken instead."""
    bucket, _, key = place.removeprefix("s3://").partition("/")
    upload = f"upload it (aws s3 cp FILE {place}, for the sandbox alb-reconcile sandbox put FILE {place}), or give a version that is there"
    try:
        answer = await aws.call("s3", "list_object_versions", Bucket=bucket, Prefix=key, MaxKeys=10)
    except AwsError as error:
        if error.code == "NoSuchBucket":
            return "", f"there is no bucket {bucket}; make it, or correct its name"
        if "AccessDenied" in error.code:
            return "", f"these credentials may not look at the versions in {bucket}; allow them s3:ListBucketVersions"
        raise
    rows = [row for row in answer.get("Versions") or () if row["Key"] == key and row.get("IsLatest")]
    if not rows:
        return "", f"there is no {place}; {upload}"
    version = str(rows[0].get("VersionId") or "null")
    return (ETAG + str(rows[0]["ETag"]) if version == "null" else version), ""
