"""Making a stack as its spec says, or deleting it: held, recorded, and looked at afterwards."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from alb_reconcile.api.allowances import check_allowed
from alb_reconcile.api.runs import on_stack
from alb_reconcile.api.serving import not_ready, urls
from alb_reconcile.api.session import LOG, Session, local_urls
from alb_reconcile.api.stacks import Stack
from alb_reconcile.aws.client import Aws
from alb_reconcile.engine.apply import Event, Outcome
from alb_reconcile.engine.permissions import check_permissions
from alb_reconcile.engine.plan.limits import check_windows
from alb_reconcile.engine.stack import Applied, Awaited, Options, StackPlan, apply_stack, plan_stack
from alb_reconcile.engine.standing import find_standing
from alb_reconcile.journal.record import Record
from alb_reconcile.journal.recorder import Recorder, recorded
from alb_reconcile.journal.settings import Settings, read_settings
from alb_reconcile.locking.hold import hold
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.errors import ExitCode, InterruptedRun, ReconcileError, RefusedError
from alb_reconcile.model.plan import Plan
from alb_reconcile.sync.drift import find_causes, new_names


@dataclass(frozen=True)
class Result:
    """How a run went.

    `plan` is what was to be done, `outcomes` how each step ended. `rest` is what remains; None where a step wasn't done, after
    which nobody looks. `problems` are the targets that aren't healthy in the end, in words; `not_ready` is what doesn't serve
    yet where it wasn't waited for. `times` are seconds from the first step until the stack was `ready` and `converged`. `urls`
    are where it answers. `run` is the run's id in the history.
    """

    plan: Plan
    outcomes: tuple[Outcome, ...] = ()
    rest: Plan | None = None
    problems: tuple[str, ...] = ()
    not_ready: tuple[str, ...] = ()
    times: Mapping[str, float] = field(default_factory=dict)
    urls: tuple[str, ...] = ()
    run: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing is left to do, and everything serves that was waited for."""
        return self.rest is not None and self.rest.is_empty and not self.problems


class UnfinishedError(ReconcileError):
    """A run that didn't get through. Nothing is rolled back: run it again to continue. `result` says how far it got."""

    def __init__(self, result: Result) -> None:
        failed = [item for item in result.outcomes if item.error is not None]
        left = [f"{step.address}: still to {step.action}" for step in result.rest.steps] if result.rest else []
        lines = [*(f"{item.step.address}: {item.error}" for item in failed), *left, *result.problems]
        super().__init__("\n".join(["the run isn't finished; run it again to continue", *lines]))
        self.result = result


def apply(
    stack: Stack,
    *,
    expected: Plan | None = None,
    allow: Mapping[str, int] | None = None,
    confirm: Callable[[Plan], bool] | None = None,
    on_event: Callable[[Event], None] = lambda _: None,
    timeout: float | None = 900,
    lock_timeout: float = 0,
) -> Result:
    """Make a stack as its spec says, and wait until it serves.

    `expected` is a plan that was looked at before: any other is refused. `allow` is as for `plan`. `confirm` is given the plan,
    in a thread of its own, while the stack is held, and says whether to go ahead; without it nobody is asked. `on_event` is
    told how each step goes, in the thread that runs them: it must be quick, and not raise. `timeout`: seconds to wait in the
    end for targets to be healthy; with None not at all. `lock_timeout`: seconds to wait while another run holds the stack.

    The run holds the stack's lock, and its lease if it has one, and is recorded, as that of the command is: the same
    environment variables say where. AWS's actions: all columns of the permissions by kind, for the kinds that the plan touches.

    Raises RefusedError, HeldError and PlanError before anything is changed; UnfinishedError, with the result, where a step
    failed, something remains or doesn't get healthy; LeaseError, LeaseLostError, AwsError, UnreachableError, UsageError.
    Ctrl-C starts nothing new, lets calls in progress finish, and raises KeyboardInterrupt.
    """
    return _run(stack, "apply", Wishes(allow or {}, expected, confirm, on_event, timeout, lock_timeout))


def destroy(
    stack: Stack,
    *,
    expected: Plan | None = None,
    allow: Mapping[str, int] | None = None,
    confirm: Callable[[Plan], bool] | None = None,
    on_event: Callable[[Event], None] = lambda _: None,
    lock_timeout: float = 0,
) -> Result:
    """Delete the whole stack, and nothing else. Options, errors and AWS's actions are those of `apply`."""
    return _run(stack, "destroy", Wishes(allow or {}, expected, confirm, on_event, None, lock_timeout))


@dataclass(frozen=True)
class Wishes:
    """What both are told."""

    allow: Mapping[str, int] = field(default_factory=dict)
    expected: Plan | None = None
    confirm: Callable[[Plan], bool] | None = None
    on_event: Callable[[Event], None] = lambda _: None
    timeout: float | None = 900
    lock_timeout: float = 0


def _run(stack: Stack, command: str, wishes: Wishes) -> Result:
    check_allowed(wishes.allow)
    settings, session = read_settings(os.environ), stack.session

    async def main(aws: Aws, target: DesiredStack) -> Result:
        return await run_over(aws, target, command, wishes, settings, session)

    with settings.traces_end(LOG.warning):
        return on_stack(stack, main, destroy=command == "destroy")


async def run_over(
    aws: Aws,
    target: DesiredStack,
    command: str,
    wishes: Wishes,
    settings: Settings,
    session: Session,
    keep: Callable[[Record], object] = lambda _: None,
) -> Result:
    """`apply` or `destroy` over a connection. `keep` is given the run's record, however it ends. Raises what they raise."""
    async with (
        recorded(aws, target, command, settings, LOG.warning, sandbox=session.sandbox, keep=keep) as recorder,
        holding(aws, target, command, wishes.allow, wishes.lock_timeout, LOG.warning) as planned,
    ):
        recorder.plan = planned.plan
        recorder.causes = {} if target.destroy else find_causes(planned)
        await _ask(aws, planned, wishes)
        applied = await carry_out(
            aws,
            planned,
            recorder,
            on_event=wishes.on_event,
            warn=LOG.warning,
            on_wait=lambda item: LOG.info(item.text),
            timeout=wishes.timeout,
        )
        result = _result(planned, applied, recorder, wishes, session)
        if applied.found is None:
            recorder.exit_code = code_of(aws, applied.outcomes)
        elif not result.ok:
            recorder.exit_code = ExitCode.FAILED
    if recorder.exit_code is ExitCode.INTERRUPTED:
        raise InterruptedRun("interrupted; run it again to continue")
    if not result.ok:
        raise UnfinishedError(result)
    return result


def _result(planned: StackPlan, applied: Applied, recorder: Recorder, wishes: Wishes, session: Session) -> Result:
    """What a run came to; the recorder is told, too."""
    found = applied.found
    if found is None:
        return Result(planned.plan, applied.outcomes, run=recorder.run)
    waits = wishes.timeout is not None or planned.target.destroy
    ill = () if waits else tuple(not_ready(found.discovery, find_standing(found.situation)))
    recorder.not_ready = ill or applied.problems
    return Result(
        planned.plan,
        applied.outcomes,
        rest=found.plan,
        problems=applied.problems,
        not_ready=ill,
        times=applied.times,
        urls=tuple(urls(found.discovery, local_urls(session))),
        run=recorder.run,
    )


async def _ask(aws: Aws, planned: StackPlan, wishes: Wishes) -> None:
    """Refuse what isn't the plan that was expected, can't be destroyed, or isn't confirmed."""
    made = planned.plan
    if wishes.expected is not None and wishes.expected.to_json() != made.to_json():
        raise RefusedError(
            "the expected plan is stale: the spec or the account has changed since; nothing was changed. Plan again"
        )
    refuse_blocked(planned)
    if wishes.confirm is None or made.is_empty:
        return
    if not await asyncio.to_thread(wishes.confirm, made):
        raise RefusedError("not confirmed; nothing was changed")
    if aws.guard is not None:  # the answer may have taken hours
        await aws.guard.permit(0.0)
    check_windows(planned.target.policy, wishes.allow, datetime.now(UTC))


@asynccontextmanager
async def holding(
    aws: Aws,
    target: DesiredStack,
    command: str,
    allow: Mapping[str, int],
    lock_timeout: float,
    say: Callable[[str], None],
) -> AsyncIterator[StackPlan]:
    """Hold a stack, with the plan that was made meanwhile. Raises what `hold` and `plan_stack` raise, and RefusedError for what
    these credentials may not do."""

    async def look() -> StackPlan:
        found = await plan_stack(aws, target, Options(allow=allow, eager=True))
        await check_permissions(aws, found.plan)
        return found

    async with hold(aws, target, command, lock_timeout, look, say) as planned:
        yield planned


async def carry_out(
    aws: Aws,
    planned: StackPlan,
    recorder: Recorder,
    *,
    on_event: Callable[[Event], None],
    warn: Callable[[str], None],
    on_wait: Callable[[Awaited], None],
    timeout: float | None,
) -> Applied:
    """`apply_stack`, followed by the recorder. Raises what ended it after its steps."""

    def both(event: Event) -> None:
        recorder(event)
        on_event(event)

    def on_outcomes(outcomes: tuple[Outcome, ...]) -> None:
        recorder.outcomes = outcomes  # at once: whatever comes after, the record says what was done

    applied = await apply_stack(
        aws, planned, on_event=both, on_outcomes=on_outcomes, warn=warn, on_wait=on_wait, timeout=timeout
    )
    recorder.times |= applied.times
    recorder.remarks = new_names(planned.plan, applied.outcomes, applied.found)
    if planned.plan.steps:
        recorder.times["took"] = aws.now() - applied.began
    if applied.error is not None:
        raise applied.error
    return applied


def code_of(aws: Aws, outcomes: tuple[Outcome, ...]) -> ExitCode:
    """What a run ends with of which a step wasn't done: only one that has changed nothing is refused. Raises why it was stopped, if it
    wasn't by the user."""
    if aws.halted is not None:
        raise aws.halted
    if aws.stopping.is_set():
        return ExitCode.INTERRUPTED
    failed = [item.error for item in outcomes if item.error is not None]
    refused = not aws.requests and failed and all(isinstance(error, RefusedError) for error in failed)
    return ExitCode.REFUSED if refused else ExitCode.FAILED


def refuse_blocked(planned: StackPlan) -> None:
    """Raises RefusedError where something that isn't the stack's would stop a destroy half-way."""
    if planned.blockers:
        first = f"{planned.plan.stack} can't be destroyed, and nothing was changed:"
        raise RefusedError("\n".join([first, *(f"  {item}" for item in (*planned.blockers, *planned.plan.warnings))]))
