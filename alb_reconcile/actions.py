"""What a listener or a rule does with a request: the value that both kinds share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from alb_reconcile.values import Ref


class Forward(NamedTuple):
    """One target group's part of a forward."""

    target_group: Ref
    weight: int = 1


@dataclass(frozen=True, kw_only=True)
class Action:
    """A forward, a redirect or a fixed response; exactly one of them.

    `redirect` and `fixed_response` hold (key, value) pairs by AWS's names in snake_case.
    """

    forward: tuple[Forward, ...] = ()
    stickiness_seconds: int | None = None
    redirect: tuple[tuple[str, str], ...] = ()
    fixed_response: tuple[tuple[str, str], ...] = ()
