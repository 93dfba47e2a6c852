"""The commands `rollback` and `abort`: move requests back to the version that stands by, or keep them from moving at all."""

import time
from dataclasses import dataclass
from pathlib import Path

from alb_reconcile.api.rolling_back import rollback_over
from alb_reconcile.aws.client import Aws
from alb_reconcile.cli.render.console import complain, emit
from alb_reconcile.cli.session.confirmation import confirm
from alb_reconcile.cli.session.connection import ConnectionOptions, with_aws
from alb_reconcile.cli.session.last_run import find_commits
from alb_reconcile.cli.session.recording import RecordOptions, settings_of
from alb_reconcile.cli.session.specs import LoadingOptions, load_stacks
from alb_reconcile.engine.apply import Event
from alb_reconcile.engine.discover import discover
from alb_reconcile.engine.rollback import Rollback
from alb_reconcile.engine.rollback import abort as mark_aborted
from alb_reconcile.journal.record import place_name
from alb_reconcile.kinds.context import Run
from alb_reconcile.model.advice import advised
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.errors import ExitCode
from alb_reconcile.model.host import iso


@dataclass(frozen=True)
class RollbackOptions:
    spec: str
    yes: bool
    lock_timeout: int
    record: RecordOptions
    loading: LoadingOptions
    connection: ConnectionOptions


def rollback(options: RollbackOptions) -> ExitCode:
    """Move requests back to the version before, whatever the spec says."""
    (stack,) = load_stacks([options.spec], options.loading)
    target = stack.target()
    return with_aws(options.connection, target.region, _run, target, options)


@dataclass(frozen=True)
class AbortOptions:
    spec: str
    loading: LoadingOptions
    connection: ConnectionOptions


def abort(options: AbortOptions) -> ExitCode:
    """Keep a deployment that goes on in another process from moving requests to its version. Waits for no lock."""
    (stack,) = load_stacks([options.spec], options.loading)
    target = stack.target()
    return with_aws(options.connection, target.region, _abort, target)


async def _abort(aws: Aws, target: DesiredStack) -> ExitCode:
    found = await discover(aws, target.stack, target.desired, account_ids=target.account_ids)
    for name in await mark_aborted(Run(aws, target.stack), found, iso(time.time())):
        emit(
            f"{name}: its new version gets no requests. The run that makes it fails before it moves any; apply another version, or the old one."
        )
    return ExitCode.OK


async def _run(aws: Aws, target: DesiredStack, options: RollbackOptions) -> ExitCode:
    planned: list[Rollback] = []

    async def agree(found: Rollback) -> None:
        planned.append(found)
        for step in found.plan.steps:
            emit(f"  ~ {step.address}  its requests go back to the old {', '.join(sorted(set(found.old.values())))}")
        await confirm(
            aws, f"Roll {target.stack} back (account {found.plan.account})? Type yes: ", "yes", yes=options.yes
        )

    def on_event(event: Event) -> None:
        if event.what == "done":
            emit(f"  ✓ {event.step.address} changed ({event.elapsed:.1f} s)")
        elif event.what == "failed":
            emit(f"  ✗ {event.step.address} failed: {event.text}")

    settings = settings_of(options.record)
    with settings.traces_end(complain):
        outcomes = await rollback_over(
            aws, target, settings, options.lock_timeout, sandbox=options.connection.sandbox, say=complain, confirm=agree,
            on_event=on_event,
        )  # fmt: skip
    if any(item.how != "done" for item in outcomes):
        emit("Not all requests go back; run rollback again.")
        return ExitCode.FAILED
    emit(_way_on(aws, planned[-1], options, settings.folder))
    emit("Until then apply and sync leave both as they are.")
    return ExitCode.OK


def _way_on(aws: Aws, found: Rollback, options: RollbackOptions, folder: Path) -> str:
    """The command that brings the spec back to the old version and ends the one that was left, as far as tags and history know it."""
    command = advised(
        "apply", options.spec, *(("--set", f"{name}={text}") for name, text in sorted(found.values.items()))
    )
    place = place_name(aws.endpoint, sandbox=options.connection.sandbox)
    text = "The old version serves. To end the version that was left, "
    if not found.values:
        commits = find_commits(found.plan, place, folder)
        if not commits:
            return f"{text}bring the spec back to the old one (git revert), and then run:\n  {command}"
        command = f"git revert --no-edit {commits} && {command}"
    return f"{text}run:\n  {command}"
