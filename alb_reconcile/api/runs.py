"""Running something over a stack, for whoever has no command line."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from alb_reconcile.api.session import connect, over
from alb_reconcile.api.stacks import Stack
from alb_reconcile.aws.client import Aws
from alb_reconcile.engine.lookups import resolve_lookups
from alb_reconcile.model.desired_stack import DesiredStack

_T = TypeVar("_T")


def on_stack(stack: Stack, main: Callable[[Aws, DesiredStack], Awaitable[_T]], *, destroy: bool = False) -> _T:
    """Run what asks AWS about a stack, with ids in the place of what it looks up, to its end.

    Not from inside a running event loop: there use a thread (`asyncio.to_thread`). Raises what `main` raises, what `connect`
    raises, and RefusedError for look-ups that find nothing, or not the one.
    """
    target = stack.declared.target(destroy=destroy)

    async def found(aws: Aws) -> _T:
        return await main(aws, await resolve_lookups(aws, target))

    return over(connect(stack.session, stack.region), found)
