"""Listeners (ELBv2 CreateListener, ModifyListener, DeleteListener)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from alb_reconcile.actions import Action
from alb_reconcile.kind import Kind
from alb_reconcile.values import Ref


@dataclass(frozen=True, kw_only=True)
class Listener(Kind):
    """One port of a load balancer."""

    kind: ClassVar[str] = "listener"
    replaced_on: ClassVar[frozenset[str]] = frozenset({"load_balancer"})

    load_balancer: Ref
    protocol: str
    port: int
    ssl_policy: str | None = None
    certificate_arn: str | None = None
    default_action: Action
