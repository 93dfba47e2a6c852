"""Checks before each call that changes something, and before each attempt of the call, whether the run may still change anything."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, Protocol

from alb_reconcile.model.errors import LeaseError


class Guard(Protocol):
    """Decides whether the run may still change anything. Both methods raise ReconcileError if not."""

    async def permit(self, seconds: float, /) -> None:
        """Called before a call that may take effect for so many seconds, with all its attempts."""

    def check(self, seconds: float, /) -> None:
        """Called in the call's own thread, immediately before each attempt, which may take effect for so many seconds."""


class Ended:
    """The guard of a run that has let go of its stack."""

    async def permit(self, seconds: float, /) -> None:
        """Raises LeaseError."""
        self.check(seconds)

    def check(self, _: float, /) -> None:
        """Raises LeaseError."""
        raise LeaseError("this run no longer holds the stack; the call wasn't sent")


_CHECK: ContextVar[Callable[[], None] | None] = ContextVar("check", default=None)
"""The guard's check for the call that this thread makes."""


@contextmanager
def guarded(guard: Guard | None, seconds: float) -> Iterator[None]:
    """Guard the call inside the block, which changes something; each attempt may take effect for so many seconds."""
    token = _CHECK.set(partial(guard.check, seconds) if guard is not None else None)
    try:
        yield
    finally:
        _CHECK.reset(token)


def ask_guard(**_: Any) -> None:
    """Ask the guard of this thread's call, if there is a guard. Raises ReconcileError where nothing may be sent."""
    check = _CHECK.get()
    if check is not None:
        check()
