"""An S3 with one bucket on a clock of the test's own: conditional writes as AWS documents them, and mishaps on order."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

from alb_reconcile.model.errors import AwsError
from alb_reconcile.sandbox.strict import VirtualClock

if TYPE_CHECKING:
    from collections.abc import Mapping


OWNER = "123456789012"
START = datetime(2026, 11, 24, 3, tzinfo=UTC)


@dataclass
class FakeS3:
    """A transport (alb_reconcile.aws.client.Transport) that knows S3's GetObject and PutObject, and passes on nothing else."""

    clock: VirtualClock
    objects: dict[str, tuple[bytes, datetime]] = field(default_factory=dict)
    mishaps: list[Callable[[str], None]] = field(default_factory=list)
    """Each is called before one request with its operation, first come first served; it may raise."""
    lost: list[str] = field(default_factory=list)
    """Operations whose next answer is lost after they took effect, so that botocore repeats them."""
    log: list[str] = field(default_factory=list)
    obeys: tuple[str, ...] = ("IfNoneMatch", "IfMatch")

    def __call__(
        self, service: str, operation: str, params: Mapping[str, Any], /, *, once: bool = False
    ) -> dict[str, Any]:
        self.log.append(operation)
        if service != "s3":
            return {"Account": "123456789012"}
        if self.mishaps:
            self.mishaps.pop(0)(operation)
        if params.get("ExpectedBucketOwner", OWNER) != OWNER:
            raise refusal(operation, "AccessDenied")
        answer: dict[str, Any] = getattr(self, f"_{operation}")(params)
        if operation in self.lost:
            self.lost.remove(operation)
            return self(service, operation, params, once=once)
        return answer

    @property
    def now(self) -> datetime:
        return (START + timedelta(seconds=self.clock.now())).replace(microsecond=0)

    def put(self, key: str, body: bytes) -> str:
        self.objects[key] = (body, self.now)
        return _etag(body)

    def _get_object(self, params: Mapping[str, Any]) -> dict[str, Any]:
        if params["Key"] not in self.objects:
            raise refusal("get_object", "NoSuchKey")
        body, modified = self.objects[params["Key"]]
        return {
            "Body": body,
            "ETag": _etag(body),
            "LastModified": modified,
            "ResponseMetadata": {"HTTPHeaders": {"date": format_datetime(self.now, usegmt=True)}},
        }

    def _put_object(self, params: Mapping[str, Any]) -> dict[str, Any]:
        key, there = params["Key"], params["Key"] in self.objects
        if "IfNoneMatch" in params and "IfNoneMatch" in self.obeys:
            assert params["IfNoneMatch"] == "*"
            if there:
                raise refusal("put_object", "PreconditionFailed")
        if "IfMatch" in params and "IfMatch" in self.obeys:
            if not there:
                raise refusal("put_object", "NoSuchKey")
            if params["IfMatch"] != _etag(self.objects[key][0]):
                raise refusal("put_object", "PreconditionFailed")
        return {"ETag": self.put(key, params["Body"])}


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


def refusal(operation: str, code: str, *, ambiguous: bool = False) -> AwsError:
    """An error as the transport raises it."""
    return AwsError("s3", operation, code, f"{code} it is", "REQ1", ambiguous=ambiguous)


def fail(code: str, *, ambiguous: bool = False) -> Callable[[str], None]:
    """A mishap: the request is answered with that code, and has no effect."""

    def mishap(operation: str) -> None:
        raise refusal(operation, code, ambiguous=ambiguous)

    return mishap


UNREACHABLE = fail("EndpointConnectionError", ambiguous=True)
"""A mishap: nobody answers, and nobody knows whether it had an effect."""


def passes(_: str) -> None:
    """No mishap: one request that goes through."""
