"""Reads and writes the object in S3 that is a lease: writes only over what was read."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.endpoint import without_passwords
from alb_reconcile.aws.partitions import partition_of
from alb_reconcile.locking.lease_record import LeaseRecord, ObservedLease
from alb_reconcile.model.advice import advised_aws
from alb_reconcile.model.errors import AwsError, LeaseError
from alb_reconcile.model.text import printable

_MOVED: Final = ("PreconditionFailed", "412", "NoSuchKey", "404")
_BUSY: Final = ("ConditionalRequestConflict", "409")
_DENIED: Final = ("AccessDenied", "403", "AllAccessDisabled", "AccountProblem")
_ELSEWHERE: Final = ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301")
_UNABLE: Final = ("NotImplemented", "501", "MethodNotAllowed")
_TRIES: Final = 5
_UNFIT: Final = b"This endpoint answers conditional writes as if they had no condition; it can't keep leases.\n"


class MovedError(Exception):
    """The object was written or deleted by another run since it was read."""


class UnansweredError(LeaseError):
    """What came of a call isn't known: S3 may have carried it out."""


@dataclass(frozen=True)
class LeaseLocation:
    """The place of a lease in S3."""

    bucket: str
    key: str
    region: str
    owner: str = ""
    """The account that the bucket must belong to; empty for any."""

    @classmethod
    def of(cls, lease: str, account: str, region: str, stack: str) -> LeaseLocation:
        """The location of a stack's lease, from the spec's `s3://bucket/prefix?owner=account`."""
        place, _, owner = lease.removeprefix("s3://").partition("?owner=")
        bucket, _, prefix = place.rstrip("/").partition("/")
        return cls(bucket, f"{prefix}{'/' * bool(prefix)}{account}-{region}-{stack}.json", region, owner)

    @property
    def params(self) -> dict[str, str]:
        """The parameters of both calls that say the place."""
        owner = {"ExpectedBucketOwner": self.owner} if self.owner else {}
        return {"Bucket": self.bucket, "Key": self.key, **owner}

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    @property
    def arn(self) -> str:
        return f"arn:{partition_of(self.region)}:s3:::{self.bucket}/{self.key}"


class LeaseStore:
    """Reads and writes the object of one lease. All calls end within a bounded time from their turn, and raise InterruptedRun as Aws.aside
    does."""

    def __init__(self, aws: Aws, location: LeaseLocation) -> None:
        self.aws = aws
        self.location = location
        self.urgent = False
        """Whether the lease is this run's, so that its calls don't stand in line."""

    async def read(self) -> ObservedLease | None:
        """The lease (S3 GetObject); None if there is none. Raises LeaseError."""
        try:
            answer = await self.aws.aside("s3", "get_object", urgent=self.urgent, **self.location.params)
        except AwsError as error:
            if error.code in ("NoSuchKey", "404"):
                return None
            raise self._explain(error, "GetObject") from None
        try:
            record = LeaseRecord.parse(answer["Body"])
        except ValueError as error:
            raise LeaseError(
                f"{self.location.url} isn't a lease that this program can read: {error}; it was left alone, and nothing was "
                "changed. Move it away, or point lease to another place"
            ) from None
        return ObservedLease(record, str(answer["ETag"]), answer.get("LastModified"), _date(answer))

    async def write(self, record: LeaseRecord, etag: str | None) -> str:
        """Write over the object with that ETag, or (None) where there is none (S3 PutObject). Returns the new ETag.

        Raises MovedError, UnansweredError, LeaseError.
        """
        return await self._put(record.to_bytes(), {"IfMatch": etag} if etag else {"IfNoneMatch": "*"})

    async def is_strict(self) -> bool:
        """Whether S3 refuses writes with a condition that doesn't hold; asked when the object has just been made.

        If S3 doesn't refuse them, the object that then replaces the lease tells later runs. Raises LeaseError.
        """
        for condition in ({"IfNoneMatch": "*"}, {"IfMatch": '"00000000000000000000000000000000"'}):
            try:
                await self._put(_UNFIT, condition)
            except MovedError:
                continue
            return False
        return True

    async def _put(self, body: bytes, condition: dict[str, str]) -> str:
        for number in range(_TRIES):
            try:
                answer = await self.aws.aside(
                    "s3", "put_object", urgent=self.urgent, Body=body, ContentType="application/json", **condition,
                    **self.location.params,
                )  # fmt: skip
            except AwsError as error:
                if error.code in _MOVED:
                    raise MovedError from None
                if error.code not in _BUSY or number == _TRIES - 1:
                    raise self._explain(error, "PutObject") from None
                await asyncio.sleep(0.2 * 2**number)
            else:
                return str(answer["ETag"])
        raise AssertionError("unreachable: the last try returns or raises")

    def _explain(self, error: AwsError, action: str) -> LeaseError:
        location = self.location
        if error.code == "NoSuchBucket":
            create = advised_aws(("s3", "mb", f"s3://{location.bucket}"), without_passwords(self.aws.endpoint))
            return LeaseError(
                f"the lease's bucket {location.bucket} doesn't exist; create it ({create}), or correct lease"
            )
        what = f"the lease {location.url} can't be {'read' if action == 'GetObject' else 'written'}"
        if error.code in _DENIED:
            missing = " (and s3:ListBucket, if there is no such object yet)" if action == "GetObject" else ""
            missing += f", and see that the bucket belongs to account {location.owner}" if location.owner else ""
            return LeaseError(
                f"{what}: {printable(error.message[:300]).rstrip('.')}; allow the IAM action s3:{action} on {location.arn}{missing}"
            )
        if error.code in _ELSEWHERE:
            return LeaseError(
                f"the lease's bucket {location.bucket} is in another region, and S3 doesn't say in which; "
                "use one in the stack's region"
            )
        if error.code in _UNABLE:
            return self.unable()
        kind = UnansweredError if error.ambiguous else LeaseError
        return kind(f"{what}: {printable(str(error))}")

    def unable(self) -> LeaseError:
        """The error that the endpoint doesn't do what a lease needs."""
        return LeaseError(
            f"the lease {self.location.url} can't be kept: its endpoint doesn't support conditional writes (If-None-Match, If-Match), "
            "without which a lease keeps nobody out; use a bucket in AWS's S3"
        )


def _date(answer: dict[str, Any]) -> datetime | None:
    """S3's own time at its answer; None if the answer doesn't tell it, or without its zone (-0000)."""
    text = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    try:
        found = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo is not None else None
