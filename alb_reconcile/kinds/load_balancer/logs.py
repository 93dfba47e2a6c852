"""Connects a load balancer's logs to buckets: the stack's own, or others', which have to let load balancers write there."""

import json
from collections.abc import Container, Iterator, Mapping
from typing import Any, Final

from alb_reconcile.aws.client import Aws
from alb_reconcile.kinds.base import Entry, Intent, Named
from alb_reconcile.kinds.load_balancer.log_delivery import bucket_arn, may_write, statement
from alb_reconcile.model import tags
from alb_reconcile.model.address import Address
from alb_reconcile.model.discovery import Finding
from alb_reconcile.model.errors import AwsError, ignoring
from alb_reconcile.model.resource import Properties

_LOGS: Final = ("access_logs", "connection_logs", "health_check_logs")
_S3: Final = ":s3:::"


def bucket_refs(attributes: Mapping[str, str], entries: Container[str]) -> dict[str, Any]:
    """A load balancer's attributes, with a reference instead of each bucket's name that is the name of an entry."""
    return {
        key: Address("log_bucket", value) if key.endswith(".s3.bucket") and value in entries else value
        for key, value in attributes.items()
    }


def named_buckets(attributes: Mapping[str, str] | None) -> list[str]:
    """The names of the buckets outside of the stack that logs go to."""
    given = (attributes or {}).items()
    return sorted(
        {str(value) for key, value in given if key.endswith(".s3.bucket") and value and isinstance(value, str)}
    )


def with_bucket_arns(
    attributes: Mapping[str, str] | None, wanted: Properties | None, region: str
) -> Mapping[str, str] | None:
    """Attributes as AWS has them, but with a bucket's ARN, the id of a reference, where the spec refers to a bucket of its own."""
    own = [key for key, value in (getattr(wanted, "attributes", None) or {}).items() if isinstance(value, Address)]
    if attributes is None or not own:
        return attributes
    return {**attributes, **{key: bucket_arn(attributes[key], region) for key in own if attributes.get(key)}}


def with_bucket_names(attributes: Mapping[str, str]) -> dict[str, str]:
    """Attributes as AWS takes them, with the names of buckets instead of their ARNs."""
    return {key: value.rpartition(":")[2] if _S3 in value else value for key, value in attributes.items()}


def buckets_in(attributes: Mapping[str, str]) -> set[str]:
    """The buckets that a load balancer with these attributes writes to."""
    keys = [f"{logs}.s3." for logs in _LOGS if attributes.get(f"{logs}.s3.enabled") == "true"]
    return {bucket for key in keys if (bucket := attributes.get(f"{key}bucket", ""))}


async def read_attributes(aws: Aws, load_balancer: str) -> dict[str, str]:
    """The attributes of a load balancer of any owner (DescribeLoadBalancerAttributes); none where the load balancer is gone."""
    with ignoring("*NotFound"):
        answer = await aws.call("elbv2", "describe_load_balancer_attributes", LoadBalancerArn=load_balancer)
        return tags.from_list(answer["Attributes"])
    return {}


def name_buckets(attributes: Entry, named: Named) -> Entry:
    """Attributes as an entry has them, with an entry's name instead of the name of the bucket that the entry describes."""
    found = dict(attributes)
    for key, bucket in attributes.items():
        arn = bucket_arn(str(bucket), named.region)
        if key.endswith(".s3.bucket") and (name := named.name_of(arn)) != arn:
            found[key] = name
    return found


async def check_logs(aws: Aws, item: Intent) -> list[Finding]:
    """What prevents logs that are to be switched on, or to go to another place; nothing where these credentials may not read it."""
    findings = []
    for key, bucket, prefix in _switched_on(item):
        text = await _objection(aws, bucket, prefix)
        if text:
            findings.append(Finding(item.desired, f"attributes.{key}", text))
    return findings


def _switched_on(item: Intent) -> Iterator[tuple[str, str, str]]:
    """Logs of a load balancer that a change switches on or redirects, to a bucket outside of the stack: attribute, bucket and prefix."""
    attributes = item.wanted.attributes or {}
    for logs in _LOGS:
        keys = [f"{logs}.s3.{key}" for key in ("enabled", "bucket", "prefix")]
        is_on, bucket, prefix = (attributes.get(key, "") for key in keys)
        is_changed = item.fields is None or any(f"attributes.{key}" in item.paths for key in keys)
        if is_changed and is_on == "true" and isinstance(bucket, str) and bucket and _S3 not in bucket:
            yield keys[1], bucket, prefix


async def _objection(aws: Aws, bucket: str, prefix: str) -> str:
    try:
        found = await aws.call("s3", "get_bucket_location", Bucket=bucket)
    except AwsError as error:
        way_out = "create it, or declare one under log_buckets"
        return f"there is no bucket {bucket}; {way_out}" if error.code == "NoSuchBucket" else ""
    region = {None: "us-east-1", "": "us-east-1", "EU": "eu-west-1"}.get(
        place := found.get("LocationConstraint"), place
    )
    if aws.region and region != aws.region:
        return (
            f"bucket {bucket} is in {region}, and logs go to a bucket in the load balancer's region; choose another one"
        )
    try:
        policy = str((await aws.call("s3", "get_bucket_policy", Bucket=bucket))["Policy"])
    except AwsError as error:
        if error.code != "NoSuchBucketPolicy":
            return ""
        policy = ""
    account = await aws.account()
    if may_write(policy, bucket, account, aws.region, prefix):
        return ""
    missing = json.dumps(statement(bucket, account, aws.region, prefix))
    return f"no statement in the policy of bucket {bucket} lets load balancers write logs there; add {missing}"
