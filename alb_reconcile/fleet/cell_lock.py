"""A lock and a lease for each cell of a fleet, and for a fleet's `apply`; only one run at a time has them. Stacks may have their own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from alb_reconcile.aws import timeouts
from alb_reconcile.aws.client import Aws
from alb_reconcile.fleet.cells import Fleet
from alb_reconcile.fleet.credentials import Credentials
from alb_reconcile.fleet.stop import Stop
from alb_reconcile.journal.log import tell
from alb_reconcile.locking import durations
from alb_reconcile.locking.hold import held
from alb_reconcile.model.desired_stack import DesiredStack

LONGEST: Final = int(durations.LEASE + durations.MARGIN)
"""Seconds for which a run has a cell after the lease was last renewed."""
Check = Callable[[], Awaitable[None]]
"""Called before a result is written. Raises LeaseLostError where another run may hold the cell or operation by now."""


@asynccontextmanager
async def hold(
    fleet: Fleet, what: str, region: str, credentials: Credentials, command: str, timeout: float, stop: Stop
) -> AsyncIterator[Check]:
    """Hold a cell, with its account as `what`, or with `apply` as `what` the operation: by a lock on this host. If the fleet's results
    are in S3, a lease next to them holds it on all hosts.

    A lost lease sets `stop`. Raises HeldError where another run holds the cell or operation for longer than `timeout` seconds,
    LeaseError, AwsError; InterruptedRun where `stop` is set meanwhile.
    """
    lease = f"{fleet.results.rstrip('/')}/{fleet.name}/leases" if fleet.results.startswith("s3://") else ""
    connection = credentials.own(fleet.cells[0].region)
    aws = connection.client()
    target = DesiredStack(f"fleet-{fleet.name}-{what}", region, {}, lease=lease)  # `lock break` takes this name

    async def check() -> None:
        if aws.guard is not None:
            await aws.guard.permit(timeouts.settled_all("s3"))

    try:
        await connection.until_answered(aws.account())
        with stop.calling(aws.stopping.set):
            async with held(aws, target, command, timeout, _warn):
                watching = asyncio.ensure_future(_stop_when_lost(aws, stop))
                try:
                    yield check
                finally:
                    watching.cancel()
    finally:
        aws.close()


async def _stop_when_lost(aws: Aws, stop: Stop) -> None:
    await aws.stopping.wait()
    if aws.halted is not None:
        tell("cell_lost", level=40, error=aws.halted)
        stop.set()


def _warn(text: str) -> None:
    tell("warning", level=30, text=text)
