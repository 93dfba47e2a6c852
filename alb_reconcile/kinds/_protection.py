"""Switches off a resource's protection from being deleted, where a step may do that."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from alb_reconcile.kinds import waits
from alb_reconcile.kinds.context import Run
from alb_reconcile.model.errors import ReconcileError


@asynccontextmanager
async def unlocked(run: Run, service: str, operation: str, **params: Any) -> AsyncIterator[waits.Codes]:
    """Switch off a resource's protection from being deleted by a call, where the step may do that.

    Yields the codes for which the delete is repeated then. An error in the block gets a note that the protection is off.
    """
    if not run.step.lifts_protection:
        yield {}
        return
    await run.gone(service, operation, **params)
    try:
        yield waits.PROTECTION_LIFTED
    except ReconcileError as error:
        note = "; its protection is off now: run again, or switch it back on by hand"
        if note not in str(error):  # one answer may have refused several deletes
            error.args = (f"{error}{note}",)
        raise
