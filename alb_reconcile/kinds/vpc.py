"""VPCs (EC2 CreateVpc, ModifyVpcAttribute, DeleteVpc)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from alb_reconcile.kind import Kind


@dataclass(frozen=True, kw_only=True)
class Vpc(Kind):
    """A virtual network."""

    kind: ClassVar[str] = "vpc"
    replaced_on: ClassVar[frozenset[str]] = frozenset({"cidr_block"})

    cidr_block: str
    enable_dns_support: bool | None = None
    enable_dns_hostnames: bool | None = None
