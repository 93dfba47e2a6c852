"""The commands `lock show` and `lock break`: show which run holds a stack's lock and lease, and take the lease from a dead run."""

from dataclasses import dataclass
from pathlib import Path

from alb_reconcile.aws.client import Aws
from alb_reconcile.cli.render.console import complain, emit
from alb_reconcile.cli.render.lock import LockView, locks_json, locks_text
from alb_reconcile.cli.render.output import Output
from alb_reconcile.cli.session.confirmation import confirm
from alb_reconcile.cli.session.connection import ConnectionOptions, with_aws
from alb_reconcile.cli.session.specs import USUAL, LoadingOptions, StackOptions, load_stacks, named_target, refuse_lease
from alb_reconcile.locking.breaking import break_lease
from alb_reconcile.locking.host import StackLock
from alb_reconcile.locking.store import LeaseLocation, LeaseStore
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.errors import ExitCode, RefusedError, UsageError


@dataclass(frozen=True)
class ShowOptions:
    specs: tuple[str, ...]
    named: StackOptions
    output: Output
    loading: LoadingOptions
    connection: ConnectionOptions


def show(options: ShowOptions) -> ExitCode:
    """Show which run holds the lock on this host and the lease, or held them last."""
    targets = _targets("lock show", options.specs, options.named, options.loading)
    views = [with_aws(options.connection, target.region, _view, target) for target in targets]
    options.output.show(views, lambda views, _: locks_text(views), locks_json)
    return ExitCode.OK


@dataclass(frozen=True)
class BreakOptions:
    spec: str | None
    named: StackOptions
    yes: bool
    loading: LoadingOptions
    connection: ConnectionOptions


def break_(options: BreakOptions) -> ExitCode:
    """Take the lease from the run that holds it."""
    specs = (options.spec,) if options.spec else ()
    (target,) = _targets("lock break", specs, options.named, options.loading)
    return with_aws(options.connection, target.region, _break, target, yes=options.yes)


def _targets(command: str, specs: tuple[str, ...], named: StackOptions, loading: LoadingOptions) -> list[DesiredStack]:
    if bool(named.stack) == (bool(specs) or (not named.stack and Path(USUAL).exists())):
        raise UsageError(f"{command} needs SPEC (default {USUAL}), or --stack NAME with --region")
    if named.stack:
        return [named_target(named)]
    refuse_lease(named)
    return [stack.target() for stack in load_stacks(specs, loading)]


async def _view(aws: Aws, target: DesiredStack) -> LockView:
    account = await aws.account()
    lock = StackLock(account, target.region, target.stack, aws.endpoint)
    place = LeaseLocation.of(target.lease, account, target.region, target.stack) if target.lease else None
    return LockView(
        stack=target.stack,
        region=target.region,
        account=account,
        locked=lock.is_held(),
        holder=lock.holder(),
        lease=place.url if place else "",
        is_lease_known=not target.destroy or bool(target.lease),  # a stack that is only named has no spec that says it
        seen=await LeaseStore(aws, place).read() if place else None,
    )


async def _break(aws: Aws, target: DesiredStack, *, yes: bool) -> ExitCode:
    view = await _view(aws, target)
    emit(locks_text([view]))
    seen = view.seen
    if seen is None or seen.state != "held":
        if view.locked:
            raise RefusedError(
                f"there is no lease to break; the lock on this host belongs to a running process and ends with it: {_ending(view)}"
            )
        if not view.is_lease_known:
            raise UsageError(
                "without the spec nobody knows where the lease is: name the spec, or add --lease s3://BUCKET/PREFIX"
            )
        emit("There is nothing to break.")
        return ExitCode.OK
    await confirm(aws, f"Break the lease of {seen.record.render()}? Type yes: ", "yes", yes=yes)
    store = LeaseStore(aws, LeaseLocation.of(target.lease, view.account, target.region, target.stack))
    broken = await break_lease(store, seen)
    if broken is None:
        emit("It has been released meanwhile; there is nothing to break.")
        return ExitCode.OK
    emit(
        f"The lease is broken, and free at {broken.good_until}. A run that is still alive learns of it by then, if it can reach "
        "S3, and stops before its next change; a call in progress may still take effect. Run your command with --lock-timeout 3m."
    )
    if view.locked:
        complain(f"The lock on this host is held until its process ends: {_ending(view)}")
    return ExitCode.OK


def _ending(view: LockView) -> str:
    if view.holder is None or view.holder.released is not None:
        return "the lock's file doesn't say which one; look for alb-reconcile among this host's processes"
    return f"end process {view.holder.pid} ({view.holder.command}, user {view.holder.user})"
