"""Registrations of instances in target groups (ELBv2 RegisterTargets, DeregisterTargets)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from alb_reconcile.kind import Kind
from alb_reconcile.values import Ref


@dataclass(frozen=True, kw_only=True)
class Registration(Kind):
    """One target in one group on one port."""

    kind: ClassVar[str] = "registration"
    replaced_on: ClassVar[frozenset[str]] = frozenset({"target_group", "target", "port"})

    target_group: Ref
    target: Ref
    port: int
