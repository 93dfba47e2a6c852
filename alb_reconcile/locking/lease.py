"""Holds a lease over a stack: takes it, renews it in the background, is asked before each change, and gives it back."""

import asyncio
import os
import secrets
import socket
import time
from collections.abc import Callable, Collection
from typing import Final

import msgspec

from alb_reconcile.aws import timeouts
from alb_reconcile.aws.client import Aws
from alb_reconcile.locking import durations
from alb_reconcile.locking.lease_record import LeaseRecord, ObservedLease
from alb_reconcile.locking.store import LeaseStore, MovedError, UnansweredError
from alb_reconcile.model.advice import advised
from alb_reconcile.model.clock import Clock, Moment
from alb_reconcile.model.errors import HeldError, LeaseError, LeaseLostError
from alb_reconcile.model.host import iso, user_name
from alb_reconcile.model.text import printable

_TRIES: Final = 5


class Lease:
    """The lease of one run over one stack. While the run holds it, the lease is the guard of the run's changes (Aws.guard)."""

    def __init__(
        self,
        aws: Aws,
        store: LeaseStore,
        title: str,
        command: str,
        say: Callable[[str], None],
        clock: Clock | None = None,
        named: Collection[str | tuple[str, str]] = ("SPEC",),
    ) -> None:
        """`named`: the arguments by which messages name the stack in commands."""
        self.title = title
        self._named = named
        self._aws = aws
        self._store = store
        self._say = say
        self._clock = clock or Clock()
        self._record = LeaseRecord(
            owner=secrets.token_hex(16), host=printable(socket.gethostname()), user=printable(user_name()), pid=os.getpid(),
            command=command, since="", seconds=durations.LEASE, writes=0,
        )  # fmt: skip
        self._etag: str | None = None
        self._uncertain = False
        """Whether this run's record may be in S3 though S3 hasn't said so."""
        self._written: Moment | None = None
        """The moment before the last write that succeeded was sent; None if the lease isn't held."""
        self._tried: Moment | None = None
        """The moment before the last write was sent, whatever came of it."""
        self._failed: Moment | None = None
        """When the last renewal failed; None if it succeeded."""
        self._lost: LeaseLostError | None = None
        self._writing = asyncio.Lock()
        self._renewal: asyncio.Task[None] | None = None

    async def acquire(self, timeout: float, say_waiting: Callable[[str], None] | None = None) -> None:
        """Take the lease, within so many seconds. `say_waiting` is told which run is waited for, instead of `say`.

        Raises HeldError with the run that has the lease, LeaseError, InterruptedRun.
        """
        now = asyncio.get_running_loop().time
        deadline, waited = now() + timeout, False
        seen = await self._try(None)
        while seen is not None:
            if now() >= deadline:
                raise HeldError(self._held(seen))
            if not waited:
                (say_waiting or self._say)(self._waiting(seen))
                waited = True
            await self._aws.pause(min(durations.POLL_INTERVAL, max(deadline - now(), 0.05)))
            seen = await self._try(seen)
        self._aws.guard = self
        self._renewal = asyncio.ensure_future(self._renew_regularly())

    async def _try(self, seen: ObservedLease | None) -> ObservedLease | None:
        """Try once to take the lease. Returns another run's lease; None if this run has it now."""
        if seen is not None:  # it is there: look before anything is written
            seen = await self._store.read()
        for _ in range(_TRIES):
            if seen is not None and seen.free_in > 0:
                return seen
            self._record = msgspec.structs.replace(self._record, since=iso(time.time()))
            try:
                await self._write(seen.etag if seen else None)
            except _TakenOverError as taken:
                seen = taken.seen
                continue
            if seen is None and not await self._store.is_strict():
                self._etag = self._written = None
                raise self._store.unable()
            return None
        raise LeaseError(f"{self.title}: its lease {self._store.location.url} changes hands faster than it can be read")

    async def _write(self, etag: str | None, *, released: str = "") -> None:
        """Write this run's record over the object with that ETag. Raises _TakenOverError with what is there instead, LeaseError."""
        self._record = msgspec.structs.replace(self._record, released=released)
        for _ in range(_TRIES):
            self._record = msgspec.structs.replace(self._record, writes=self._record.writes + 1)
            mark = self._tried = self._clock.now()
            try:
                self._etag = await self._store.write(self._record, etag)
            except MovedError:
                self._uncertain = True
                seen = await self._store.read()
                if seen is None or not seen.record.is_of(self._record.owner):
                    self._uncertain = False
                    raise _TakenOverError(seen) from None
                etag = seen.etag  # an earlier write of this run took effect, and its answer was lost
                continue
            except UnansweredError:
                self._uncertain = True
                raise
            self._written, self._uncertain, self._store.urgent = mark, False, True
            return
        raise LeaseError(
            f"the lease {self._store.location.url} can't be written: S3 refuses a write that its last answer allows"
        )

    def _left(self) -> float:
        """Seconds for which the lease still holds, at least."""
        return 0.0 if self._written is None else self._record.seconds - self._clock.passed(self._written)

    async def permit(self, seconds: float, /) -> None:
        """Carry out Guard.permit: the lease holds for longer than that, if need be after a renewal. Raises LeaseLostError."""
        if self._needs_renewal(seconds):
            async with self._writing:
                if self._needs_renewal(seconds):
                    await self._renew(needed=seconds)
        if self._lost is not None:
            raise self._lost

    def _needs_renewal(self, seconds: float) -> bool:
        """Whether the lease is to be renewed before a call: too little is left of it, or it may have been broken and taken.

        While S3 can't be reached, a lease that may have been broken isn't renewed before each call.
        """
        left = self._left()
        if self._lost is not None or left > max(seconds, self._record.seconds - durations.BREAK_NOTICE):
            return False
        return left <= seconds or self._failed is None or self._clock.passed(self._failed) >= durations.RETRY_INTERVAL

    def check(self, seconds: float, /) -> None:
        """Carry out Guard.check, from any thread. Raises LeaseError.

        If this run hasn't even tried to write for as long as others wait after they break a lease, this process was frozen.
        """
        asked = self._tried is not None and self._clock.passed(self._tried) < durations.BREAK_NOTICE
        if self._lost is not None or self._left() <= seconds or not asked:
            raise LeaseError(
                f"{self.title}: its lease {self._store.location.url} was too old for this call, which wasn't sent"
            )

    async def _renew(self, *, needed: float) -> str:
        """Renew the lease; it is lost if another run has it, or if too little is left. Returns what went wrong."""
        problem = ""
        self._failed = None
        try:
            await self._write(self._etag)
        except _TakenOverError as taken:
            self._lose(self._taken(taken.seen), to_another=True)
        except LeaseError as error:
            problem, self._failed = str(error), self._clock.now()
        if self._lost is None and self._left() <= needed:
            why = problem or "a renewal gives less time than a call may take"
            self._lose(f"{self.title}: its lease expired before it could be renewed: {why}", to_another=False)
        return problem

    def _lose(self, why: str, *, to_another: bool) -> None:
        self._lost = LeaseLostError(why, to_another=to_another)
        self._aws.halt(self._lost)

    async def _renew_regularly(self) -> None:
        """Renew the lease every minute; after a failure more often, for as long as the longest call would have time."""
        pause, told = durations.RENEW_INTERVAL, False
        while self._lost is None:
            await asyncio.sleep(pause)
            async with self._writing:
                problem = await self._renew(needed=timeouts.settled_all("ec2")) if self._lost is None else ""
            pause = durations.RETRY_INTERVAL if problem else durations.RENEW_INTERVAL
            if problem and not told and self._lost is None:
                self._say(f"{problem}; retrying for as long as the lease lasts")
            told = bool(problem)

    async def release(self) -> None:
        """Give the lease back, if this run has it. Never raises: a lease that can't be given back expires."""
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.gather(self._renewal, return_exceptions=True)
        etag, self._written, self._store.urgent = self._etag, None, True
        if (etag is None and not self._uncertain) or (self._lost is not None and self._lost.to_another):
            return
        url, minutes = self._store.location.url, (self._record.seconds + durations.MARGIN) / 60
        if self._aws.is_changing:
            self._say(f"a call is still in progress: the lease {url} is left to expire, within {minutes:.0f} minutes")
            return
        try:
            if etag is None and (etag := await self._find_own()) is None:
                return
            await self._write(etag, released=iso(time.time()))
        except _TakenOverError as taken:
            self._say(self._taken(taken.seen))
        except LeaseError as error:
            given = "the lease wasn't released, and" if etag else "if S3 has stored the lease after all, it"
            self._say(
                f"{given} expires within {minutes:.0f} minutes (--lock-timeout {minutes // 1 + 1:.0f}m waits for that): {error}"
            )
        finally:
            self._written = None  # nothing is sent under it any more

    async def _find_own(self) -> str | None:
        """The ETag of this run's record, if it is there. Raises LeaseError."""
        seen = await self._store.read()
        return seen.etag if seen is not None and seen.record.is_of(self._record.owner) else None

    def _waiting(self, seen: ObservedLease) -> str:
        who, until = seen.record.render(), seen.good_until
        if seen.record.broken_by:
            by = seen.record.broken()
            return f"waiting until {until}: the lease of {self.title} was broken by {by}, and its holder has until then to notice: {who}"
        return f"waiting for {who}, which holds the lease of {self.title} until {until} unless it renews it"

    def _held(self, seen: ObservedLease) -> str:
        url = self._store.location.url
        if seen.record.broken_by:
            return (
                f"{self.title}: the lease {url} was broken by {seen.record.broken()}; its holder has until "
                f"{seen.good_until} to notice. Nothing was changed; try again then, or wait with --lock-timeout"
            )
        held = f"{self.title} is held by {seen.record.render()}, by the lease {url}, "
        free = advised("lock break", *self._named)
        if seen.record.is_dead():
            minutes = (durations.LEASE + durations.MARGIN) // 60 + 1
            return (
                f"{held}which holds until {seen.good_until}: that run was on this host, and its process is gone "
                "(or in another container); nothing was changed. "
                f"Wait for it with --lock-timeout {minutes:.0f}m, or free it sooner: {free}"
            )
        return (
            f"{held}{seen.renewed}, which holds until {seen.good_until} unless that run renews it; nothing was changed. "
            f"Try again later, or wait with --lock-timeout; if that run is dead and you can't wait: {free}"
        )

    def _taken(self, seen: ObservedLease | None) -> str:
        lease = f"{self.title}: its lease {self._store.location.url}"
        if seen is None:
            return f"{lease} was deleted by someone"
        if seen.record.owner == self._record.owner:
            return f"{lease} was broken by {seen.record.broken()}"
        past = ", and has released it since" if seen.record.released else ""
        return f"{lease} was lost: {seen.record.render()} took it over{past}"


class _TakenOverError(Exception):
    """The object isn't what it was, nor this run's; `seen` is what is there now."""

    def __init__(self, seen: ObservedLease | None) -> None:
        super().__init__()
        self.seen = seen
