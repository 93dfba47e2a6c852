"""Health as security groups let it be, for worlds in process."""

from __future__ import annotations

from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID

from alb_reconcile.sandbox.strict.world import World as Place
from alb_reconcile.sandbox.traffic.reach import find_shut_out
from tests.harness import REGION


def as_admitted(group: str, *_: Any) -> Any:
    """The health of targets that no security group lets the load balancer's checks reach."""
    return "unhealthy" if group in {item[0] for item in find_shut_out(Place(DEFAULT_ACCOUNT_ID, REGION))} else None
