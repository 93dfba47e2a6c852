"""The connection to AWS that a command's options ask for: the real one, or the sandbox; and running something over it."""

import asyncio
import os
import time
from argparse import ArgumentTypeError
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Concatenate, ParamSpec, TypeVar

from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.connection import Connection
from alb_reconcile.aws.endpoint import endpoint_of
from alb_reconcile.aws.throttle import Throttle
from alb_reconcile.aws.transport import BotoTransport
from alb_reconcile.cli.options.values import decimal
from alb_reconcile.cli.render.console import complain
from alb_reconcile.cli.render.progress import render_calls
from alb_reconcile.cli.session.signals import stop_on_signals
from alb_reconcile.engine.lookups import resolve_lookups
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.errors import UsageError

_T = TypeVar("_T")
_P = ParamSpec("_P")


@dataclass(frozen=True)
class ConnectionOptions:
    """Which AWS is asked, and how. `verbose` counts."""

    profile: str | None
    endpoint_url: str | None
    sandbox: bool
    max_workers: int
    pace: float | None
    verbose: int

    @cached_property
    def throttles(self) -> dict[str, Throttle]:
        """Of each region one, for all that the command does there."""
        return {}


def connect(options: ConnectionOptions, region: str, usual_pace: str = "1") -> Connection:
    """Raises what `check_options` raises, SandboxError, UnreachableError."""
    check_options(options)
    endpoint, speed = options.endpoint_url, 1.0
    if options.sandbox:
        from alb_reconcile.sandbox import client as sandbox_client

        check_sandbox_region(region)
        found, fresh = sandbox_client.start()
        endpoint, speed = found.endpoint_url, found.speed
        if fresh:
            complain(
                f"sandbox started at {endpoint}; it doesn't run user data, and lasts until: alb-reconcile sandbox stop"
            )
    workers, sandbox = options.max_workers, options.sandbox
    transport = BotoTransport(
        region=region, profile=options.profile, endpoint_url=endpoint, max_workers=workers, sandbox=sandbox
    )
    transport.prepare()
    throttle = options.throttles.setdefault(region, Throttle(_pace_of(options, usual_pace)))
    return Connection(transport, workers, speed, _caller() if options.verbose > 1 else None, sandbox, throttle)


def check_sandbox_region(region: str) -> None:
    """Raises SandboxError for a region that the local AWS doesn't have."""
    from alb_reconcile.sandbox.client import REGION, SandboxError

    if region not in BotoTransport.regions():
        raise SandboxError(f"the sandbox has no region {region}; choose another one, such as {REGION}")


def check_options(options: ConnectionOptions) -> None:
    """Raises UsageError for what contradicts itself, and for an endpoint or a pace that can't be one."""
    _pace_of(options)
    if options.sandbox and (options.profile or options.endpoint_url):
        raise UsageError("--sandbox can't be combined with --profile or --endpoint-url: leave them out")
    if not options.sandbox:
        endpoint_of(options.endpoint_url, os.environ)


def _pace_of(options: ConnectionOptions, usual: str = "1") -> float:
    try:
        return options.pace or decimal(0.1, 1)(os.environ.get("ALB_RECONCILE_PACE") or usual)
    except ArgumentTypeError as error:
        raise UsageError(f"ALB_RECONCILE_PACE: {error}; correct it, or unset it") from None


def with_aws(
    options: ConnectionOptions,
    region: str,
    main: Callable[Concatenate[Aws, _P], Awaitable[_T]],
    *args: _P.args,
    **named: _P.kwargs,
) -> _T:
    """Run what asks AWS, with its further arguments, until it ends or a signal stops it.

    Raises what `connect` and `main` raise.
    """
    connection = connect(options, region)

    async def session() -> _T:
        aws = connection.client()
        stop_on_signals(aws)
        try:
            return await connection.until_answered(main(aws, *args, **named))
        finally:
            aws.close()
            if options.verbose:
                complain(render_calls(aws.calls, aws.throttled))

    return asyncio.run(session())


def with_stack(
    options: ConnectionOptions,
    target: DesiredStack,
    main: Callable[Concatenate[Aws, DesiredStack, _P], Awaitable[_T]],
    *args: _P.args,
    **named: _P.kwargs,
) -> _T:
    """`with_aws` for a stack, with ids in the place of what it looks up. Raises what `resolve_lookups` raises, too."""

    async def found(aws: Aws) -> _T:
        if options.sandbox:
            _prepare(target)
        return await main(aws, await resolve_lookups(aws, target), *args, **named)

    return with_aws(options, target.region, found)


def _prepare(target: DesiredStack) -> None:
    """Have the sandbox make what a stack names and doesn't declare, so that any spec can be tried in it."""
    from alb_reconcile.sandbox import client as sandbox_client
    from alb_reconcile.sandbox import preparation

    states = [item.creation for item in target.desired.values()]
    if states and (found := sandbox_client.running()):
        for line in preparation.prepare(found, target.region, states):
            complain(f"Made in the sandbox: {line}")


def local_urls(options: ConnectionOptions) -> dict[str, str]:
    """In the sandbox each listener's local URL, by ARN."""
    if not options.sandbox:
        return {}
    from alb_reconcile.sandbox import client as sandbox_client

    found = sandbox_client.running()
    return {door.listener_arn: door.url for door in found.doors()} if found else {}


def unimitated(options: ConnectionOptions, load_balancers: Iterable[str]) -> list[str]:
    """In the sandbox what these load balancers (ARNs) have that it doesn't imitate."""
    if not options.sandbox:
        return []
    from alb_reconcile.sandbox import client as sandbox_client

    found, wanted = sandbox_client.running(), set(load_balancers)
    gaps = found.look().gaps if found and found.traffic else ()
    return [f"{arn.split('/')[2]}: {text}" for arn, text in gaps if arn in wanted]


def _caller() -> Callable[[str], None]:
    started = time.monotonic()
    return lambda call: complain(f"{time.monotonic() - started:8.2f} s  {call}")
