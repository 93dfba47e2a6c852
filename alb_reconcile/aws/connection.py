"""How AWS is reached, and whether it answers at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from alb_reconcile.aws.transport import BotoTransport
from alb_reconcile.model.errors import UnreachableError

if TYPE_CHECKING:
    from collections.abc import Awaitable


@dataclass(frozen=True)
class Link:
    """How AWS is reached, how much faster its time runs there, and who is told of each call."""

    transport: BotoTransport
    speed: float = 1.0
    on_call: Callable[[str], None] | None = None


async def until_answered(transport: BotoTransport, main: Awaitable[Any]) -> Any:
    """The result of `main`. Raises UnreachableError if AWS answers nothing at all."""
    task = asyncio.ensure_future(main)
    done, _ = await asyncio.wait({task}, timeout=SILENCE)
    if not done and not transport.answered:
        task.cancel()
        await asyncio.wait({task})
        raise UnreachableError(
            f"AWS didn't answer within {SILENCE:.0f} s; check the network, the region and the endpoint"
        )
    return await task


SILENCE: Final = 25.0
"""Seconds without a single answer after which AWS counts as unreachable; by the wall's clock, as HTTP time is."""
