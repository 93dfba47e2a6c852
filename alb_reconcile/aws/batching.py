"""Joins what steps that run at the same time ask of one API action into as few calls as AWS allows."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from alb_reconcile.aws.client import Aws, batches
from alb_reconcile.aws.hints import DENIED
from alb_reconcile.model.errors import AwsError, InterruptedRun

_QUIET: Final = 0.01
_LONGEST: Final = 0.04
"""Seconds for which members are gathered: until no member has come for the first time, and no longer than the second."""
_PATIENCE: Final = 5.0
_LOOK: Final = 0.5
"""Seconds of AWS's time for which members that are expected are waited for, and between two looks whether any still are."""
Send = Callable[[Sequence[str]], Awaitable[object]]
_Waiting = tuple[str, asyncio.Future[None]]
_Members = Mapping[str, asyncio.Future[None]]
"""The futures that wait for an answer, by member."""


class Batch:
    """Gathers the members of one call, which `send` makes: instance ids, targets, ARNs; `most` in a call.

    AWS takes or refuses such a call as a whole. After a refusal the members that AWS's message names get the error, and the other
    members are sent again together; where the message names no member, in halves. The codes in `retry` mean "not yet", as in
    `Aws.call`: the named members, or all, are sent again later. The codes in `of_all` mean no member in particular.
    `names` says whether a message names a member, where a member isn't an id.
    """

    def __init__(
        self,
        aws: Aws,
        send: Send,
        *,
        most: int,
        retry: Mapping[str, float] | None = None,
        of_all: Sequence[str] = (),
        names: Callable[[str, str], bool] | None = None,
    ) -> None:
        self._aws = aws
        self._call = send
        self._most = most
        self._retry = retry or {}
        self._of_all = (*DENIED, *of_all)
        self._names = names or _names
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._task: asyncio.Task[None] | None = None
        self._expects: Callable[[], bool] = lambda: False

    async def add(self, member: str, expects: Callable[[], bool] = lambda: False) -> None:
        """Ask for a member. Returns when the call with the member has succeeded; raises what the call raises. `expects` says whether
        further members will come soon."""
        self._expects = expects
        if not self._waiting:
            self._task = asyncio.ensure_future(self._gather())
        done = self._waiting.setdefault(member, asyncio.get_running_loop().create_future())
        await asyncio.shield(done)

    async def _gather(self) -> None:
        pauses, seen = round(_LONGEST / _QUIET), 0
        while len(self._waiting) > seen and pauses:
            pauses, seen = pauses - 1, len(self._waiting)
            await asyncio.sleep(_QUIET)
        until = self._aws.now() + _PATIENCE
        with suppress(InterruptedRun):  # the call is told of it
            while self._expects() and self._aws.now() < until and len(self._waiting) < self._most:
                await self._aws.sleep(_LOOK)
        gathered, self._waiting = self._waiting, {}
        await self._send_parts(batches(list(gathered.items()), self._most), self._aws.now())

    async def _send_parts(self, parts: Iterable[Sequence[_Waiting]], began: float) -> None:
        await asyncio.gather(*(self._send(dict(part), began) for part in parts))

    async def _send(self, members: _Members, began: float, pause: float = 0.0) -> None:
        """Send members after a pause; after a refusal, send each part of them again as the refusal wants it."""
        try:
            await self._aws.sleep(pause)
            refused = await self._ask(members)
            if refused is None:
                return
            named = {key: done for key, done in members.items() if self._names(refused.message, key)}
            others = {key: done for key, done in members.items() if named and key not in named}
            limit = next((self._retry[code] for code in self._retry if refused.matches(code)), 0.0)
            if self._aws.now() - began < limit:
                later = self._send(named or members, began, min(max(1.0, pause * 1.5), 15.0))
                await asyncio.gather(later, self._send(others, began))
            elif named or len(members) == 1 or refused.is_passing or refused.code in self._of_all:
                _fail(named or members, refused)
                await self._send(others, began)
            else:
                await self._send_parts(batches(list(members.items()), (len(members) + 1) // 2), began)
        except Exception as error:  # any error has to reach the waiting members
            _fail(members, error)

    async def _ask(self, members: _Members) -> AwsError | None:
        """Make one call, if any member still waits. Returns AWS's refusal."""
        if not members:
            return None
        try:
            await self._call(list(members))
        except AwsError as error:
            return error
        for done in members.values():
            done.set_result(None)
        return None


def _fail(members: _Members, error: Exception) -> None:
    for done in members.values():
        if not done.done():
            done.set_exception(error)
            done.exception()  # a member's step may have been interrupted meanwhile


def _names(message: str, member: str) -> bool:
    """Whether AWS's message names a member: an instance's id, a target's without its port, an ARN."""
    name = member if member.startswith("arn:") else member.partition(" ")[0]
    return re.search(rf"(?<![\w.]){re.escape(name)}(?!\w|\.\w)", message) is not None
