"""What the commands that ask AWS share: specs, the link, signals, and the question before a change."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.connection import until_answered
from alb_reconcile.aws.transport import BotoTransport
from alb_reconcile.cli.commands.authoring import refuse_twins
from alb_reconcile.cli.commands.connection import open_link
from alb_reconcile.cli.render.console import complain, emit
from alb_reconcile.cli.render.progress import render_calls
from alb_reconcile.model.errors import ExitCode, InterruptedRun, RefusedError, UsageError
from alb_reconcile.model.policy import Policy
from alb_reconcile.model.target import Target
from alb_reconcile.sandbox import client as sandbox_client
from alb_reconcile.spec import schema
from alb_reconcile.spec.document import shorten
from alb_reconcile.spec.stack import Stack, load_policy, load_stack

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable


def load_stacks(args: argparse.Namespace) -> list[Stack]:
    """All specs under the policy of `--policy` too, before AWS is asked anything."""
    further = load_further_policy(args)
    loaded: list[Stack] = []
    seen: dict[tuple[str, str | None], str] = {}
    for file in args.specs:
        stack = load_with_region(args, file)
        refuse_twins(stack, seen)
        for warning in stack.warnings:
            complain(warning.render(file))
        loaded.append(replace(stack, policy=stack.policy.tighten(further)))
    return loaded


def load_further_policy(args: argparse.Namespace) -> Policy:
    """What `--policy` adds to the specs' own. Raises SpecError."""
    file = getattr(args, "policy", None)  # of some commands only
    return load_policy(file, args.set) if file else Policy()


def load_with_region(args: argparse.Namespace, file: str) -> Stack:
    """One spec, in a region. Raises SpecError, UsageError."""
    stack = load_stack(file, args.set, args.region)
    if stack.region is not None:
        return stack
    region = default_region(args)
    if region is None:
        raise UsageError(f"{file} names no region: add region: to it, give --region, or set AWS_REGION")
    return load_stack(file, args.set, region)


def default_region(args: argparse.Namespace) -> str | None:
    if args.sandbox:
        return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or sandbox_client.REGION
    return BotoTransport.default_region(args.profile)


def local_urls(args: argparse.Namespace) -> dict[str, str]:
    """In the sandbox each listener's local URL, by ARN."""
    found = sandbox_client.running() if args.sandbox else None
    return {door.listener_arn: door.url for door in found.doors()} if found else {}


def target_of(stack: Stack, *, destroy: bool = False, spec_file: str = "") -> Target:
    if stack.region is None:
        raise AssertionError("a stack without a region was let through")
    return Target(
        stack.name, stack.region, {} if destroy else stack.desired, stack.account_ids, destroy=destroy,
        spec_file=spec_file, policy=stack.policy, sync=stack.sync, lease=stack.lease,
    )  # fmt: skip


def named_target(args: argparse.Namespace) -> Target:
    """A stack whose spec isn't at hand: --stack, --region and --lease. Raises UsageError."""
    if not args.region:
        raise UsageError("--stack wants --region too")
    properties = schema.resolved("stack")["properties"]
    for option in ("region", "lease"):
        value = getattr(args, option) or ""
        if value and not re.fullmatch(properties[option]["pattern"], value):
            raise UsageError(f"--{option} wants {properties[option]['x-expect']}, not {shorten(value)}")
    return Target(args.stack, args.region, {}, destroy=True, lease=(args.lease or "").rstrip("/"))


def refuse_lease(args: argparse.Namespace) -> None:
    """With a spec, the spec says where the lease is. Raises UsageError."""
    if args.lease:
        raise UsageError("--lease goes with --stack; a spec says itself where its lease is (lease:)")


def with_aws(args: argparse.Namespace, region: str, main: Callable[[Aws], Awaitable[Any]]) -> Any:
    link = open_link(args, region)

    async def session() -> Any:
        aws = Aws(
            link.transport, max_workers=args.max_workers, speed=link.speed, on_call=link.on_call,
            endpoint=link.transport.endpoint,
        )  # fmt: skip
        _stop_on_signals(aws)
        try:
            return await until_answered(link.transport, main(aws))
        finally:
            aws.close()
            if args.verbose:
                complain(render_calls(aws.calls))

    return asyncio.run(session())


def _stop_on_signals(aws: Aws) -> None:
    """The first Ctrl-C (or SIGTERM, or SIGHUP) starts nothing new and drops waits; the second stops at once."""

    def stop() -> None:
        if aws.stopping.is_set():
            complain("\nstopped at once; calls under way may still take effect")
            os._exit(int(ExitCode.INTERRUPTED))
        complain("\nstopping: nothing new is started, calls under way end first (again to stop at once)")
        aws.stopping.set()

    def hang_up() -> None:
        if not aws.stopping.is_set():  # the kernel and the shell both tell that a terminal is gone
            stop()

    with suppress(NotImplementedError, RuntimeError):  # Windows, or not in the main thread
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop)
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup
            loop.add_signal_handler(signal.SIGHUP, hang_up)


async def confirm(args: argparse.Namespace, aws: Aws, question: str, wanted: str) -> None:
    """Ask before a change. Raises RefusedError, and InterruptedRun if the run was stopped meanwhile or its lease lost."""
    _refuse_if_stopped(aws)
    if args.yes:
        return
    if not sys.stdin.isatty():
        raise RefusedError(
            "there is no terminal to ask at, and nothing was changed; add --yes if you mean it"
        )
    emit("")
    answer = _read_answer(question)
    stopped = asyncio.ensure_future(aws.stopping.wait())
    waits: list[asyncio.Future[Any]] = [answer, stopped]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not answer.done():
        complain("")  # the question's line
    _refuse_if_stopped(aws)
    if answer.result().strip() != wanted:
        raise RefusedError("not confirmed; nothing was changed")
    if aws.guard is not None:  # the answer may have taken hours
        await aws.guard.permit(0.0)


def _read_answer(question: str) -> asyncio.Future[str]:
    """What is typed, empty if nothing can be. The thread that waits for it dies with the process, if it must."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[str] = loop.create_future()

    def settle(text: str) -> None:
        if not answer.done():
            answer.set_result(text)

    def read() -> None:
        try:
            text = input(question)
        except (EOFError, OSError, RuntimeError, ValueError):  # closed, hung up, lost, or not text
            text = ""
        with suppress(RuntimeError):  # the loop has ended: nobody waits any more
            loop.call_soon_threadsafe(settle, text)

    threading.Thread(target=read, name="answer", daemon=True).start()
    return answer


def _refuse_if_stopped(aws: Aws) -> None:
    if aws.stopping.is_set():
        raise aws.halted or InterruptedRun("interrupted; nothing was changed")
