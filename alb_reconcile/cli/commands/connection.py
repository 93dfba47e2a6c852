"""The link to AWS that a command's options ask for: the real one, or the sandbox."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from alb_reconcile.aws.connection import Link
from alb_reconcile.aws.transport import BotoTransport
from alb_reconcile.cli.render.console import complain
from alb_reconcile.model.errors import UsageError
from alb_reconcile.sandbox import client as sandbox_client

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable


def open_link(args: argparse.Namespace, region: str) -> Link:
    """Raises UsageError for options that contradict each other, SandboxError, UnreachableError."""
    refuse_contradictions(args)
    endpoint, speed = args.endpoint_url, 1.0
    if args.sandbox:
        found, fresh = sandbox_client.start()
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
