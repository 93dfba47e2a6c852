"""Internet gateways (EC2 CreateInternetGateway, AttachInternetGateway and their reverse)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from alb_reconcile.kind import Kind
from alb_reconcile.values import Ref


@dataclass(frozen=True, kw_only=True)
class InternetGateway(Kind):
    """A VPC's way to the internet; attached to it."""

    kind: ClassVar[str] = "internet_gateway"
    replaced_on: ClassVar[frozenset[str]] = frozenset()

    vpc: Ref | None
