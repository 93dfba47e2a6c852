"""Application Load Balancers (ELBv2 CreateLoadBalancer, SetSubnets, SetSecurityGroups, DeleteLoadBalancer)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from alb_reconcile.kind import Kind
from alb_reconcile.values import Ref


@dataclass(frozen=True, kw_only=True)
class LoadBalancer(Kind):
    """A load balancer without its listeners."""

    kind: ClassVar[str] = "load_balancer"
    replaced_on: ClassVar[frozenset[str]] = frozenset({"scheme", "name"})

    subnets: tuple[Ref, ...]
    scheme: str | None = None
    security_groups: tuple[Ref, ...] | None = None
    attributes: Mapping[str, str] | None = None
    name: str | None = None
