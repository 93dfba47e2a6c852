"""Holds a stack's locks around a run: the host's lock, and the lease against runs of other hosts."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.guard import Ended
from alb_reconcile.locking.host import StackLock
from alb_reconcile.locking.lease import Lease
from alb_reconcile.locking.store import LeaseLocation, LeaseStore
from alb_reconcile.model.clock import Clock, Moment
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.errors import HeldError, LeaseLostError, PlanError, ReconcileError, RefusedError

_T = TypeVar("_T")


@asynccontextmanager
async def hold(
    aws: Aws,
    target: DesiredStack,
    command: str,
    timeout: float,
    look: Callable[[], Awaitable[_T]],
    say: Callable[[str], None],
) -> AsyncIterator[_T]:
    """Hold the stack, as `held` does, and give what `look` read meanwhile.

    Without a lease, `look` reads before the lock is taken, which needs the account that AWS tells meanwhile. If another run has held the
    lock since, `look` reads again, also if it has refused a plan, since that run's work was only half done. Raises what `held` and `look`
    raise.
    """
    if target.lease:
        async with held(aws, target, command, timeout, say):
            yield await look()
        return
    began = Clock().now()
    refusal: ReconcileError | None = None
    try:
        found = await look()
    except (PlanError, RefusedError) as error:
        refusal = error
    async with held(aws, target, command, timeout, say) as was_used_since:
        if was_used_since(began):
            found, refusal = await look(), None
        if refusal:
            raise refusal
        yield found


@asynccontextmanager
async def held(
    aws: Aws,
    target: DesiredStack,
    command: str,
    timeout: float,
    say: Callable[[str], None],
    *,
    say_waiting: Callable[[str], None] | None = None,
) -> AsyncIterator[Callable[[Moment], bool]]:
    """Hold the stack's lock on this host, and then its lease, if it has one.

    Gives a function that says whether another run may have held them after a moment. With a lease it always says yes, since runs of other
    hosts aren't known. `say_waiting` is told, instead of `say`, which run is waited for.

    Raises HeldError if another run holds one of them for longer than `timeout` seconds, or took the lease over before anything was changed;
    LeaseError; LeaseLostError.
    """
    now = asyncio.get_running_loop().time
    deadline = now() + timeout
    say_waiting = say_waiting or say
    async with _on_host(aws, target, command, timeout, say_waiting) as lock:
        if not target.lease:
            yield lock.was_used_since
            return
        store = LeaseStore(aws, LeaseLocation.of(target.lease, await aws.account(), target.region, target.stack))
        stack = ("--stack", target.stack), ("--region", target.region), ("--lease", target.lease)
        lease = Lease(aws, store, lock.title, command, say, named=(target.spec_file,) if target.spec_file else stack)
        try:
            await lease.acquire(max(0.0, deadline - now()), say_waiting)
            yield lambda _: True
        except LeaseLostError as lost:
            if lost.to_another and not aws.changed:
                raise HeldError(f"{lost.why}; nothing was changed. Run it again") from None
            raise
        finally:
            aws.guard = Ended()  # calls that are still under way mustn't change anything from now on
            await lease.release()


@asynccontextmanager
async def _on_host(
    aws: Aws, target: DesiredStack, command: str, timeout: float, say: Callable[[str], None]
) -> AsyncIterator[StackLock]:
    lock = StackLock(await aws.account(), target.region, target.stack, aws.endpoint)
    await lock.acquire(command, timeout, aws.sleep, say)
    try:
        yield lock
    finally:
        lock.release()
