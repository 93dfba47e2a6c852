"""The kind `log_group` (CloudWatch Logs CreateLogGroup, PutRetentionPolicy, AssociateKmsKey, DeleteLogGroup)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from alb_reconcile.kinds.plain import PlainKind, PlainProperties


@dataclass(frozen=True, kw_only=True)
class LogGroup(PlainProperties):
    """A log group."""

    kind = "log_group"
    service = "logs"

    retention_in_days: int | None = None
    """Days for which events are kept; 0 where events never expire."""
    kms_key_id: str | None = None
    """Empty where CloudWatch Logs encrypts with a key of its own."""


class LogGroupKind(PlainKind[LogGroup]):
    """Drives log groups."""

    properties = LogGroup
    noun = "a log group"
    position = 77
    section = "log_groups"
    arn_type = "log-group"
    missing = ("ResourceNotFoundException",)
    taken = ("ResourceAlreadyExistsException",)
    prefix = "logGroupNamePrefix"
    unset: ClassVar[Mapping[str, str]] = {
        "retention_in_days": "DeleteRetentionPolicy",
        "kms_key_id": "DisassociateKmsKey",
    }
    loses = "all of its logs"
    arn_ends = ("", ":*")


KIND: Final = LogGroupKind()
