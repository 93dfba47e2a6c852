"""Holding a lease: taken, renewed in the background, asked before each change, given back."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from alb_reconcile.aws import timeouts
from alb_reconcile.locking import terms
from alb_reconcile.locking.claim import Claim, Sighting
from alb_reconcile.locking.store import MovedError, Store, UnansweredError
from alb_reconcile.model.clock import Clock
from alb_reconcile.model.errors import HeldError, LeaseError, LeaseLostError
from alb_reconcile.model.host import iso, user_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from alb_reconcile.aws.client import Aws
    from alb_reconcile.model.clock import Moment

_TRIES: Final = 5


class Lease:
    """The lease of one run over one stack. While it is held it is the guard of the run's changes (Aws.guard)."""

    def __init__(
        self,
        aws: Aws,
        store: Store,
        title: str,
        command: str,
        say: Callable[[str], None],
        clock: Clock | None = None,
    ) -> None:
        self.title = title
        self._aws = aws
        self._store = store
        self._say = say
        self._clock = clock or Clock()
        self._claim = Claim(
            owner=secrets.token_hex(16), host=socket.gethostname(), user=user_name(), pid=os.getpid(),
            command=command, since="", seconds=terms.SECONDS, writes=0,
        )  # fmt: skip
        self._etag: str | None = None
        self._unsure = False
        """Whether our claim may be there though S3 hasn't said so."""
        self._mark: Moment | None = None
        """The moment before the last write that succeeded was sent; None if it isn't held."""
        self._tried: Moment | None = None
        """The moment before the last write was sent, whatever came of it."""
        self._failed: Moment | None = None
        """When the last renewal failed; None if it succeeded."""
        self._lost: LeaseLostError | None = None
        self._writing = asyncio.Lock()
        self._keeper: asyncio.Task[None] | None = None

    async def acquire(self, timeout: float) -> None:
        """Take it, within so many seconds. Raises HeldError with who has it, LeaseError, InterruptedRun."""
        now = asyncio.get_running_loop().time
        deadline, waited = now() + timeout, False
        seen = await self._take(None)
        while seen is not None:
            if now() >= deadline:
                raise HeldError(self._held(seen))
            if not waited:
                self._say(f"waiting for {seen.claim.render()}, which holds {self.title} by a lease")
                waited = True
            await self._aws.pause(min(terms.POLL, max(deadline - now(), 0.05)))
            seen = await self._take(seen)
        self._aws.guard = self
        self._keeper = asyncio.ensure_future(self._keep())

    async def _take(self, seen: Sighting | None) -> Sighting | None:
        """Try once. Returns who has it; None if it is ours now."""
        if seen is not None:  # it is there: look before anything is written
            seen = await self._store.read()
        for _ in range(_TRIES):
            if seen is not None and seen.free_in > 0:
                return seen
            self._claim = replace(self._claim, since=iso(time.time()))
            try:
                await self._write(seen.etag if seen else None)
            except _TakenError as taken:
                seen = taken.seen
                continue
            if seen is None and not await self._store.is_strict():
                self._etag = self._mark = None
                raise self._store.unable()
            return None
        raise LeaseError(
            f"{self.title}: its lease {self._store.place.url} changes hands faster than it can be read"
        )

    async def _write(self, etag: str | None, **changes: str) -> None:
        """Write our claim over what has that ETag. Raises _TakenError with what is there instead, LeaseError."""
        self._claim = replace(self._claim, **changes)  # type: ignore[arg-type]  # mypy takes it for each field's type
        for _ in range(_TRIES):
            self._claim = replace(self._claim, writes=self._claim.writes + 1)
            mark = self._tried = self._clock.now()
            try:
                self._etag = await self._store.write(self._claim, etag)
            except MovedError:
                self._unsure = True
                seen = await self._store.read()
                if seen is None or not seen.claim.is_of(self._claim.owner):
                    self._unsure = False
                    raise _TakenError(seen) from None
                etag = seen.etag  # an earlier write of ours took effect, and its answer was lost
                continue
            except UnansweredError:
                self._unsure = True
                raise
            self._mark, self._unsure, self._store.urgent = mark, False, True
            return
        raise LeaseError(
            f"the lease {self._store.place.url} can't be written: S3 refuses what it has just told"
        )

    def _left(self) -> float:
        """Seconds for which it holds yet, at least."""
        return 0.0 if self._mark is None else self._claim.seconds - self._clock.passed(self._mark)

    async def permit(self, seconds: float, /) -> None:
        """Guard.permit: it holds for longer than that, if need be after a renewal. Raises LeaseLostError."""
        if self._must_ask(seconds):
            async with self._writing:
                if self._must_ask(seconds):
                    await self._renew(needed=seconds)
        if self._lost is not None:
            raise self._lost

    def _must_ask(self, seconds: float) -> bool:
        """Whether it is to be renewed before a call: too little is left of it, or it may have been broken and taken.

        While S3 is away the latter isn't asked before each call.
        """
        left = self._left()
        if self._lost is not None or left > max(seconds, self._claim.seconds - terms.NOTICE):
            return False
        return left <= seconds or self._failed is None or self._clock.passed(self._failed) >= terms.AGAIN

    def check(self, seconds: float, /) -> None:
        """Guard.check, from any thread. Raises LeaseError.

        Where S3 wasn't even asked for longer than others wait for who lost it, this process was frozen.
        """
        asked = self._tried is not None and self._clock.passed(self._tried) < terms.NOTICE
        if self._lost is not None or self._left() <= seconds or not asked:
            raise LeaseError(
                f"{self.title}: its lease {self._store.place.url} was too old when this was to be sent; it wasn't sent"
            )

    async def _renew(self, *, needed: float) -> str:
        """Renew it; it is lost where somebody else has it, or where too little is left. Returns what went wrong."""
        problem = ""
        self._failed = None
        try:
            await self._write(self._etag)
        except _TakenError as taken:
            self._lose(self._taken(taken.seen), to_another=True)
        except LeaseError as error:
            problem, self._failed = str(error), self._clock.now()
        if self._lost is None and self._left() <= needed:
            why = problem or "what a renewal gives is less than a call may take"
            self._lose(f"{self.title}: its lease ran out before it could be renewed: {why}", to_another=False)
        return problem

    def _lose(self, why: str, *, to_another: bool) -> None:
        self._lost = LeaseLostError(why, to_another=to_another)
        self._aws.halt(self._lost)

    async def _keep(self) -> None:
        """Renew it every minute; where that fails, more often, for as long as the longest call would have time."""
        pause, told = terms.RENEW, False
        while self._lost is None:
            await asyncio.sleep(pause)
            async with self._writing:
                problem = await self._renew(needed=timeouts.settled_all("ec2")) if self._lost is None else ""
            pause = terms.AGAIN if problem else terms.RENEW
            if problem and not told and self._lost is None:
                self._say(f"{problem}; it is tried again for as long as the lease lasts")
            told = bool(problem)

    async def release(self) -> None:
        """Give it back, where it is ours. Never raises: what can't be given back runs out."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        etag, self._mark, self._store.urgent = self._etag, None, True
        if (etag is None and not self._unsure) or (self._lost is not None and self._lost.to_another):
            return
        url, minutes = self._store.place.url, (self._claim.seconds + terms.MARGIN) / 60
        if self._aws.is_changing:
            self._say(
                f"a call is still under way: the lease {url} is left to run out, within {minutes:.0f} minutes"
            )
            return
        try:
            if etag is None and (etag := await self._find_own()) is None:
                return
            await self._write(etag, released=iso(time.time()))
        except _TakenError as taken:
            self._say(self._taken(taken.seen))
        except LeaseError as error:
            given = (
                "the lease wasn't given back, and" if etag else "if S3 has taken down the lease after all, it"
            )
            self._say(f"{given} runs out within {minutes:.0f} minutes: {error}")
        finally:
            self._mark = None  # nothing is sent under it any more

    async def _find_own(self) -> str | None:
        """The ETag of our claim, if it is there. Raises LeaseError."""
        seen = await self._store.read()
        return seen.etag if seen is not None and seen.claim.is_of(self._claim.owner) else None

    def _held(self, seen: Sighting) -> str:
        url = self._store.place.url
        if seen.claim.broken_by:
            return (
                f"{self.title}: the lease {url} was broken by {seen.claim.broken()}; whoever held it has until "
                f"{seen.good_until} to notice. Nothing was changed; wait until then, with --lock-timeout if you like"
            )
        return (
            f"{self.title} is held by {seen.claim.render()}, by the lease {url}, which holds until {seen.good_until} "
            "unless that run renews it; nothing was changed. Wait for it, with --lock-timeout if you like; if that run "
            "is dead and you can't wait: alb-reconcile lock break"
        )

    def _taken(self, seen: Sighting | None) -> str:
        lease = f"{self.title}: its lease {self._store.place.url}"
        if seen is None:
            return f"{lease} was deleted by somebody"
        if seen.claim.owner == self._claim.owner:
            return f"{lease} was broken by {seen.claim.broken()}"
        past = ", and has let go of it since" if seen.claim.released else ""
        return f"{lease} was lost: {seen.claim.render()} took it over{past}"


class _TakenError(Exception):
    """The object isn't what it was, nor ours; `seen` is what is there now."""

    def __init__(self, seen: Sighting | None) -> None:
        super().__init__()
        self.seen = seen
