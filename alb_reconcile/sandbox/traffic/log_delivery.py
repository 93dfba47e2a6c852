"""Puts logs into the local AWS's S3 and CloudWatch Logs."""

from collections.abc import Sequence
from typing import Final

from moto.logs.models import logs_backends
from moto.s3.models import s3_backends

from alb_reconcile.sandbox.metadata import find_instance, session_of
from alb_reconcile.sandbox.strict import StrictAws
from alb_reconcile.sandbox.strict.permissions import find_refusal, log_stream_arn
from alb_reconcile.sandbox.traffic.log_events import Event

_LONGEST: Final = 262_144
"""The most characters of an event; CloudWatch Logs takes up to 1 MB."""


def put_object(account: str, bucket: str, key: str, content: bytes) -> None:
    """Put an object into S3. If the bucket no longer exists, the object is lost, as on AWS."""
    backend = s3_backends[account]["aws"]
    if bucket in backend.buckets:
        backend.put_object(bucket, key, content)


def put_events(strict: StrictAws, instance_id: str, group: str, events: Sequence[Event]) -> str:
    """Put lines into a log group, in the stream that is named after the instance, with the permissions of the instance's role. Returns why
    AWS refuses that; empty if it doesn't."""
    with strict._lock:  # no request is processed meanwhile
        found = find_instance(instance_id)
        session = session_of(found[0], instance_id) if found else None
        if found is None or session is None:
            return "the instance has no role, so it can't write to CloudWatch Logs"
        world = found[0]
        known = logs_backends[world.account][world.region].groups.get(group)
        needed = ["logs:PutLogEvents"]
        if known is None or instance_id not in known.streams:
            needed.insert(0, "logs:CreateLogStream")
        arn = log_stream_arn(world.region, world.account, group, instance_id)
        for action in needed:
            if why := find_refusal(session, action, arn, strict.clock(), strict.timing.permissions_known):
                return f"AccessDeniedException: {why}"
        if known is None:
            return f"ResourceNotFoundException: the log group {group} does not exist"
        if instance_id not in known.streams:
            known.create_log_stream(instance_id)
        known.put_log_events(instance_id, [{"timestamp": at, "message": text[:_LONGEST]} for at, text in events])
        return ""
