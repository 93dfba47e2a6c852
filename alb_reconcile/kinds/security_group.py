"""Security groups without their rules (EC2 CreateSecurityGroup, DeleteSecurityGroup)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from alb_reconcile.kind import Kind
from alb_reconcile.values import Ref


@dataclass(frozen=True, kw_only=True)
class SecurityGroup(Kind):
    """A security group; its rules are a resource apart, so that two groups can name each other."""

    kind: ClassVar[str] = "security_group"
    replaced_on: ClassVar[frozenset[str]] = frozenset({"vpc", "name", "description"})

    vpc: Ref
    name: str | None = None
    description: str | None = None
