"""`lock show` and `lock break`: who may run over a stack, and taking that from a run that is dead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alb_reconcile.cli.commands.session import (
    confirm,
    load_stacks,
    named_target,
    refuse_lease,
    target_of,
    with_aws,
)
from alb_reconcile.cli.render.console import complain, emit
from alb_reconcile.cli.render.lock import LockView, locks_json, locks_text
from alb_reconcile.locking.breaking import break_lease
from alb_reconcile.locking.host import StackLock
from alb_reconcile.locking.store import LeaseLocation, LeaseStore
from alb_reconcile.model.errors import ExitCode, RefusedError, UsageError

if TYPE_CHECKING:
    import argparse

    from alb_reconcile.aws.client import Aws
    from alb_reconcile.model.target import Target


def show(args: argparse.Namespace) -> ExitCode:
    """Show who holds the lock on this host and the lease, or held them last."""
    views = [
        with_aws(args, target.region, lambda aws, target=target: _view(aws, target))  # type: ignore[misc]  # mypy doesn't type defaults of lambdas
        for target in _targets(args, "lock show wants SPEC, or --stack NAME with --region")
    ]
    emit(locks_json(views) if args.format == "json" else locks_text(views))
    return ExitCode.OK


def break_(args: argparse.Namespace) -> ExitCode:
    """Take the lease from whoever holds it."""
    args.specs = [args.spec] if args.spec else []
    (target,) = _targets(args, "lock break wants SPEC, or --stack NAME with --region")
    return ExitCode(with_aws(args, target.region, lambda aws: _break(aws, target, args)))


def _targets(args: argparse.Namespace, wanted: str) -> list[Target]:
    if bool(args.stack) == bool(args.specs):
        raise UsageError(wanted)
    if args.stack:
        return [named_target(args)]
    refuse_lease(args)
    return [target_of(stack) for stack in load_stacks(args)]


async def _view(aws: Aws, target: Target) -> LockView:
    account = await aws.account()
    lock = StackLock(account, target.region, target.stack, aws.endpoint)
    location = LeaseLocation.of(target.lease, account, target.region, target.stack) if target.lease else None
    return LockView(
        stack=target.stack,
        region=target.region,
        account=account,
        locked=lock.is_held(),
        holder=lock.holder(),
        lease=location.url if location else "",
        seen=await LeaseStore(aws, location).read() if location else None,
    )


async def _break(aws: Aws, target: Target, args: argparse.Namespace) -> ExitCode:
    view = await _view(aws, target)
    emit(locks_text([view]))
    seen = view.seen
    if seen is None or seen.state != "held":
        if view.locked:
            raise RefusedError(
                f"the lock on this host is its process's for as long as that lives, and dies with it: {_ending(view)}"
            )
        emit("There is nothing to break.")
        return ExitCode.OK
    await confirm(args, aws, f"Break the lease of {seen.record.render()}? Type yes: ", "yes")
    store = LeaseStore(aws, LeaseLocation.of(target.lease, view.account, target.region, target.stack))
    broken = await break_lease(store, seen)
    if broken is None:
        emit("It was given back meanwhile; there is nothing to break.")
        return ExitCode.OK
    emit(
        f"The lease is broken, and free at {broken.good_until}. A run that still lives learns of it by then, if it reaches "
        "S3, and stops before its next change; a call that is under way may still take effect."
    )
    if view.locked:
        complain(f"The lock on this host is held until its process ends: {_ending(view)}")
    return ExitCode.OK


def _ending(view: LockView) -> str:
    if view.holder is None or view.holder.released is not None:
        return "its file doesn't say which one; look for alb-reconcile among this host's processes"
    return f"end process {view.holder.pid} ({view.holder.command}, user {view.holder.user})"
