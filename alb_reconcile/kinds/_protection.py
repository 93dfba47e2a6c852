"""Switches off a resource's protection from being deleted, where a step may do that."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from alb_reconcile.kinds import waits
from alb_reconcile.kinds.context import Run
from alb_reconcile.model.errors import ReconcileError


@asynccontextmanager
async def unlocked(run: Run, service: str, operation: str, **params: Any) -> AsyncIterator[waits.Codes]:
    """A call switches off what protects a resource from being deleted, where the step may do that.

    Gives the codes for which its delete is repeated then. Whatever goes wrong within is told with what was done.
    """
    if not run.step.lifts_protection:
        yield {}
        return
    await run.gone(service, operation, **params)
    try:
        yield waits.PROTECTION_LIFTED
    except ReconcileError as error:
        note = "; its protection is off now: run again, or switch it back on by hand"
        if note not in str(error):  # several may have been refused by one answer
            error.args = (f"{error}{note}",)
        raise
