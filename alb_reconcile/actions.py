"""What a listener or a rule does with a request: the value that both kinds share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from alb_reconcile.values import Ref

if TYPE_CHECKING:
    from collections.abc import Mapping


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


_LEFT_OUT: Final = {
    "protocol": "#{protocol}",
    "port": "#{port}",
    "host": "#{host}",
    "path": "/#{path}",
    "query": "#{query}",
    "content_type": "text/plain",
    "message_body": "",
}
"""What AWS fills in for the parts of a redirect or fixed response that were left out."""


def canonical(config: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    """A redirect or fixed response as an `Action` holds it: without what says no more than leaving it out."""
    return tuple(
        sorted(
            (key, str(value))
            for key, value in config.items()
            if value is not None and _LEFT_OUT.get(key) != str(value)
        )
    )
