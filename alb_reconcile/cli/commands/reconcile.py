"""`apply` and `destroy`: the straight line from a spec to what AWS has."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, TypeVar

from alb_reconcile.api.applying import carry_out, code_of, holding, refuse_blocked
from alb_reconcile.api.serving import not_ready, urls
from alb_reconcile.api.session import local_traffic, sandbox_began
from alb_reconcile.aws.client import Aws
from alb_reconcile.cli.render.console import complain, emit
from alb_reconcile.cli.render.output import Output
from alb_reconcile.cli.render.plan import differing_steps, is_of_destroy, last_run_lines, render_plan, summarize
from alb_reconcile.cli.render.progress import A_NEW_PLAN, Progress, after_destroy, render_closing, render_outcomes
from alb_reconcile.cli.render.runs import RunView, runs_json
from alb_reconcile.cli.render.status import url_lines
from alb_reconcile.cli.session.confirmation import confirm
from alb_reconcile.cli.session.connection import ConnectionOptions, with_stack
from alb_reconcile.cli.session.last_run import LastRun, find_last_run
from alb_reconcile.cli.session.recording import RecordOptions, settings_of
from alb_reconcile.cli.session.specs import (
    LoadingOptions,
    StackOptions,
    load_further_policy,
    load_stacks,
    named_target,
    refuse_lease,
)
from alb_reconcile.engine.applied_tags import find_unrecorded
from alb_reconcile.engine.apply import Outcome
from alb_reconcile.engine.plan.limits import check_windows
from alb_reconcile.engine.stack import Applied, StackPlan
from alb_reconcile.engine.standing import find_standing
from alb_reconcile.journal.record import place_name
from alb_reconcile.journal.recorder import Recorder, recorded
from alb_reconcile.model.advice import advised, typed
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.discovery import Discovery
from alb_reconcile.model.errors import ExitCode, InterruptedRun, ReconcileError, RefusedError, UsageError
from alb_reconcile.model.files import read_file
from alb_reconcile.model.plan import Plan
from alb_reconcile.sync.drift import find_causes, new_names
from alb_reconcile.sync.targets import find_specs


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


@dataclass(frozen=True)
class ApplyOptions(ChangeOptions):
    timeout: int
    no_wait: bool
    verify: bool


def apply(options: ApplyOptions) -> ExitCode:
    """Do what the spec wants."""
    options.output.narrate(yes=options.yes)
    stacks = load_stacks(options.specs, options.loading, options.policy, warn=True)
    targets = [stack.target() for stack in stacks]
    return _each(targets, _apply, options)


async def _apply(aws: Aws, target: DesiredStack, options: ApplyOptions, view: RunView) -> ExitCode:
    async with _running(aws, target, "apply", options, view) as (recorder, planned):
        recorder.causes = find_causes(planned)
        recorder.exit_code = await _reach(aws, options, planned, recorder, view)
    return recorder.exit_code


async def _reach(aws: Aws, options: ApplyOptions, planned: StackPlan, recorder: Recorder, view: RunView) -> ExitCode:
    made, style = planned.plan, options.output.style
    _compare(options.plan, made)
    last = _last_run(aws, options, planned)
    emit(style.fit(render_plan(made, style, notice="", head=last_run_lines(last.told, last.warning, style))))
    if not made.is_empty:
        await confirm(
            aws, f"Apply these changes to {made.stack} (account {made.account})? Type yes: ", "yes", yes=options.yes
        )
        check_windows(planned.target.policy, options.allow, datetime.now(UTC))  # the answer may have taken hours
    progress = Progress(style, made, verbose=bool(options.connection.verbose), speed=aws.speed)
    applied = await _carry_out(aws, planned, recorder, progress, None if options.no_wait else options.timeout)
    if last.was_there:
        recorder.remarks = new_names(made, applied.outcomes, applied.found, was_there=True)
        recorder.causes = dict.fromkeys(recorder.causes, "drift")  # as `sync` says of it
    if applied.found is None:
        return _report(
            aws,
            applied.outcomes,
            A_NEW_PLAN if options.plan and any(item.how == "done" for item in applied.outcomes) else "",
        )
    if not applied.is_reached:
        notice = "All steps are done, but these changes remain; something else may be changing the stack. Run again."
        complain(render_plan(applied.found.plan, style, notice=notice))
        return ExitCode.FAILED
    problems = applied.problems
    standing = find_standing(applied.found.situation) if options.no_wait else None
    recorder.not_ready = tuple(not_ready(applied.found.discovery, standing)) if standing else problems
    if problems:
        complain("\n  ".join(["Applied, but some targets are not healthy:", *problems]))
        who = "alb-reconcile sandbox status" if options.connection.sandbox else "status"
        complain(f"{who} says why. Nothing is left to apply: mend the service, or correct the spec and apply that.")
    elif recorder.not_ready:
        emit("\n  ".join(["Not ready yet:", *recorder.not_ready]))
        text = "All steps are done, and nothing was waited for: status says when it is ready, and apply waits for it."
        emit(style.fit(text))
    else:
        emit("Converged.")
    if not options.verify:
        _close(made, applied, recorder)
    view.urls = _say_where(options, applied.found.discovery)
    if options.verify:
        from alb_reconcile.cli.commands.verify import check_applied

        report = await check_applied(aws, planned.target, style, sandbox=options.connection.sandbox)
        if report.answered is not None and made.steps:
            recorder.times["answered"] = report.answered * aws.speed - applied.began
        _close(made, applied, recorder)
        return ExitCode.OK if report.ok and not problems else ExitCode.FAILED
    return ExitCode.FAILED if problems else ExitCode.OK


def _say_where(options: ApplyOptions, discovery: Discovery) -> list[str]:
    """Where the listeners answer, and in the sandbox what keeps them from it or isn't as on AWS. Returns the URLs."""
    traffic = local_traffic(options.connection)
    local = traffic.urls if traffic else {}
    for line in url_lines(discovery, local, traffic):
        emit(options.output.style.fit(line))
    balancers = {item.id for item in discovery.resources if item.address.kind == "load_balancer"}
    for arn, text in traffic.gaps if traffic else ():
        if arn in balancers:
            emit(f"The sandbox doesn't imitate: {arn.split('/')[2]}: {text}")
    return urls(discovery, local)


def _close(made: Plan, applied: Applied, recorder: Recorder) -> None:
    """The closing line, where something was done or waited for, and what else is to be told of steps."""
    if made.steps or applied.entrance:
        emit(render_closing(made, recorder.times))
    for key, text in recorder.remarks.items():
        emit(f"{key.partition(':')[2].partition('@')[0]}: {text}")


@dataclass(frozen=True)
class DestroyOptions(ChangeOptions):
    named: StackOptions


def destroy(options: DestroyOptions) -> ExitCode:
    """Delete a whole stack."""
    options.output.narrate(yes=options.yes)
    if bool(options.named.stack) == bool(options.specs):
        raise UsageError("destroy has no default: name the file (destroy stack.yaml), or --stack NAME with --region")
    if any(find_specs([place]) != [place] for place in options.specs):
        named = typed(*find_specs(options.specs))
        raise UsageError(f"destroy takes specs by name, no folders or patterns; name each: {named}")
    if options.named.stack:
        target = named_target(options.named)
        targets = [replace(target, policy=load_further_policy(options.policy, options.loading))]
    else:
        refuse_lease(options.named)
        stacks = load_stacks(options.specs, options.loading, options.policy)
        targets = [stack.target(destroy=True) for stack in stacks]
    return _each(targets, _destroy, options)


async def _destroy(aws: Aws, target: DesiredStack, options: DestroyOptions, view: RunView) -> ExitCode:
    async with _running(aws, target, "destroy", options, view) as (recorder, planned):
        recorder.exit_code = await _remove(aws, options, planned, recorder)
    return recorder.exit_code


async def _remove(aws: Aws, options: DestroyOptions, planned: StackPlan, recorder: Recorder) -> ExitCode:
    stack, made, style = planned.plan.stack, planned.plan, options.output.style
    _compare(options.plan, made, destroys=True)
    if made.is_empty:
        emit(render_plan(made, style))
        return ExitCode.OK
    refuse_blocked(planned)
    last = _last_run(aws, options, planned)
    emit(style.fit(render_plan(made, style, notice="", head=last_run_lines(last.told, last.warning, style))))
    question = f"Delete all of this in account {made.account}? Type the stack's name ({stack}): "
    await confirm(aws, question, stack, yes=options.yes)
    check_windows(planned.target.policy, options.allow, datetime.now(UTC))
    progress = Progress(style, made, verbose=bool(options.connection.verbose), speed=aws.speed)
    applied = await _carry_out(aws, planned, recorder, progress, None)
    if applied.found is None:
        return _report(aws, applied.outcomes, after_destroy(planned.target.spec_file))
    if not applied.is_reached:
        complain(render_plan(applied.found.plan, style, notice="These remain; run destroy again."))
        return ExitCode.FAILED
    emit(f"Destroyed: nothing of {stack} is left.")
    emit(render_closing(made, recorder.times))
    return ExitCode.OK


def _last_run(aws: Aws, options: ApplyOptions | DestroyOptions, planned: StackPlan) -> LastRun:
    place = place_name(aws.endpoint, sandbox=options.connection.sandbox)
    began = sandbox_began(options.connection)
    return find_last_run(planned.plan, planned.target.spec_file, place, options.record.state_dir, began)


_ALL_DONE: Final = "All steps are done, and nothing is rolled back; status says what isn't ready yet."
_Options = TypeVar("_Options", ApplyOptions, DestroyOptions)


def _each(
    targets: Sequence[DesiredStack],
    run: Callable[[Aws, DesiredStack, _Options, RunView], Awaitable[ExitCode]],
    options: _Options,
) -> ExitCode:
    """One stack after the other; the first that doesn't end well ends the command."""
    views: list[RunView] = []
    done = "applied" if isinstance(options, ApplyOptions) else "destroyed"
    if options.plan and len(targets) > 1:
        raise UsageError("--plan holds the plan of one spec: name one SPEC")
    try:
        for number, target in enumerate(targets, 1):
            left = ", ".join(item.spec_file for item in targets[number:])
            told = f"Not {done}, since a stack before failed: {left}" if left else ""
            views.append(RunView())
            try:
                code = with_stack(options.connection, target, run, options, views[-1])
            except ReconcileError as error:
                steps = views[-1].record.steps if views[-1].record else ()
                if isinstance(error, InterruptedRun) and steps and all(step.how == "done" for step in steps):
                    told = "\n".join(filter(None, [_ALL_DONE, told]))
                error.args = ("\n".join(filter(None, [str(error), told])),)
                raise
            if code is not ExitCode.OK:
                if told:
                    complain(told)
                return code
        return ExitCode.OK
    finally:
        if any(view.record for view in views):
            options.output.show(views, lambda *_: "", runs_json)


@asynccontextmanager
async def _running(
    aws: Aws, target: DesiredStack, command: str, options: ApplyOptions | DestroyOptions, view: RunView
) -> AsyncIterator[tuple[Recorder, StackPlan]]:
    """A run that holds the stack and is recorded, with the plan that was made meanwhile."""
    settings, sandbox = settings_of(options.record), options.connection.sandbox
    named = command + " without --yes" * (not options.yes)  # who is kept waiting learns that it may wait for its answer
    with settings.traces_end(complain):
        async with (
            recorded(aws, target, command, settings, complain, sandbox=sandbox, keep=view.keep) as recorder,
            holding(aws, target, named, options.allow, options.lock_timeout, complain) as planned,
        ):
            recorder.plan, view.warnings = planned.plan, planned.plan.warnings
            yield recorder, planned


async def _carry_out(
    aws: Aws, planned: StackPlan, recorder: Recorder, progress: Progress, timeout: float | None
) -> Applied:
    """The steps, shown as they go. Raises what ended it after its steps."""
    if not planned.plan.is_empty:
        emit("")
    elif find_unrecorded(planned.target.stack, planned.target.desired, planned.discovery):
        emit("Only tags are written, which say that this spec is applied.")

    async def tick() -> None:
        while progress.live:
            await asyncio.sleep(1)
            progress.tick()

    ticking = asyncio.ensure_future(tick())
    try:
        return await carry_out(
            aws, planned, recorder, on_event=progress, warn=lambda text: complain(f"warning: {text}"),
            on_wait=progress.waiting, timeout=timeout,
        )  # fmt: skip
    finally:
        ticking.cancel()
        progress.close()


def _report(aws: Aws, outcomes: tuple[Outcome, ...], next_step: str = "") -> ExitCode:
    complain(render_outcomes(outcomes, next_step))
    return code_of(aws, outcomes)


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
