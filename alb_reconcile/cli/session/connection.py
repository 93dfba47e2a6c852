"""Connects to AWS as a command's options say, and adds what a terminal needs: signal handling, and messages about calls."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Concatenate, Final, ParamSpec, TypeVar

from alb_reconcile.api import session
from alb_reconcile.api.session import Session
from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.connection import Connection
from alb_reconcile.cli.render.console import complain
from alb_reconcile.cli.session.signals import stop_on_signals
from alb_reconcile.engine.lookups import resolve_lookups
from alb_reconcile.model.desired_stack import DesiredStack

_T = TypeVar("_T")
_P = ParamSpec("_P")
_LOOK: Final = 5.0
"""Seconds from one check for throttling to the next."""


@dataclass(frozen=True, kw_only=True)
class ConnectionOptions(Session):
    """The options that say which AWS is asked, and how. `verbose` counts."""

    verbose: int = 0


def connect(options: ConnectionOptions, region: str, usual_burst: float = 1, *, prepared: bool = True) -> Connection:
    """The connection for these options. Raises what `session.connect` raises."""
    on_call = _caller() if options.verbose > 1 else None
    return session.connect(options, region, usual_burst=usual_burst, say=complain, on_call=on_call, prepared=prepared)


def with_aws(
    options: ConnectionOptions,
    region: str,
    main: Callable[Concatenate[Aws, _P], Awaitable[_T]],
    *args: _P.args,
    **named: _P.kwargs,
) -> _T:
    """Run `main`, which asks AWS, with its further arguments, until it ends or a signal stops it.

    Raises what `connect` and `main` raise.
    """

    def end(aws: Aws) -> None:
        if options.verbose:
            from alb_reconcile.cli.render.progress import render_calls

            complain(render_calls(aws.calls, aws.throttled))

    async def watched(aws: Aws) -> _T:
        watch = asyncio.ensure_future(tell_throttled(aws, complain))
        try:
            return await main(aws, *args, **named)
        finally:
            watch.cancel()

    return session.over(connect(options, region), watched, begin=stop_on_signals, end=end)


async def tell_throttled(aws: Aws, say: Callable[[str], None]) -> None:
    """Say once that AWS throttles, if it does so between two checks: else the user doesn't know what is waited for."""
    before = count = 0
    while not 0 < before < count:
        await asyncio.sleep(_LOOK)
        found = dict(aws.throttled)
        before, count = count, sum(item.count for item in found.values())
    operation = max(found, key=lambda name: found[name].last)
    say(f"AWS throttles {operation}, as others in the account may use up its limits; waiting, for five minutes at most")


def with_stack(
    options: ConnectionOptions,
    target: DesiredStack,
    main: Callable[Concatenate[Aws, DesiredStack, _P], Awaitable[_T]],
    *args: _P.args,
    **named: _P.kwargs,
) -> _T:
    """Run `with_aws` for a stack, with ids in place of its look-ups. Raises what `resolve_lookups` raises, too."""

    async def found(aws: Aws) -> _T:
        session.prepare(options, target, complain)
        return await main(aws, await resolve_lookups(aws, target), *args, **named)

    return with_aws(options, target.region, found)


def _caller() -> Callable[[str], None]:
    started = time.monotonic()
    return lambda call: complain(f"{time.monotonic() - started:8.2f} s  {call}")
