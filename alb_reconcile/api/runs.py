"""Runs a command over a stack for programs that use no command line."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from alb_reconcile.api.session import LOG, connect, over, prepare
from alb_reconcile.api.stacks import Stack
from alb_reconcile.aws.client import Aws
from alb_reconcile.engine.lookups import resolve_lookups
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.errors import UsageError

_T = TypeVar("_T")


def on_stack(
    stack: Stack,
    main: Callable[[Aws, DesiredStack], Awaitable[_T]],
    *,
    destroy: bool = False,
    keeps_versions: bool = False,
) -> _T:
    """Run `main`, which asks AWS about a stack, to its end, with ids in place of the stack's look-ups.

    Raises UsageError inside a running event loop, which the call would stop; what `main` and `connect` raise; RefusedError for look-ups
    that find no resource, or several.
    """
    with suppress(RuntimeError):  # no event loop is running
        asyncio.get_running_loop()
        raise UsageError(
            "an event loop is running here; call this in a thread, as in: await asyncio.to_thread(plan, stack)"
        )
    target = replace(stack.declared.target(destroy=destroy), keeps_versions=keeps_versions)

    async def found(aws: Aws) -> _T:
        prepare(stack.session, target, LOG.info)
        return await main(aws, await resolve_lookups(aws, target))

    return over(connect(stack.session, stack.region), found)
