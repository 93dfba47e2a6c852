"""The stack's lock around a run."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from alb_reconcile.locks import StackLock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from alb_reconcile.aws import Aws
    from alb_reconcile.converge import Target

_T = TypeVar("_T")


@asynccontextmanager
async def hold(
    aws: Aws,
    target: Target,
    command: str,
    timeout: float,
    look: Callable[[], Awaitable[_T]],
    say: Callable[[str], None],
) -> AsyncIterator[_T]:
    """Hold the stack's lock; gives what `look` read under it.

    It is read before the lock is taken, which needs the account that AWS tells meanwhile; where another run has held
    the lock since, it is read again. Raises HeldError if another run holds it for longer than `timeout` seconds, and
    what `look` raises.
    """
    began = time.time()
    found = await look()
    lock = StackLock(await aws.account(), target.region, target.stack, aws.endpoint)
    await lock.acquire(command, timeout, aws.sleep, say)
    try:
        yield await look() if lock.was_used_since(began) else found
    finally:
        lock.release()
