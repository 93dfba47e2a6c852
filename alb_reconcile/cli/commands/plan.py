"""The command `plan`: shows what `apply` would do."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from alb_reconcile.api.planning import make
from alb_reconcile.api.session import sandbox_began
from alb_reconcile.aws.client import Aws
from alb_reconcile.cli.render.console import complain, emit, is_one_place
from alb_reconcile.cli.render.output import Output
from alb_reconcile.cli.render.plan import last_run_lines, render_plan
from alb_reconcile.cli.render.style import Style, is_terminal
from alb_reconcile.cli.session.connection import ConnectionOptions, with_stack
from alb_reconcile.cli.session.specs import LoadingOptions, chosen_specs, given_again, load_stacks
from alb_reconcile.engine.applied_tags import find_unrecorded
from alb_reconcile.engine.plan.limits import ANY_TIME, describe_closure
from alb_reconcile.engine.stack import StackPlan
from alb_reconcile.journal.files import save_file
from alb_reconcile.model.advice import advised
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.errors import ExitCode, ReconcileError, RefusedError, UsageError
from alb_reconcile.model.plan import Plan
from alb_reconcile.model.text import printable

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
    number = len(chosen_specs(options.specs))
    if options.output.format == "html" and number > 1:
        raise UsageError("--format html is one page: name one SPEC; report has several stacks")
    if options.out and number > 1:
        raise UsageError("--out takes one plan: name one SPEC")
    with _told_in_its_place(options.output, ", ".join(options.specs)):
        return _each(options)


def _each(options: PlanOptions) -> ExitCode:
    pending, refused = False, False
    stacks = load_stacks(options.specs, options.loading, options.policy, warn=True)
    for stack in stacks:
        target = stack.target(destroy=options.destroy)
        planned, refusal, endpoint = with_stack(options.connection, target, _plan, options)
        made = planned.plan
        pending = pending or not made.is_empty
        why = str(refusal or "")
        apart = "\n".join(line for line in why.splitlines() if line not in made.warnings)
        note = _closed(target, made, options) or _unrecorded(planned)
        markdown = partial(_markdown, refusal=why, note=note, share=len(stacks))
        text = partial(_text, head=_head(made, target.spec_file, endpoint, options), refusal=apart)
        options.output.show(
            made, text, Plan.to_json, markdown=markdown, html=partial(_page, planned, refusal=why, note=note)
        )
        if refusal is not None:
            is_last_there = options.output.format == "text" and (is_terminal() or is_one_place())
            if not is_last_there:
                complain(apart if options.output.format == "text" else why)
            refused = True
            continue
        if options.out:
            save_file(options.out, made.to_json().encode() + b"\n")
            name = "destroy" if options.destroy else "apply"
            apply = advised(
                name,
                ("--plan", options.out),
                *given_again(options.allow, options.policy, options.loading.variables),
                target.spec_file,
            )
            told = f"Wrote {options.out}. To apply exactly this plan: {apply}"
            (emit if options.output.format == "text" else complain)(told)
        if note:
            complain(f"Note: {note}")
    if refused:
        return ExitCode.REFUSED
    return ExitCode.CHANGES if pending and options.detailed_exitcode else ExitCode.OK


@contextmanager
def _told_in_its_place(output: Output, files: str) -> Iterator[None]:
    """Print errors in the plan's format where a plan is for other readers."""
    try:
        yield
    except ReconcileError as error:
        if output.format == "markdown":
            from alb_reconcile.cli.render.markdown import error_markdown

            emit(error_markdown(files, str(error), error.exit_code))
        elif output.format == "html":
            from alb_reconcile.cli.pictures.page import error_page

            emit(error_page(files, str(error), error.exit_code))
        raise


def _closed(target: DesiredStack, made: Plan, options: PlanOptions) -> str:
    """Why the policy makes the plan wait; empty if it needn't wait, or nothing is to be done."""
    if made.is_empty or ANY_TIME in options.allow:
        return ""
    return describe_closure(target.policy, datetime.now(UTC))


def _unrecorded(planned: StackPlan) -> str:
    """What tags don't record yet, to be told with "no changes"; empty where nothing is missing."""
    target = planned.target
    if not planned.plan.is_empty or not find_unrecorded(target.stack, target.desired, planned.discovery):
        return ""
    return (
        "the stack's tags don't say yet that this spec was applied, so sync may take drift for a changed spec and leave it: "
        f"run {advised('apply', target.spec_file)} once, which only writes these tags"
    )


async def _plan(aws: Aws, target: DesiredStack, options: PlanOptions) -> tuple[StackPlan, RefusedError | None, str]:
    """The plan, why it would be refused, and the endpoint of AWS's API."""
    return *(await make(aws, target, options.allow)), aws.endpoint


def _head(made: Plan, spec_file: str, endpoint: str, options: PlanOptions) -> "LastRun":
    """The run that changed the stack last. The modules that read it are imported after AWS was asked, to save time before."""
    from alb_reconcile.cli.session.last_run import find_last_run
    from alb_reconcile.journal.record import place_name
    from alb_reconcile.locking.host import StackLock

    place, began = place_name(endpoint, sandbox=options.connection.sandbox), sandbox_began(options.connection)
    found = find_last_run(made, spec_file, place, began=began)
    lock = StackLock(made.account, made.region, made.stack, endpoint)
    with suppress(ReconcileError):  # a plan needs no lock
        if lock.is_held() and (holder := lock.holder()) is not None:
            text = f"{printable(holder.render())} holds the stack, so this plan may be out of date in a moment"
            return replace(found, warning="; ".join(filter(None, [text, found.warning])))
    return found


def _text(made: Plan, style: Style, head: "LastRun", refusal: str) -> str:
    shown = render_plan(made, style, head=last_run_lines(head.told, head.warning, style))
    words = refusal.replace("\n", "\n  ")
    return f"{shown}\n{style.paint('Refused:', 'red')} {words}" if refusal else shown


def _markdown(made: Plan, *, refusal: str, note: str, share: int) -> str:
    """The plan as Markdown, of at most its share of the space that a comment has."""
    from alb_reconcile.cli.render.markdown import MOST, plan_markdown

    return plan_markdown(made, refusal=refusal, note=note, most=MOST // share)


def _page(planned: StackPlan, _: Plan, *, refusal: str, note: str) -> str:
    from alb_reconcile.cli.pictures.page import plan_page

    return plan_page(planned, refusal, note)
