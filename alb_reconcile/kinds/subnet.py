"""Subnets (EC2 CreateSubnet, ModifySubnetAttribute, DeleteSubnet)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from alb_reconcile.kind import Kind
from alb_reconcile.values import Ref


@dataclass(frozen=True, kw_only=True)
class Subnet(Kind):
    """A part of a VPC in one availability zone."""

    kind: ClassVar[str] = "subnet"
    replaced_on: ClassVar[frozenset[str]] = frozenset({"vpc", "cidr_block", "availability_zone"})

    vpc: Ref
    cidr_block: str
    availability_zone: str
    map_public_ip_on_launch: bool | None = None
