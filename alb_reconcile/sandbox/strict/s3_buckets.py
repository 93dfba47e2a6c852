"""Corrects new buckets that moto makes."""

import functools
import re
from collections.abc import Callable
from html import unescape
from typing import Any, Final

from moto.s3.models import PublicAccessBlock, s3_backends
from moto.s3.responses import S3Response

_TAG: Final = re.compile(r"<Tag>\s*<Key>(.*?)</Key>\s*<Value>(.*?)</Value>\s*</Tag>", re.DOTALL)

_ID: Final = re.compile(r"<ID>(.*?)</ID>", re.DOTALL)
_DOUBLE: Final = "<Error><Code>InvalidArgument</Code><Message>Rule ID must be unique. Found same ID for more than one rule</Message></Error>"


def complete(original: Callable[..., Any]) -> Callable[..., Any]:
    """CreateBucket: takes tags (CreateBucketConfiguration, 'Tags'; moto drops them). Amazon S3 User Guide, 'Blocking public access to
    your Amazon S3 storage': 'By default, new buckets, access points, and objects don't allow public access' (moto: no block).
    PutBucketPolicy: 'HTTP/1.1 200' with an empty body (moto: the word True). LifecycleRule, ID: 'Unique identifier for the rule' (moto
    accepts two rules with the same ID)."""

    @functools.wraps(original)
    def respond(response: Any, request: Any, bucket_name: str, querystring: dict[str, Any]) -> Any:
        if "lifecycle" in querystring:
            names = _ID.findall(_text(response.body))
            if len(names) > len(set(names)):
                return 400, {}, _DOUBLE
        backend = s3_backends[response.current_account]["aws"]
        known = bucket_name in backend.buckets
        answer = original(response, request, bucket_name, querystring)
        if not known and bucket_name in backend.buckets:
            bucket = backend.buckets[bucket_name]
            bucket.public_access_block = PublicAccessBlock("true", "true", "true", "true")
            backend.tagger.tag_resource(bucket.arn, tags_in(response.body))
        return (204, {}, "") if "policy" in querystring and answer == "True" else answer

    return respond


def exact(original: Callable[[Any], dict[str, str]]) -> Callable[[Any], dict[str, str]]:
    """PutBucketTagging: stores tags unchanged (moto strips the spaces around them)."""

    @functools.wraps(original)
    def read(response: Any) -> dict[str, str]:
        original(response)  # refuses the tags that S3 refuses
        return {tag["Key"]: tag["Value"] for tag in tags_in(response.body)}

    return read


def tags_in(body: Any) -> list[dict[str, str]]:
    return [{"Key": unescape(found[1]), "Value": unescape(found[2])} for found in _TAG.finditer(_text(body))]


def _text(body: Any) -> str:
    return body.decode() if isinstance(body, bytes) else str(body or "")


def patches() -> list[tuple[Any, str, Any]]:
    return [
        (S3Response, "_bucket_response_put", complete(S3Response._bucket_response_put)),
        (S3Response, "_bucket_tagging_from_body", exact(S3Response._bucket_tagging_from_body)),
    ]
