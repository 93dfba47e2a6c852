"""The rules of a security group (EC2 Authorize-, RevokeSecurityGroupIngress and -Egress)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from alb_reconcile.kind import Kind
from alb_reconcile.values import Ref


class Permission(NamedTuple):
    """One rule. `source` is a CIDR range, a prefix list's id, a security group's id or its address."""

    protocol: str
    from_port: int
    to_port: int
    source: Ref
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class SecurityGroupRules(Kind):
    """Everything that a group lets in and out."""

    kind: ClassVar[str] = "security_group_rules"
    replaced_on: ClassVar[frozenset[str]] = frozenset({"security_group"})

    security_group: Ref
    ingress: tuple[Permission, ...] | None = None
    egress: tuple[Permission, ...] | None = None
