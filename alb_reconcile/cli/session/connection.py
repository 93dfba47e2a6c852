"""The connection to AWS that a command's options ask for, with what a terminal adds: signals, and words about calls."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Concatenate, ParamSpec, TypeVar

from alb_reconcile.api import session
from alb_reconcile.api.session import Session
from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.connection import Connection
from alb_reconcile.cli.render.console import complain
from alb_reconcile.cli.render.progress import render_calls
from alb_reconcile.cli.session.signals import stop_on_signals
from alb_reconcile.engine.lookups import resolve_lookups
from alb_reconcile.model.desired_stack import DesiredStack

_T = TypeVar("_T")
_P = ParamSpec("_P")


@dataclass(frozen=True, kw_only=True)
class ConnectionOptions(Session):
    """Which AWS is asked, and how. `verbose` counts."""

    verbose: int = 0


def connect(options: ConnectionOptions, region: str, usual_pace: float = 1) -> Connection:
    """Raises what `session.connect` raises."""
    on_call = _caller() if options.verbose > 1 else None
    return session.connect(options, region, usual_pace=usual_pace, say=complain, on_call=on_call)


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

    def end(aws: Aws) -> None:
        if options.verbose:
            complain(render_calls(aws.calls, aws.throttled))

    return session.over(connect(options, region), lambda aws: main(aws, *args, **named), begin=stop_on_signals, end=end)


def with_stack(
    options: ConnectionOptions,
    target: DesiredStack,
    main: Callable[Concatenate[Aws, DesiredStack, _P], Awaitable[_T]],
    *args: _P.args,
    **named: _P.kwargs,
) -> _T:
    """`with_aws` for a stack, with ids in the place of what it looks up. Raises what `resolve_lookups` raises, too."""

    async def found(aws: Aws) -> _T:
        session.prepare(options, target, complain)
        return await main(aws, await resolve_lookups(aws, target), *args, **named)

    return with_aws(options, target.region, found)


def _caller() -> Callable[[str], None]:
    started = time.monotonic()
    return lambda call: complain(f"{time.monotonic() - started:8.2f} s  {call}")
