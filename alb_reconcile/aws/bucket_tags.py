"""Reads and writes the tags of S3 buckets, which S3 sets only all at once (GetBucketTagging, PutBucketTagging)."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from alb_reconcile.aws.client import Aws
from alb_reconcile.model import tags
from alb_reconcile.model.errors import AwsError, ignoring


async def read_bucket_tags(aws: Aws, name: str) -> dict[str, str] | None:
    """A bucket's tags; None where this account has no such bucket, or these credentials may not say so."""
    with ignoring("AccessDenied"):  # also for another account's bucket
        return await read_tags_if_allowed(aws, name)
    return None


async def read_tags_if_allowed(aws: Aws, name: str) -> dict[str, str] | None:
    """A bucket's tags. Raises AwsError (AccessDenied) where these credentials may not read them, or the bucket is another account's."""
    try:
        answer = await aws.call("s3", "get_bucket_tagging", **await owned(aws, name))
    except AwsError as error:
        if error.code == "NoSuchTagSet":
            return {}
        if error.code == "NoSuchBucket":
            return None
        raise
    return tags.from_list(answer["TagSet"])


async def list_buckets(aws: Aws, stack: str) -> list[str]:
    """The account's buckets with names that `stack` may have derived; or any stack, if `stack` is empty."""
    params: dict[str, Any] = {"Prefix": f"{stack}-"} if stack else {}
    answer = await aws.call("s3", "list_buckets", **params)
    return [item["Name"] for item in answer["Buckets"] if is_derived(item["Name"], stack)]


def is_derived(name: str, stack: str) -> bool:
    """Whether a stack may have derived a bucket's name; any stack where `stack` is empty."""
    return bool(re.fullmatch((re.escape(f"{stack}-") if stack else "") + ".*-[0-9a-f]{8}", name))


async def list_every_bucket(aws: Aws) -> list[str]:
    """The account's buckets in the region."""
    params: dict[str, Any] = {"BucketRegion": aws.region} if aws.region else {}
    answer = await aws.call("s3", "list_buckets", **params)
    return [item["Name"] for item in answer["Buckets"]]


async def change_bucket_tags(aws: Aws, name: str, write: Mapping[str, str], remove: Iterable[str] = ()) -> None:
    """Write and remove tags; the others stay as they are."""
    found = await read_bucket_tags(aws, name)
    if found is None:
        return
    kept = {key: value for key, value in found.items() if key not in set(remove) and not key.startswith("aws:")}
    tagging = {"TagSet": tags.to_list({**kept, **write})}
    await aws.call("s3", "put_bucket_tagging", Tagging=tagging, **await owned(aws, name))


async def owned(aws: Aws, name: str) -> dict[str, Any]:
    """A bucket's parameters in calls, with the account as owner: another account may have a bucket of the name by now."""
    return {"Bucket": name, "ExpectedBucketOwner": await aws.account()}
