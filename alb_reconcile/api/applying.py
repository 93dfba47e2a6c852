"""Makes a stack as its spec says, or deletes it: under the stack's lock, recorded, reported to a `Reporter`, and checked afterwards."""

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from alb_reconcile.api.allowances import check_allowed
from alb_reconcile.api.proving import check_reach, prover
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
from alb_reconcile.journal.record import RunRecord
from alb_reconcile.journal.recorder import Recorder, recorded
from alb_reconcile.journal.settings import Settings, read_settings
from alb_reconcile.kinds.context import Prove
from alb_reconcile.locking.hold import hold
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.errors import ExitCode, InterruptedRun, ReconcileError, RefusedError, WentBackError
from alb_reconcile.model.plan import Plan
from alb_reconcile.sync.drift import find_causes, new_names


@dataclass(frozen=True)
class Result:
    """The result of a run.

    `plan` is what was to be done, `outcomes` how each step ended. `rest` is what remains; None where a step wasn't done, since the
    stack isn't read again then. `problems` are the targets that aren't healthy at the end, in words; `not_ready` is what doesn't serve
    yet where the run didn't wait for it. `times` are seconds from the first step until the stack was `ready` and `converged`. `urls`
    are where the stack answers. `run` is the run's id in the history.
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
    """A run that didn't finish. Nothing is rolled back: run it again to continue. `result` says how far the run got."""

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

    `expected` is a plan that was looked at before: any other plan is refused. `allow` is as for `plan`. `confirm` is given the plan, in
    a thread of its own, while the stack is held, and says whether to go ahead; without `confirm` no question is asked. `on_event` is
    given each event of a step, in the thread that runs the steps: it must be quick, and not raise. `timeout`: seconds to wait at the
    end for targets to be healthy; None: don't wait. `lock_timeout`: seconds to wait while another run holds the stack.

    The run holds the stack's lock, and its lease if the stack has one, and is recorded like a run of the command: the same environment
    variables say where. AWS's actions: all columns of the permissions by kind, for the kinds that the plan touches.

    Raises RefusedError, HeldError and PlanError before anything is changed; UnfinishedError, with the result, where a step
    failed, something remains or doesn't get healthy; LeaseError, LeaseLostError, AwsError, UnreachableError, UsageError.
    Ctrl-C starts nothing new, lets calls in progress finish, and raises KeyboardInterrupt.
    """
    return _run(stack, Wishes(allow or {}, timeout, lock_timeout), Callbacks(expected, confirm, on_event))


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
    return _run(stack, Wishes(allow or {}, None, lock_timeout), Callbacks(expected, confirm, on_event), destroy=True)


@dataclass(frozen=True)
class Wishes:
    """What the user wants of a run. `timeout` is as for `apply`. `remark`: a text for users whom this run keeps waiting, shown with the
    command."""

    allow: Mapping[str, int] = field(default_factory=dict)
    timeout: float | None = 900
    lock_timeout: float = 0
    remark: str = ""


class Ended(NamedTuple):
    """A run that came to its end: what was planned, what was applied, and the recorder, with the exit code."""

    planned: StackPlan
    applied: Applied
    recorder: Recorder


Followers = tuple[Callable[[Event], None], Callable[[Awaited], None]]
"""Two functions, given each event of a step, and each state of what is waited for after the steps."""


class Reporter(Protocol):
    """Follows a run, and is asked by it. An exception that a reporter raises ends the run, and is recorded."""

    def say(self, text: str, /) -> None:
        """Say what couldn't be recorded, and which other run has the stack."""

    def warn(self, text: str, /) -> None:
        """Say what couldn't be written to AWS."""

    def check(self, planned: StackPlan) -> None:
        """Check the plan, which is made while the stack is held. Raises RefusedError where another plan was expected."""

    async def confirm(self, planned: StackPlan) -> None:
        """Confirm the plan. Raises RefusedError where the plan has steps that the user doesn't want."""

    def follow(self, planned: StackPlan) -> AbstractContextManager[Followers]:
        """Follow the plan, which is carried out from the beginning of the block to its end."""

    async def end(self, ended: Ended) -> None:
        """All is done that could be, and isn't judged yet. The reporter notes its own findings in the recorder."""


@dataclass(frozen=True)
class Callbacks(Reporter):
    """The reporter of a program: calls its functions to confirm the plan and for each step; all else is log lines."""

    expected: Plan | None = None
    confirmed: Callable[[Plan], bool] | None = None
    on_event: Callable[[Event], None] = lambda _: None

    say = warn = staticmethod(LOG.warning)

    def check(self, planned: StackPlan) -> None:
        if self.expected is not None and self.expected.to_json() != planned.plan.to_json():
            raise RefusedError(
                "the expected plan is stale: the spec or the account has changed since; nothing was changed. Plan again"
            )

    async def confirm(self, planned: StackPlan) -> None:
        if self.confirmed and planned.plan.steps and not await asyncio.to_thread(self.confirmed, planned.plan):
            raise RefusedError("not confirmed; nothing was changed")

    @contextmanager
    def follow(self, _: StackPlan) -> Iterator[Followers]:
        yield self.on_event, lambda item: LOG.info(item.text)

    async def end(self, _: Ended) -> None:
        return


def _run(stack: Stack, wishes: Wishes, reporter: Reporter, *, destroy: bool = False) -> Result:
    check_allowed(wishes.allow)
    settings, session = read_settings(os.environ), stack.session

    async def main(aws: Aws, target: DesiredStack) -> Result:
        return finished(await run_over(aws, target, wishes, settings, reporter, sandbox=session.sandbox), session)

    with settings.traces_end(LOG.warning):
        return on_stack(stack, main, destroy=destroy)


async def run_over(
    aws: Aws,
    target: DesiredStack,
    wishes: Wishes,
    settings: Settings,
    reporter: Reporter,
    *,
    sandbox: bool,
    keep: Callable[[RunRecord], object] = lambda _: None,
) -> Ended:
    """Make a stack as it is wanted, or destroy it, over a connection. `keep` is given the run's record, however the run ends.

    Raises what `apply` raises, except for failed steps and what is left: the recorder's exit code tells of those.
    """
    command = "destroy" if target.destroy else "apply"

    async def look() -> StackPlan:
        found = await plan_stack(aws, target, Options(allow=wishes.allow, eager=True))
        await check_permissions(aws, found.plan)
        return found

    async with (
        recorded(aws, target, command, settings, reporter.say, sandbox=sandbox, keep=keep) as recorder,
        hold(aws, target, command + wishes.remark, wishes.lock_timeout, look, reporter.say) as planned,
    ):
        recorder.plan = planned.plan
        recorder.causes = {} if target.destroy else find_causes(planned)
        reporter.check(planned)
        if planned.blockers:  # a resource that isn't the stack's would stop a destroy half-way
            lines = (f"  {item}" for item in (*planned.blockers, *planned.plan.warnings))
            raise RefusedError("\n".join([f"{target.stack} can't be destroyed, and nothing was changed:", *lines]))
        await reporter.confirm(planned)
        if planned.plan.steps:  # the answer may have taken hours
            if aws.guard is not None:
                await aws.guard.permit(0.0)
            check_windows(planned.target.policy, wishes.allow, datetime.now(UTC))
        await check_reach(aws, planned.plan, sandbox=sandbox)
        applied = await _carry_out(aws, planned, recorder, wishes.timeout, reporter, prover(sandbox=sandbox))
        recorder.not_ready = applied.problems
        if (found := applied.found) and wishes.timeout is None and not target.destroy:
            recorder.not_ready = tuple(not_ready(found.discovery, find_standing(found.situation)))
        ended = Ended(planned, applied, recorder)
        await reporter.end(ended)
        if applied.found is None:
            recorder.exit_code = _code_of(aws, applied.outcomes)
        elif applied.problems or not applied.is_reached:
            recorder.exit_code = ExitCode.FAILED
    return ended


async def _carry_out(
    aws: Aws, planned: StackPlan, recorder: Recorder, timeout: float | None, reporter: Reporter, prove: Prove
) -> Applied:
    """Call `apply_stack`, followed by the recorder and the reporter. Raises the error that ended it after its steps."""

    def on_outcomes(outcomes: tuple[Outcome, ...]) -> None:
        recorder.outcomes = outcomes  # at once: whatever comes after, the record says what was done

    with reporter.follow(planned) as (on_step, on_wait):

        def on_event(event: Event) -> None:
            recorder(event)
            on_step(event)

        applied = await apply_stack(
            aws, planned, on_event=on_event, on_outcomes=on_outcomes, warn=reporter.warn, on_wait=on_wait,
            timeout=timeout, prove=prove,
        )  # fmt: skip
    recorder.times |= applied.times
    recorder.remarks = new_names(planned.plan, applied.outcomes, applied.found)
    if planned.plan.steps:
        recorder.times["took"] = aws.now() - applied.began
    if applied.error is not None:
        raise applied.error
    return applied


def _code_of(aws: Aws, outcomes: tuple[Outcome, ...]) -> ExitCode:
    """The exit code of a run in which a step wasn't done: refused only if the run has changed nothing. Raises the error that stopped
    the run, unless the user stopped it."""
    if aws.halted is not None:
        raise aws.halted
    if aws.stopping.is_set():
        return ExitCode.INTERRUPTED
    if any(isinstance(item.error, WentBackError) for item in outcomes):
        return ExitCode.WENT_BACK
    failed = [item.error for item in outcomes if item.error is not None]
    refused = not aws.requests and failed and all(isinstance(error, RefusedError) for error in failed)
    return ExitCode.REFUSED if refused else ExitCode.FAILED


def finished(ended: Ended, session: Session) -> Result:
    """The result of a run. Raises InterruptedRun and UnfinishedError where the run didn't reach its goal."""
    planned, applied, recorder = ended
    if recorder.exit_code is ExitCode.INTERRUPTED:
        raise InterruptedRun("interrupted; run it again to continue")
    rest, where = (found.plan, urls(found.discovery, local_urls(session))) if (found := applied.found) else (None, [])
    ill = () if applied.problems else recorder.not_ready
    result = Result(
        planned.plan, applied.outcomes, rest, applied.problems, ill, applied.times, tuple(where), recorder.run
    )
    if not result.ok:
        raise UnfinishedError(result)
    return result
