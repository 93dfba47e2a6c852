"""Corrects moto's S3 where a request has a condition."""

import functools
import threading
from collections.abc import Callable
from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.s3.exceptions import S3ClientError
from moto.s3.models import s3_backends
from moto.s3.responses import S3Response


def one_at_a_time(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """PutObject: S3 checks a condition and stores the object in one step (Amazon S3 User Guide, "How to prevent object
    overwrites with conditional writes": of several writers one succeeds); in moto, another thread may write in between.
    If-None-Match takes `*` only (API reference, PutObject); moto ignores anything else.
    """
    lock = threading.Lock()

    @functools.wraps(original)
    def put_object(response: Any) -> Any:
        if response.headers.get("If-None-Match", "*") != "*":
            raise S3ClientError("NotImplemented", "A header you provided implies functionality that is not implemented")
        with lock:
            return original(response)

    return put_object


def of_its_owner(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Amazon S3 User Guide, "Verifying bucket ownership with bucket owner condition": AccessDenied (403) if the bucket
    isn't the expected account's (moto doesn't check)."""

    @functools.wraps(original)
    def respond(response: Any) -> Any:
        expected = response.headers.get("x-amz-expected-bucket-owner")
        if expected and expected != s3_backends.bucket_accounts.get(response.bucket_name, ("", DEFAULT_ACCOUNT_ID))[1]:
            raise S3ClientError("AccessDenied", "Access Denied")
        return original(response)

    return respond


def patches() -> list[tuple[Any, str, Any]]:
    return [
        (S3Response, "put_object", of_its_owner(one_at_a_time(S3Response.put_object))),
        (S3Response, "get_object", of_its_owner(S3Response.get_object)),
    ]
