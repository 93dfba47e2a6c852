"""The link to AWS that a command's options ask for: the real one, or the sandbox."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from alb_reconcile import local
from alb_reconcile.errors import UnreachableError, UsageError
from alb_reconcile.render.console import complain
from alb_reconcile.transport import BotoTransport

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable

SILENCE: Final = 25.0
"""Seconds without a single answer after which AWS counts as unreachable; by the wall's clock, as HTTP time is."""


@dataclass(frozen=True)
class Link:
    """How AWS is reached, how much faster its time runs there, and who is told of each call."""

    transport: BotoTransport
    speed: float = 1.0
    on_call: Callable[[str], None] | None = None


def open_link(args: argparse.Namespace, region: str) -> Link:
    """Raises UsageError for options that contradict each other, SandboxError, UnreachableError."""
    refuse_contradictions(args)
    endpoint, speed = args.endpoint_url, 1.0
    if args.sandbox:
        found, fresh = local.start()
        endpoint, speed = found.endpoint_url, found.speed
        if fresh:
            complain(f"sandbox started at {endpoint}; it stays until: alb-reconcile sandbox stop")
    transport = BotoTransport(
        region=region,
        profile=args.profile,
        endpoint_url=endpoint,
        max_workers=args.max_workers,
        sandbox=args.sandbox,
    )
    transport.prepare()
    return Link(transport, speed, _caller() if args.verbose > 1 else None)


def refuse_contradictions(args: argparse.Namespace) -> None:
    """Raises UsageError for options that contradict each other."""
    if args.sandbox and (args.profile or args.endpoint_url):
        raise UsageError("--sandbox is a place of its own: leave --profile and --endpoint-url out")


def _caller() -> Callable[[str], None]:
    started = time.monotonic()
    return lambda call: complain(f"{time.monotonic() - started:8.2f} s  {call}")


async def until_answered(transport: BotoTransport, main: Awaitable[Any]) -> Any:
    """The result of `main`. Raises UnreachableError if AWS answers nothing at all."""
    task = asyncio.ensure_future(main)
    done, _ = await asyncio.wait({task}, timeout=SILENCE)
    if not done and not transport.answered:
        task.cancel()
        await asyncio.wait({task})
        raise UnreachableError(
            f"AWS didn't answer within {SILENCE:.0f} s; check the network, the region and the endpoint"
        )
    return await task
