"""`plan`, `apply`, `destroy`, `status` and `stacks`: the straight line from a spec to what AWS has."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alb_reconcile.cli.commands.recording import settings_of
from alb_reconcile.cli.commands.session import (
    confirm,
    default_region,
    load_further_policy,
    load_stacks,
    local_urls,
    named_target,
    refuse_lease,
    target_of,
    with_aws,
)
from alb_reconcile.cli.render.console import complain, emit
from alb_reconcile.cli.render.plan import render_plan, summarize
from alb_reconcile.cli.render.progress import Progress, render_outcomes
from alb_reconcile.cli.render.status import status_json, status_text, url_lines
from alb_reconcile.cli.render.style import Style
from alb_reconcile.engine.discover import discover
from alb_reconcile.engine.plan.limits import ANY_TIME, check_windows, describe_closure
from alb_reconcile.engine.plan.planner import Options
from alb_reconcile.engine.stack import Applied, StackPlan, apply_stack, plan_stack
from alb_reconcile.journal.run import recorded
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.locking.hold import hold
from alb_reconcile.model import tags
from alb_reconcile.model.errors import ExitCode, ReconcileError, RefusedError, UsageError
from alb_reconcile.model.target import Target
from alb_reconcile.sync.drift import find_causes

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable

    from alb_reconcile.aws.client import Aws
    from alb_reconcile.engine.apply import Event, Outcome
    from alb_reconcile.journal.recorder import Recorder
    from alb_reconcile.model.plan import Plan
    from alb_reconcile.model.target import Target


def plan(args: argparse.Namespace) -> ExitCode:
    """Show what would be done."""
    if args.out and len(args.specs) > 1:
        raise UsageError("--out takes one plan: name one SPEC")
    pending, refused = False, False
    for stack in load_stacks(args):
        target = target_of(stack, destroy=args.destroy)
        made, refusal = with_aws(args, target.region, lambda aws, target=target: _plan(aws, target, args))  # type: ignore[misc]  # mypy doesn't type defaults of lambdas
        pending = pending or not made.is_empty
        emit(
            made.to_json()
            if args.format == "json"
            else render_plan(made, Style.detect(no_color=args.no_color))
        )
        if refusal is not None:
            complain(str(refusal))
            refused = True
            continue
        if args.out:
            _save(args.out, made)
        closed = describe_closure(target.policy, datetime.now(UTC))
        if closed and not made.is_empty and ANY_TIME not in args.allow:
            complain(f"Note: {closed}")
    if refused:
        return ExitCode.REFUSED
    return ExitCode.CHANGES if pending and args.detailed_exitcode else ExitCode.OK


async def _plan(aws: Aws, target: Target, args: argparse.Namespace) -> tuple[Plan, RefusedError | None]:
    """The plan, and why it would be refused."""
    allow = {**args.allow, ANY_TIME: 1}  # looking is allowed outside of the policy's windows
    try:
        planned = await plan_stack(aws, target, Options(allow=allow, check=not args.destroy))
    except RefusedError as error:  # what is refused without a plan is refused again
        return (await plan_stack(aws, target, Options(check=False))).plan, error
    return planned.plan, None


def apply(args: argparse.Namespace) -> ExitCode:
    """Do what the spec wants."""
    if args.plan and len(args.specs) > 1:
        raise UsageError("--plan holds the plan of one spec: name one SPEC")
    return _each(args, lambda aws, target: _apply(aws, target, args), destroy=False)


async def _apply(aws: Aws, target: Target, args: argparse.Namespace) -> ExitCode:
    options = Options(allow=args.allow)
    async with (
        recorded(aws, target, "apply", settings_of(args), complain, sandbox=args.sandbox) as recorder,
        hold(
            aws,
            target,
            "apply",
            args.lock_timeout,
            lambda: plan_stack(aws, target, options),
            complain,
        ) as planned,
    ):
        recorder.plan = planned.plan
        recorder.causes = find_causes(planned.plan, target.desired, planned.discovery)
        recorder.exit_code = await _reach(aws, target, args, planned, recorder)
    return recorder.exit_code


async def _reach(
    aws: Aws, target: Target, args: argparse.Namespace, planned: StackPlan, recorder: Recorder
) -> ExitCode:
    made, style = planned.plan, Style.detect(no_color=args.no_color)
    if args.plan:
        _compare(args.plan, made)
    emit(render_plan(made, style, notice=""))
    if not made.is_empty:
        await confirm(args, aws, "Apply these changes? Type yes: ", "yes")
        check_windows(target.policy, args.allow, datetime.now(UTC))  # the answer may have taken hours
    applied = await _carry_out(aws, target, planned, recorder, args, style)
    if applied.found is None:
        return _report(aws, applied.outcomes)
    if not applied.is_reached:
        notice = "These remain though everything was done; somebody else may be at work. Run again."
        complain(render_plan(applied.found.plan, style, notice=notice))
        return ExitCode.FAILED
    problems = applied.problems
    for problem in problems:
        complain(f"not serving: {problem}")
    emit("Converged." if not problems else "Converged, but not everything serves.")
    for line in url_lines(applied.found.discovery, local_urls(args)):
        emit(line)
    if args.verify:
        from alb_reconcile.cli.commands.verify import check_applied

        verified = await check_applied(aws, target, args)
        return ExitCode.FAILED if problems else verified
    return ExitCode.FAILED if problems else ExitCode.OK


def destroy(args: argparse.Namespace) -> ExitCode:
    """Delete a whole stack."""
    if bool(args.stack) == bool(args.specs):
        raise UsageError("destroy wants SPEC, or --stack NAME with --region")
    if not args.stack:
        refuse_lease(args)
        return _each(args, lambda aws, target: _destroy(aws, target, args), destroy=True)
    target = replace(named_target(args), policy=load_further_policy(args))
    return ExitCode(with_aws(args, args.region, lambda aws: _destroy(aws, target, args)))


async def _destroy(aws: Aws, target: Target, args: argparse.Namespace) -> ExitCode:
    async with (
        recorded(aws, target, "destroy", settings_of(args), complain, sandbox=args.sandbox) as recorder,
        hold(
            aws,
            target,
            "destroy",
            args.lock_timeout,
            lambda: plan_stack(aws, target, Options(allow=args.allow)),
            complain,
        ) as planned,
    ):
        recorder.plan = planned.plan
        recorder.exit_code = await _remove(aws, target, args, planned, recorder)
    return recorder.exit_code


async def _remove(
    aws: Aws, target: Target, args: argparse.Namespace, planned: StackPlan, recorder: Recorder
) -> ExitCode:
    made, style = planned.plan, Style.detect(no_color=args.no_color)
    if made.is_empty:
        emit(render_plan(made, style))
        return ExitCode.OK
    if planned.blockers:
        first = f"{target.stack} can't be destroyed, and nothing was changed:"
        raise RefusedError("\n".join([first, *(f"  {item}" for item in planned.blockers)]))
    emit(render_plan(made, style, notice=""))
    await confirm(args, aws, f"Delete all of this? Type the stack's name ({target.stack}): ", target.stack)
    check_windows(target.policy, args.allow, datetime.now(UTC))
    applied = await _carry_out(aws, target, planned, recorder, args, style)
    if applied.found is None:
        return _report(aws, applied.outcomes)
    if not applied.is_reached:
        complain(render_plan(applied.found.plan, style, notice="These remain; run destroy again."))
        return ExitCode.FAILED
    emit(f"Destroyed: nothing of {target.stack} is left.")
    return ExitCode.OK


def status(args: argparse.Namespace) -> ExitCode:
    """Show each resource, the health of the targets, and the URLs."""
    for stack in load_stacks(args):
        target = target_of(stack)

        async def read(aws: Aws, target: Target = target) -> Any:
            return await discover(aws, target.stack, target.desired, account_ids=target.account_ids)

        found = with_aws(args, target.region, read)
        here = local_urls(args)
        if args.format == "json":
            emit(status_json(target.stack, target.region, found, here))
        else:
            style = Style.detect(no_color=args.no_color)
            emit(status_text(target.stack, target.region, found, style, here))
    return ExitCode.OK


def stacks(args: argparse.Namespace) -> ExitCode:
    """List the stacks that own something in a region."""
    region = args.region or default_region(args)
    if region is None:
        raise UsageError("no region: give --region, or set AWS_REGION")
    counts = with_aws(args, region, _count_by_stack)
    for name, count in sorted(counts.items()):
        emit(f"{name}  {count} resources")
    if not counts:
        emit(f"No stack owns anything in {region}.")
    return ExitCode.OK


async def _count_by_stack(aws: Aws) -> dict[str, int]:
    reader = Reader(aws, "", {}, everything=True)
    filters = [{"Name": "key", "Values": [tags.STACK]}]
    alive = [
        {"Name": "tag-key", "Values": [tags.STACK]},
        {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]},
    ]
    ec2, reservations, balancers, groups = await asyncio.gather(
        aws.pages("ec2", "describe_tags", "Tags", Filters=filters),
        aws.pages("ec2", "describe_instances", "Reservations", Filters=alive),
        reader.load_balancers(),
        reader.target_groups(),
    )
    names = [item["Value"] for item in ec2 if item.get("ResourceType") not in ("volume", "instance")]
    for item in (item for reservation in reservations for item in reservation["Instances"]):
        names += [tag["Value"] for tag in item["Tags"] if tag["Key"] == tags.STACK]
    names += [item["Tags"][tags.STACK] for item in [*balancers, *groups] if tags.STACK in item["Tags"]]
    return {name: names.count(name) for name in set(names)}


def _each(
    args: argparse.Namespace, run: Callable[[Aws, Target], Awaitable[ExitCode]], *, destroy: bool
) -> ExitCode:
    """One stack after the other; the first that doesn't end well ends the command."""
    for file, stack in zip(args.specs, load_stacks(args), strict=True):
        target = target_of(stack, destroy=destroy, spec_file=file)
        code = with_aws(args, target.region, lambda aws, target=target: run(aws, target))  # type: ignore[misc]  # mypy doesn't type defaults of lambdas
        if code is not ExitCode.OK:
            return ExitCode(code)
    return ExitCode.OK


async def _carry_out(
    aws: Aws, target: Target, planned: StackPlan, recorder: Recorder, args: argparse.Namespace, style: Style
) -> Applied:
    """`apply_stack`, shown as it goes. Raises what ended it after its steps."""
    progress = Progress(style, verbose=bool(args.verbose), speed=aws.speed)
    if not planned.plan.is_empty:
        emit("")

    def on_event(event: Event) -> None:
        recorder(event)
        progress(event)

    async def tick() -> None:
        while progress.live:
            await asyncio.sleep(1)
            progress.tick()

    ticking = asyncio.ensure_future(tick())
    try:
        applied = await apply_stack(
            aws, target, planned, on_event=on_event, warn=lambda text: complain(f"warning: {text}"),
            say=progress.waiting, timeout=getattr(args, "timeout", None),
        )  # fmt: skip
    finally:
        ticking.cancel()
        progress.close()
    recorder.outcomes = applied.outcomes
    if applied.error is not None:
        raise applied.error
    return applied


def _report(aws: Aws, outcomes: tuple[Outcome, ...]) -> ExitCode:
    complain(render_outcomes(outcomes))
    if aws.halted is not None:
        raise aws.halted
    if aws.stopping.is_set():
        return ExitCode.INTERRUPTED
    failed = [item.error for item in outcomes if item.error is not None]
    refused = failed and all(isinstance(error, RefusedError) for error in failed)
    return ExitCode.REFUSED if refused else ExitCode.FAILED


def _save(file: str, made: Plan) -> None:
    try:
        Path(file).write_text(made.to_json() + "\n", encoding="utf-8")
    except OSError as error:
        raise ReconcileError(
            f"the plan can't be written to {file}: {error.strerror}; nothing was changed"
        ) from None


def _compare(file: str, made: Plan) -> None:
    try:
        saved = Path(file).read_text(encoding="utf-8").rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{file} can't be read as a saved plan: {getattr(error, 'strerror', None) or error}"
        ) from None
    if saved != made.to_json():
        raise RefusedError(
            f"the plan in {file} is stale: the spec or the account has moved since; nothing was changed. Plan again ({summarize(made)})"
        )
