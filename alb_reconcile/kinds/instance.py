"""EC2 instances (RunInstances, ModifyInstanceAttribute, StopInstances, StartInstances, TerminateInstances)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from alb_reconcile.kind import Kind
from alb_reconcile.values import Ref, digest


@dataclass(frozen=True)
class UserData:
    """What an instance runs at its first boot. It may hold secrets: only the digest is ever compared or shown."""

    digest: str
    content: bytes | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, content: bytes) -> UserData:
        """User data with its content."""
        return cls(digest(content.hex(), 16), content)

    def __str__(self) -> str:
        return f"sha256:{self.digest}"


@dataclass(frozen=True, kw_only=True)
class Instance(Kind):
    """An instance. `subnets` are those that it may be in; observed, the one that it is in."""

    kind: ClassVar[str] = "instance"
    replaced_on: ClassVar[frozenset[str]] = frozenset(
        {"image_id", "instance_type", "subnets", "key_name", "root_volume", "user_data"}
    )

    image_id: str
    instance_type: str
    subnets: tuple[Ref, ...]
    security_groups: tuple[Ref, ...] | None = None
    key_name: str | None = None
    iam_instance_profile: str | None = None
    root_volume: Mapping[str, Any] | None = None
    metadata_options: Mapping[str, Any] | None = None
    user_data: UserData | None = None
    state: str | None = None
