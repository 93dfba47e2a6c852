"""The commands `apply` and `destroy`: make a stack in AWS as its spec says, or delete it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from alb_reconcile.api.applying import Wishes, run_over
from alb_reconcile.aws.client import Aws
from alb_reconcile.cli.render.console import complain
from alb_reconcile.cli.render.runs import RunView, runs_json
from alb_reconcile.cli.session.connection import with_stack
from alb_reconcile.cli.session.recording import settings_of
from alb_reconcile.cli.session.specs import StackOptions, load_further_policy, load_stacks, named_target, refuse_lease
from alb_reconcile.cli.session.telling import ChangeOptions, Telling
from alb_reconcile.model.advice import typed
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.errors import ExitCode, InterruptedRun, ReconcileError, UsageError
from alb_reconcile.sync.targets import find_specs


@dataclass(frozen=True)
class ApplyOptions(ChangeOptions):
    timeout: int
    no_wait: bool
    verify: bool


def apply(options: ApplyOptions) -> ExitCode:
    """Make stacks as their specs say."""
    options.output.narrate(yes=options.yes)
    stacks = load_stacks(options.specs, options.loading, options.policy, warn=True)
    targets = [stack.target() for stack in stacks]
    return _each(targets, options, None if options.no_wait else options.timeout)


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
    return _each(targets, options)


_ALL_DONE: Final = "All steps are done, and nothing is rolled back; status says what isn't ready yet."


def _each(targets: Sequence[DesiredStack], options: ChangeOptions, timeout: float | None = None) -> ExitCode:
    """Run over one stack after the other; the first run that doesn't end well ends the command."""
    views: list[RunView] = []
    done = "applied" if isinstance(options, ApplyOptions) else "destroyed"
    if options.plan and len(targets) > 1:
        raise UsageError("--plan holds the plan of one spec: name one SPEC")
    remark = " without --yes" * (not options.yes)  # a waiting user learns that the run may wait for an answer
    wishes = Wishes(options.allow, timeout, options.lock_timeout, remark)
    try:
        for number, target in enumerate(targets, 1):
            left = ", ".join(item.spec_file for item in targets[number:])
            told = f"Not {done}, since a stack before failed: {left}" if left else ""
            views.append(RunView())
            try:
                code = with_stack(options.connection, target, _run, options, wishes, views[-1])
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


async def _run(aws: Aws, target: DesiredStack, options: ChangeOptions, wishes: Wishes, view: RunView) -> ExitCode:
    settings, sandbox, verify = settings_of(options.record), options.connection.sandbox, None
    if isinstance(options, ApplyOptions) and options.verify:
        from alb_reconcile.cli.commands.verify import check_applied

        verify = partial(check_applied, style=options.output.style, sandbox=sandbox)
    telling = Telling(aws, options, view, verify)
    with settings.traces_end(complain):
        ended = await run_over(aws, target, wishes, settings, telling, sandbox=sandbox, keep=view.keep)
    return ended.recorder.exit_code
