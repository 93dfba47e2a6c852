"""Waits for AWS: repeats reads with a back-off, and shares each read among all steps that wait for the same sort of resource."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from alb_reconcile.aws.client import Aws
from alb_reconcile.model.errors import AwsError, ReconcileError

_T = TypeVar("_T")
Fetch = Callable[[set[str]], Awaitable[Mapping[str, Any]]]
"""Reads things by their keys; what isn't shown is left out."""
_FIRST: Final = 1.0
PATIENCE: Final = 300.0
"""Seconds for which reads may fail, throttled or lost, before a poll gives up."""
_TOGETHER: Final = 0.04
"""Seconds before the first read, so that steps that begin to wait at the same time share the read."""


class WaitError(ReconcileError):
    """Something that a step waited for didn't come."""


@dataclass
class Backoff:
    """Pauses between reads, in seconds: 1, then `growth` times as long each time, `slowest` at most."""

    aws: Aws
    growth: float = 1.5
    slowest: float = 10.0
    _next: float = field(default=_FIRST, init=False)

    def reset(self) -> None:
        """Begin again with short pauses, for a step that begins to wait."""
        self._next = _FIRST

    async def wait(self) -> None:
        """Wait until the next read. Raises InterruptedRun as soon as the run is being stopped."""
        pause, self._next = self._next, min(self._next * self.growth, self.slowest)
        await self.aws.sleep(pause)


async def repeat_until(
    aws: Aws, read: Callable[[], Awaitable[_T]], is_reached: Callable[[_T], bool], timeout: float
) -> _T:
    """The first result of `read` that is as wanted; after `timeout` seconds the last result. A dry run reads once.

    Raises what `read` raises; errors that may pass by themselves only after `timeout` seconds.
    """
    started, backoff = aws.now(), Backoff(aws, growth=2, slowest=15)
    while True:
        try:
            found = await read()
        except AwsError as error:
            if not error.is_passing or aws.now() - started > timeout:
                raise
        else:
            if is_reached(found) or aws.dry or aws.now() - started > timeout:
                return found
        await backoff.wait()


class Watch:
    """Polls one sort of thing for all steps that wait for such a thing, in one read a round."""

    def __init__(self, aws: Aws, fetch: Fetch, *, slowest: float = 10.0) -> None:
        self._aws = aws
        self._fetch = fetch
        self._backoff = Backoff(aws, slowest=slowest)
        self._waiters: list[_Waiter] = []
        self._task: asyncio.Task[None] | None = None

    async def until(self, key: str, check: Callable[[Any], str], timeout: float, say: Callable[[str], None]) -> Any:
        """The thing (None while a read doesn't show it) as soon as `check` returns "" for it.

        Until then `check` returns what is waited for, which `say` passes on. Raises WaitError after `timeout`
        seconds with the last such text, and whatever `check` raises. A dry run waits for nothing.
        """
        if self._aws.dry:
            return None
        waiter = _Waiter(key, check, say, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        self._backoff.reset()
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._poll())
        try:
            async with self._aws.timeout(timeout):
                return await waiter.done
        except TimeoutError:
            raise WaitError(f"waited {timeout:.0f} s for: {waiter.last or f'a first answer about {key}'}") from None
        finally:
            self._waiters.remove(waiter)

    async def _poll(self) -> None:
        try:
            failed = 0.0
            await self._aws.sleep(_TOGETHER)
            while self._waiters:
                # first come, first served; steps that join meanwhile get the next read
                asked = list(self._waiters)
                try:
                    found = await self._fetch({waiter.key for waiter in asked})
                except AwsError as error:
                    failed = failed or self._aws.now()
                    if not error.is_passing or self._aws.now() - failed > PATIENCE:
                        raise
                    await self._backoff.wait()
                    continue
                failed = 0.0
                for waiter in asked:
                    waiter.look(found.get(waiter.key))
                if any(waiter not in asked for waiter in self._waiters):
                    continue
                if all(waiter.done.done() for waiter in self._waiters):
                    await asyncio.sleep(0)  # the steps that have waited go on and leave
                    continue
                await self._backoff.wait()
        except Exception as error:  # any error has to reach the waiting steps
            for waiter in self._waiters:
                if not waiter.done.done():
                    waiter.done.set_exception(error)


@dataclass(eq=False)
class _Waiter:
    key: str
    check: Callable[[Any], str]
    say: Callable[[str], None]
    done: asyncio.Future[Any]
    last: str = ""

    def look(self, value: Any) -> None:
        """Whether the value is what the step waits for."""
        if self.done.done():
            return
        try:
            self.last = self.check(value)
        except ReconcileError as error:
            self.done.set_exception(error)
            return
        if self.last:
            self.say(self.last)
        else:
            self.done.set_result(value)
