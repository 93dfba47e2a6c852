"""Waits: polls that are shared by all who wait for the same sort of thing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from alb_reconcile.model.errors import ReconcileError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from alb_reconcile.aws.client import Aws


class Watch:
    """Polls one sort of thing for all who wait for one of them, in one read a round."""

    def __init__(
        self, aws: Aws, fetch: Callable[[set[str]], Awaitable[Mapping[str, Any]]], *, slowest: float = 10.0
    ) -> None:
        self._aws = aws
        self._fetch = fetch
        self._slowest = slowest
        self._waiters: set[_Waiter] = set()
        self._task: asyncio.Task[None] | None = None
        self._pause = 1.0

    async def until(
        self, key: str, check: Callable[[Any], str], timeout: float, say: Callable[[str], None]
    ) -> Any:
        """The thing (None while a read doesn't show it) as soon as `check` returns "" for it.

        Until then `check` returns what is waited for, which `say` passes on. Raises WaitError after `timeout`
        seconds with the last such text, and whatever `check` raises.
        """
        waiter = _Waiter(key, check, asyncio.get_running_loop().create_future(), say)
        last: list[str] = ["nothing"]

        def remember(value: Any) -> str:
            last[0] = check(value)
            return last[0]

        waiter.check = remember
        self._waiters.add(waiter)
        self._pause = 1.0
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._poll())
        try:
            async with self._aws.timeout(timeout):
                return await waiter.done
        except TimeoutError:
            raise WaitError(f"waited {timeout:.0f} s for: {last[0]}") from None
        finally:
            self._waiters.discard(waiter)

    async def _poll(self) -> None:
        try:
            await self._aws.sleep(_TOGETHER)
            while self._waiters:
                asked = list(self._waiters)  # who joins meanwhile was not asked for
                found = await self._fetch({waiter.key for waiter in asked})
                for waiter in asked:
                    if not waiter.done.done():
                        self._settle(waiter, found.get(waiter.key))
                if any(waiter not in asked for waiter in self._waiters):
                    continue
                if all(waiter.done.done() for waiter in self._waiters):
                    await asyncio.sleep(0)  # those who waited go on and leave
                    continue
                await self._aws.sleep(self._pause)
                self._pause = min(self._pause * 1.5, self._slowest)
        except Exception as error:  # whatever it is, those who wait must hear of it
            for waiter in self._waiters:
                if not waiter.done.done():
                    waiter.done.set_exception(error)

    @staticmethod
    def _settle(waiter: _Waiter, value: Any) -> None:
        try:
            text = waiter.check(value)
        except ReconcileError as error:
            waiter.done.set_exception(error)
            return
        if text:
            waiter.say(text)
        else:
            waiter.done.set_result(value)


@dataclass(eq=False)
class _Waiter:
    key: str
    check: Callable[[Any], str]
    done: asyncio.Future[Any]
    say: Callable[[str], None]


class WaitError(ReconcileError):
    """Something that was waited for didn't come."""


_TOGETHER: Final = 0.03
"""Seconds before the first look, so that those who begin to wait at the same time share it."""
