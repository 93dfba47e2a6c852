"""An event loop whose clock is virtual: where everybody waits, time jumps to the next who is due."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from alb_reconcile.sandbox.strict import VirtualClock


class _Selector(selectors.DefaultSelector):
    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise AssertionError("everybody waits and nobody is due: a deadlock")
        if not ready and timeout and timeout > 0:
            self._clock.advance(timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """For code that calls AWS in the loop itself (`Aws(max_workers=0)`)."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(_Selector(clock))
        self._virtual = clock

    def time(self) -> float:
        return self._virtual.now()


def run_virtually(clock: VirtualClock, main: Coroutine[Any, Any, Any]) -> Any:
    """`asyncio.run` on a virtual clock, but for Ctrl-C, which costs it a word on the task."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
        return runner.get_loop().run_until_complete(main)
