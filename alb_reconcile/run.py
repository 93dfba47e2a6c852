"""What a step has at hand while it runs: AWS, names and tags, waits that share their reads, and a voice."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from alb_reconcile import tags
from alb_reconcile.aws import Aws
from alb_reconcile.errors import AwsError, ReconcileError
from alb_reconcile.kind import is_anchor
from alb_reconcile.values import Address, digest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

    from alb_reconcile.kind import Desired

NOT_YET: Final = 300.0
"""Seconds for which a resource that we just made may be unknown to other calls."""

LIFTED: Final[Mapping[str, float]] = {"OperationNotPermitted": 60.0}
"""For how many seconds a protection that we just lifted may still be in the way."""

_TOGETHER: Final = 0.03
"""Seconds before the first look, so that those who begin to wait at the same time share it."""


@contextmanager
def telling(text: str) -> Iterator[None]:
    """Whatever goes wrong within is told with something that one has to know then."""
    try:
        yield
    except ReconcileError as error:
        error.args = (f"{error}; {text}",)
        raise


class WaitError(ReconcileError):
    """Something that was waited for didn't come."""


@dataclass(eq=False)
class _Waiter:
    key: str
    check: Callable[[Any], str]
    done: asyncio.Future[Any]
    say: Callable[[str], None]


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


@dataclass
class Run:
    """One run over one stack."""

    aws: Aws
    stack: str
    ids: dict[Address, str] = field(default_factory=dict)
    applied: str = ""
    """What the tag of that name is to say."""
    say: Callable[[str], None] = lambda _: None
    """Reports what the step at hand waits for."""
    watches: dict[str, Watch] = field(default_factory=dict)
    locks: dict[str, asyncio.Lock] = field(default_factory=dict)
    memory: dict[str, Any] = field(default_factory=dict)
    """What was read in this run and doesn't change."""
    departed: set[str] = field(default_factory=set)
    """Registrations that this run has ended; a read may not show it yet."""
    notes: Mapping[str, Any] = field(default_factory=dict)
    """What the step at hand was planned with beyond its properties."""

    def tag_list(self, desired: Desired) -> list[dict[str, str]]:
        """The tags for a create call."""
        made = tags.tags_of(desired, self.stack)
        # a launch is repeated with the very same tags, so what other entries say stays out of it
        if self.applied and is_anchor(desired.state):
            made[tags.APPLIED] = self.applied
        return tags.to_list(made)

    def tag_specification(self, resource_type: str, desired: Desired) -> list[dict[str, Any]]:
        """The same for EC2."""
        return [{"ResourceType": resource_type, "Tags": self.tag_list(desired)}]

    def physical_name(self, desired: Desired, settings: Iterable[object], salt: str, limit: int) -> str:
        """`<stack>-<name>-<hash>`: the hash over stack, address, the bound immutable settings and what it replaces."""
        mark = digest([self.stack, str(desired.address), [str(item) for item in settings], salt], 8)
        stem = re.sub(r"[^A-Za-z0-9-]", "-", f"{self.stack}-{desired.address.name}")[: limit - 9].rstrip("-")
        return f"{stem}-{mark}"

    def watch(
        self, name: str, fetch: Callable[[set[str]], Awaitable[Mapping[str, Any]]], *, slowest: float = 10.0
    ) -> Watch:
        """The one watch of that name."""
        if name not in self.watches:
            self.watches[name] = Watch(self.aws, fetch, slowest=slowest)
        return self.watches[name]

    def lock(self, name: str) -> asyncio.Lock:
        """The one lock of that name."""
        return self.locks.setdefault(name, asyncio.Lock())

    async def gone(
        self,
        service: str,
        operation: str,
        *,
        retry: Mapping[str, float] | None = None,
        missing: Iterable[str],
        **params: Any,
    ) -> bool:
        """A call for which "not found" is no failure, as for a delete. Returns whether there was something."""
        try:
            await self.aws.call(service, operation, retry=retry, **params)
        except AwsError as error:
            if error.code in missing:
                return False
            raise
        return True
