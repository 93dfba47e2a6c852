"""Holds how AWS is reached (endpoint, credentials, pace), and checks whether AWS answers at all."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.outside import ask
from alb_reconcile.aws.throttle import Throttle
from alb_reconcile.aws.transport import BotoTransport
from alb_reconcile.model.errors import UnreachableError

_T = TypeVar("_T")

SILENCE: Final = 25.0
"""Seconds without any answer after which AWS counts as unreachable; on the wall clock, like time-outs of HTTP."""


@dataclass(frozen=True)
class Connection:
    """How AWS is reached, how many calls run at once, how much faster an emulator's time runs, what is called for each call, the pace.
    `began`: when the sandbox started with its present resources, in ISO 8601."""

    transport: BotoTransport
    max_workers: int
    speed: float = 1.0
    on_call: Callable[[str], None] | None = None
    sandbox: bool = False
    began: str = ""
    throttle: Throttle = field(default_factory=Throttle)

    def client(self) -> Aws:
        """A client that uses this connection. The caller has to close it."""
        return Aws(
            self.transport, max_workers=self.max_workers, speed=self.speed, on_call=self.on_call,
            endpoint=self.transport.endpoint, region=self.transport.region, throttle=self.throttle,
            outside=None if self.transport.endpoint else ask,  # what an emulator can reach isn't what AWS can
        )  # fmt: skip

    async def until_answered(self, main: Awaitable[_T]) -> _T:
        """The result of `main`. Raises UnreachableError if AWS answers nothing at all."""
        task = asyncio.ensure_future(main)
        done, _ = await asyncio.wait({task}, timeout=SILENCE)
        if not done and not self.transport.answered:
            task.cancel()
            await asyncio.wait({task})
            what = f"AWS didn't answer within {SILENCE:.0f} s"
            raise UnreachableError(f"{what}; check the network, the region and the endpoint")
        return await task
