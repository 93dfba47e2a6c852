"""One run over a cell at a time, so that its pace is the cell's limit. What keeps stacks from harm are their own leases."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from alb_reconcile.api.session import Session, connect, default_region
from alb_reconcile.aws.client import Aws
from alb_reconcile.fleet.cells import Cell, Fleet
from alb_reconcile.fleet.run import Stop
from alb_reconcile.journal.log import tell
from alb_reconcile.locking import durations
from alb_reconcile.locking.hold import held
from alb_reconcile.model.desired_stack import DesiredStack

LONGEST: Final = int(durations.LEASE + durations.MARGIN)
"""Seconds after which nobody can have a cell any more who doesn't renew its lease."""


@asynccontextmanager
async def hold_cell(fleet: Fleet, cell: Cell, session: Session, command: str, stop: Stop) -> AsyncIterator[None]:
    """Have a cell for oneself: on this host, and everywhere if the fleet's results are in S3, beside which its lease is.

    A lease that is lost stops the run. Raises HeldError, LeaseError, AwsError.
    """
    lease = f"{fleet.results.rstrip('/')}/{fleet.name}/leases" if fleet.results.startswith("s3://") else ""
    region = default_region(session) or fleet.cells[0].region
    aws = connect(session, region).client()
    target = DesiredStack(f"{fleet.name}-{cell.account}-{cell.region}", region, {}, lease=lease)
    try:
        async with held(aws, target, command, 0, _warn):
            watching = asyncio.ensure_future(_stop_when_lost(aws, stop))
            try:
                yield
            finally:
                watching.cancel()
    finally:
        aws.close()


async def _stop_when_lost(aws: Aws, stop: Stop) -> None:
    await aws.stopping.wait()
    tell("cell_lost", level=40, error=aws.halted or "its lease was lost")
    stop.set()


def _warn(text: str) -> None:
    tell("warning", level=30, text=text)
