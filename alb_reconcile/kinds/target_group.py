"""Target groups (ELBv2 CreateTargetGroup, ModifyTargetGroup, ModifyTargetGroupAttributes, DeleteTargetGroup)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from alb_reconcile.kind import Kind
from alb_reconcile.values import Ref


@dataclass(frozen=True, kw_only=True)
class TargetGroup(Kind):
    """A target group of type `instance`."""

    kind: ClassVar[str] = "target_group"
    replaced_on: ClassVar[frozenset[str]] = frozenset({"vpc", "protocol", "port", "protocol_version", "name"})

    vpc: Ref
    protocol: str
    port: int
    protocol_version: str | None = None
    health_check: Mapping[str, Any] | None = None
    attributes: Mapping[str, str] | None = None
    name: str | None = None
