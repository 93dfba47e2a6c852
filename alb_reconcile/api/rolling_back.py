"""Moves the requests of a stack back to the version that stands by: under the stack's lock, and recorded."""

import time
from collections.abc import Awaitable, Callable

from alb_reconcile.aws.client import Aws
from alb_reconcile.engine.apply import Event, Outcome
from alb_reconcile.engine.discover import discover
from alb_reconcile.engine.rollback import Rollback, plan_rollback, roll_back
from alb_reconcile.journal.recorder import recorded
from alb_reconcile.journal.settings import Settings
from alb_reconcile.kinds.context import Run
from alb_reconcile.locking.hold import hold
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.errors import ExitCode
from alb_reconcile.model.host import iso

COMMAND = "rollback"


async def rollback_over(
    aws: Aws,
    target: DesiredStack,
    settings: Settings,
    lock_timeout: float,
    *,
    sandbox: bool,
    say: Callable[[str], None],
    confirm: Callable[[Rollback], Awaitable[None]],
    on_event: Callable[[Event], None],
) -> tuple[Outcome, ...]:
    """Move a stack's requests back, over a connection. The spec says which stack, and not what it is to be. `confirm` is given what would be
    done, and raises RefusedError where that isn't wanted.

    Raises RefusedError where no version stands by, or where it has no healthy target; HeldError, AwsError.
    """

    async def look() -> Rollback:
        found = await discover(aws, target.stack, target.desired, account_ids=target.account_ids)
        return plan_rollback(target, found)

    async with (
        recorded(aws, target, COMMAND, settings, say, sandbox=sandbox) as recorder,
        hold(aws, target, COMMAND, lock_timeout, look, say) as found,
    ):
        recorder.plan = found.plan
        recorder.causes = dict.fromkeys((step.key for step in found.plan.steps), "spec")
        await confirm(found)

        def told(event: Event) -> None:
            recorder(event)
            on_event(event)

        run = Run(aws, target.stack, began=aws.now(), warn=say)
        recorder.outcomes = await roll_back(run, found, iso(time.time()), told)
        if any(item.how != "done" for item in recorder.outcomes):
            recorder.exit_code = ExitCode.FAILED
        return recorder.outcomes
