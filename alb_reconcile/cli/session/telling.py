"""Runs `apply` and `destroy` at a terminal: shows the plan, asks, shows progress, and prints the result."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from alb_reconcile.api.applying import Ended, Followers, Reporter
from alb_reconcile.api.serving import urls
from alb_reconcile.api.session import local_traffic, sandbox_began
from alb_reconcile.aws.client import Aws
from alb_reconcile.cli.render.console import complain, emit
from alb_reconcile.cli.render.output import Output
from alb_reconcile.cli.render.plan import differing_steps, is_of_destroy, last_run_lines, render_plan, summarize
from alb_reconcile.cli.render.progress import A_NEW_PLAN, Progress, after_destroy, render_closing, render_outcomes
from alb_reconcile.cli.render.runs import RunView
from alb_reconcile.cli.render.status import url_lines
from alb_reconcile.cli.session.confirmation import confirm
from alb_reconcile.cli.session.connection import ConnectionOptions
from alb_reconcile.cli.session.last_run import LastRun, find_last_run
from alb_reconcile.cli.session.recording import RecordOptions
from alb_reconcile.cli.session.specs import LoadingOptions
from alb_reconcile.engine.applied_tags import find_unrecorded
from alb_reconcile.engine.stack import StackPlan
from alb_reconcile.journal.record import place_name
from alb_reconcile.model.advice import advised
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.discovery import Discovery
from alb_reconcile.model.errors import ExitCode, RefusedError, UsageError
from alb_reconcile.model.files import read_file
from alb_reconcile.model.plan import Plan
from alb_reconcile.model.service import Balancer
from alb_reconcile.sync.drift import new_names

if TYPE_CHECKING:
    from alb_reconcile.verification.session import Report

_REMAIN: Final = "All steps are done, but these changes remain; something else may be changing the stack. Run again."
_LATER: Final = "All steps are done, and nothing was waited for: status says when it is ready, and apply waits for it."


@dataclass(frozen=True)
class ChangeOptions:
    specs: tuple[str, ...]
    yes: bool
    plan: str | None
    lock_timeout: int
    allow: Mapping[str, int]
    policy: str | None
    output: Output
    record: RecordOptions
    loading: LoadingOptions
    connection: ConnectionOptions


@dataclass
class Telling(Reporter):
    """Tells the user of one run, and asks. `view` gets what programs read; with `verify` real requests are sent at the end."""

    aws: Aws
    options: ChangeOptions
    view: RunView
    verify: "Callable[[Aws, DesiredStack], Awaitable[Report]] | None"
    last: LastRun = field(default_factory=LastRun, init=False)

    say = staticmethod(complain)

    def warn(self, text: str) -> None:
        complain(f"warning: {text}")

    def check(self, planned: StackPlan) -> None:
        self.view.warnings = planned.plan.warnings
        _compare(self.options.plan, planned.plan, destroys=planned.target.destroy)

    async def confirm(self, planned: StackPlan) -> None:
        made, target, options = planned.plan, planned.target, self.options
        style, place = options.output.style, place_name(self.aws.endpoint, sandbox=options.connection.sandbox)
        if target.destroy and made.is_empty:
            emit(render_plan(made, style))
            return
        began = sandbox_began(options.connection)
        self.last = last = find_last_run(made, target.spec_file, place, options.record.state_dir, began)
        emit(style.fit(render_plan(made, style, notice="", head=last_run_lines(last.told, last.warning, style))))
        question, wanted = f"Apply these changes to {made.stack} (account {made.account})? Type yes: ", "yes"
        if target.destroy:
            wanted = made.stack
            question = f"Delete all of this in account {made.account}? Type the stack's name ({wanted}): "
        if not made.is_empty:
            await confirm(self.aws, question, wanted, yes=options.yes)

    @contextmanager
    def follow(self, planned: StackPlan) -> Iterator[Followers]:
        made, target, options = planned.plan, planned.target, self.options
        if not made.is_empty:
            emit("")
        elif not target.destroy and find_unrecorded(target.stack, target.desired, planned.discovery):
            emit("Only tags are written, which say that this spec is applied.")
        progress = Progress(options.output.style, made, verbose=bool(options.connection.verbose), speed=self.aws.speed)

        async def tick() -> None:
            while progress.live:
                await asyncio.sleep(1)
                progress.tick()

        ticking = asyncio.ensure_future(tick())
        try:
            yield progress, progress.waiting
        finally:
            ticking.cancel()
            progress.close()

    async def end(self, ended: Ended) -> None:
        (planned, applied, recorder), made = ended, ended.planned.plan
        if self.last.was_there:
            recorder.remarks = new_names(made, applied.outcomes, applied.found, was_there=True)
            recorder.causes = dict.fromkeys(recorder.causes, "drift")  # `sync` uses the same word for it
        if applied.found is None:
            is_used = self.options.plan and any(item.how == "done" for item in applied.outcomes)
            then = after_destroy(planned.target.spec_file) if planned.target.destroy else A_NEW_PLAN if is_used else ""
            complain(render_outcomes(applied.outcomes, then))
        elif not applied.is_reached:
            notice = "These remain; run destroy again." if planned.target.destroy else _REMAIN
            complain(render_plan(applied.found.plan, self.options.output.style, notice=notice))
        elif not planned.target.destroy:
            self._say_how_it_serves(applied.problems, recorder.not_ready)
            if not self.verify:
                _close(ended)
            self.view.urls = self._say_where(applied.found.discovery)
            if self.verify:
                report = await self.verify(self.aws, planned.target)
                if report.answered is not None and made.steps:
                    recorder.times["answered"] = report.answered * self.aws.speed - applied.began
                _close(ended)
                if not report.ok:
                    recorder.exit_code = ExitCode.FAILED
        elif made.steps:
            emit(f"Destroyed: nothing of {made.stack} is left.")
            emit(render_closing(made, recorder.times))

    def _say_how_it_serves(self, problems: Sequence[str], not_ready: Sequence[str]) -> None:
        if problems:
            complain("\n  ".join(["Applied, but some targets are not healthy:", *problems]))
            who = "alb-reconcile sandbox status" if self.options.connection.sandbox else "status"
            complain(f"{who} says why. Nothing is left to apply: mend the service, or correct the spec and apply that.")
        elif not_ready:
            emit("\n  ".join(["Not ready yet:", *not_ready]))
            emit(self.options.output.style.fit(_LATER))
        else:
            emit("Converged.")

    def _say_where(self, discovery: Discovery) -> list[str]:
        """Print where the listeners answer, and in the sandbox what keeps them from it or differs from AWS. Returns the URLs."""
        traffic = local_traffic(self.options.connection)
        local = traffic.urls if traffic else {}
        for line in url_lines(discovery, local, traffic):
            emit(self.options.output.style.fit(line))
        balancers = {item.id for item in discovery.resources if isinstance(item.state, Balancer)}
        for arn, text in traffic.gaps if traffic else ():
            if arn in balancers:
                emit(f"The sandbox doesn't imitate: {arn.split('/')[2]}: {text}")
        return urls(discovery, local)


def _close(ended: Ended) -> None:
    """Print the closing line, if something was done or waited for, and remarks on steps."""
    made, recorder = ended.planned.plan, ended.recorder
    if made.steps or ended.applied.entrance:
        emit(render_closing(made, recorder.times))
    for key, text in recorder.remarks.items():
        emit(f"{key.partition(':')[2].partition('@')[0]}: {text}")


def _compare(file: str | None, made: Plan, *, destroys: bool = False) -> None:
    if not file:
        return
    wanted = made.to_json()
    try:
        saved = read_file(file, max(len(wanted.encode()) + 3, 1 << 24)).decode("utf-8").rstrip("\r\n")
    except (OSError, ValueError) as error:
        told = f"can't be read as a saved plan: {getattr(error, 'strerror', None) or error}"
        raise UsageError(f"{file} {told}; name what plan --out has written") from None
    apart = differing_steps(saved, wanted)
    if apart is not None:
        if not destroys and is_of_destroy(saved):
            raise UsageError(f"{file} deletes the stack: {advised('destroy', ('--plan', file), 'SPEC')} does it")
        text = "is stale: the spec or the account has changed since; nothing was changed. Plan again"
        why = [f"the plan in {file} {text} ({summarize(made)})", *apart]
        raise RefusedError("\n  ".join(why))
