"""`plan`: what `apply` would do."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from alb_reconcile.api.planning import PlanRefusedError, make
from alb_reconcile.aws.client import Aws
from alb_reconcile.cli.render.console import complain
from alb_reconcile.cli.render.output import Output
from alb_reconcile.cli.render.plan import last_run_lines, render_plan
from alb_reconcile.cli.render.style import Style
from alb_reconcile.cli.session.connection import ConnectionOptions, with_stack
from alb_reconcile.cli.session.specs import LoadingOptions, chosen_specs, load_stacks
from alb_reconcile.engine.plan.limits import ANY_TIME, describe_closure
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.errors import ExitCode, ReconcileError, RefusedError, UsageError
from alb_reconcile.model.files import write_file
from alb_reconcile.model.plan import Plan

if TYPE_CHECKING:
    from alb_reconcile.cli.session.last_run import LastRun


@dataclass(frozen=True)
class PlanOptions:
    specs: tuple[str, ...]
    destroy: bool
    out: str | None
    detailed_exitcode: bool
    allow: Mapping[str, int]
    policy: str | None
    output: Output
    loading: LoadingOptions
    connection: ConnectionOptions


def plan(options: PlanOptions) -> ExitCode:
    """Show what would be done."""
    if options.out and len(chosen_specs(options.specs)) > 1:
        raise UsageError("--out takes one plan: name one SPEC")
    pending, refused = False, False
    for stack in load_stacks(options.specs, options.loading, options.policy):
        target = stack.target(destroy=options.destroy)
        made, refusal, endpoint = with_stack(options.connection, target, _plan, options)
        pending = pending or not made.is_empty
        options.output.show(made, partial(_text, head=_head(made, target.spec_file, endpoint, options)), Plan.to_json)
        if refusal is not None:
            complain(str(refusal))
            refused = True
            continue
        if options.out:
            _save(options.out, made)
        closed = describe_closure(target.policy, datetime.now(UTC))
        if closed and not made.is_empty and ANY_TIME not in options.allow:
            complain(f"Note: {closed}")
    if refused:
        return ExitCode.REFUSED
    return ExitCode.CHANGES if pending and options.detailed_exitcode else ExitCode.OK


async def _plan(aws: Aws, target: DesiredStack, options: PlanOptions) -> tuple[Plan, RefusedError | None, str]:
    """The plan, why it would be refused, and the endpoint of AWS's API."""
    try:
        return await make(aws, target, options.allow), None, aws.endpoint
    except PlanRefusedError as error:
        return error.plan, error, aws.endpoint


def _head(made: Plan, spec_file: str, endpoint: str, options: PlanOptions) -> "LastRun":
    """Who changed the stack last. What reads that is imported after AWS was asked, which nobody has to wait for."""
    from alb_reconcile.cli.session.last_run import find_last_run
    from alb_reconcile.journal.record import place_name

    return find_last_run(made, spec_file, place_name(endpoint, sandbox=options.connection.sandbox))


def _text(made: Plan, style: Style, head: "LastRun") -> str:
    return render_plan(made, style, head=last_run_lines(head.told, head.warning, style))


def _save(file: str, made: Plan) -> None:
    try:
        write_file(file, made.to_json().encode() + b"\n")
    except OSError as error:
        raise ReconcileError(f"the plan can't be written to {file}: {error.strerror}; nothing was changed") from None
