"""A lock on a host for each account, region and stack, so that one run at a time works on it; the lock ends with its process."""

import asyncio
import math
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final

import msgspec
from filelock import BaseFileLock, FileLock, Timeout

from alb_reconcile.model.clock import Clock, Moment
from alb_reconcile.model.errors import HeldError, ReconcileError
from alb_reconcile.model.files import read_file, write_file
from alb_reconcile.model.host import iso, user_name, user_state_folder
from alb_reconcile.model.machine import remedy
from alb_reconcile.model.text import digest, printable

_POLL_INTERVAL: Final = 0.5
_PROBES: Final = 10
"""How often to look again, at short intervals, at a lock that has no holder by its file: `is_held`, too, takes the lock for a moment."""
FOLDER_VARIABLE: Final = "ALB_RECONCILE_LOCK_DIR"


_Seconds = Annotated[float, msgspec.Meta(ge=0, lt=32_503_680_000)]
"""Until the year 3000: this program can't have written a later time."""


class LockHolder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The run that holds a lock, or held it last. `released` is empty while the run holds it, and for ever if the run was killed."""

    command: str
    user: str
    pid: int
    since: _Seconds
    """Seconds since the epoch, as is `released`."""
    released: _Seconds | None = None
    steady: _Seconds = 0.0
    """When the lock was released, by the host's clock that doesn't jump, in seconds since that clock's start."""

    def render(self) -> str:
        """The run in words, as in `alb-reconcile apply (user ops, process 4711) since 2026-11-24T03:00:00Z`."""
        return f"alb-reconcile {self.command} (user {self.user}, process {self.pid}) since {iso(self.since)}"


def folder() -> Path:
    """The folder of the locks: ALB_RECONCILE_LOCK_DIR for those of several users, else the user's own."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen:
        return Path(chosen)
    try:
        return user_state_folder(os.environ) / "locks"
    except RuntimeError:  # a user without a home
        raise ReconcileError(f"there is no home folder to keep locks in; set {FOLDER_VARIABLE}") from None


_HOLDER: Final = msgspec.json.Decoder(LockHolder)


class StackLock:
    """The lock of one stack. `endpoint` distinguishes an emulator's account from the real one of that number.

    The kernel releases the lock when its process dies; the file next to it is for people, and for the next run.
    """

    def __init__(self, account: str, region: str, stack: str, endpoint: str) -> None:
        self.title = f"{stack} (account {account}, {region})"
        name = f"{account}-{region}-{stack}-{digest([endpoint], 8)}"
        self._file, self._holder_file = folder() / f"{name}.lock", folder() / f"{name}.json"
        self._lock: BaseFileLock | None = None
        self._own: LockHolder | None = None
        self._used: Moment | None = None
        """Until when other runs may have held the lock; None if none ever has."""

    async def acquire(
        self, command: str, timeout: float, sleep: Callable[[float], Awaitable[None]], say: Callable[[str], None]
    ) -> None:
        """Take the lock, within so many seconds. Raises HeldError with the run that has it, ReconcileError if it can't be kept."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            fresh = not self._file.exists()
            lock = FileLock(self._file, mode=0o660)
        except OSError as error:
            raise self._unusable(error) from None
        deadline = time.monotonic() + timeout
        waited, probes = False, _PROBES
        while True:
            try:
                lock.acquire(blocking=False)
                break
            except Timeout:
                holder = self.holder()
                if probes and (holder is None or holder.released is not None):
                    probes -= 1
                    await asyncio.sleep(0.02)
                    continue
                # a run that has ended doesn't hold it: the one that does couldn't write its file
                who = holder.render() if holder and holder.released is None else "another run"
                if time.monotonic() >= deadline:
                    raise HeldError(
                        f"{self.title} is held by {who}; nothing was changed. Try again later, or wait with --lock-timeout"
                    ) from None
                if not waited:
                    say(f"waiting for {who}, which holds the lock of {self.title} on this host")
                    waited = True
                await sleep(_POLL_INTERVAL)
            except OSError as error:
                raise self._unusable(error) from None
        self._lock, before = lock, self.holder()
        # killed, or not readable: the moment of the release isn't known
        if fresh and not waited:
            self._used = None
        elif waited or before is None or before.released is None:
            self._used = Moment(math.inf, math.inf)
        else:
            self._used = Moment(before.steady, before.released)
        self._own = LockHolder(command, printable(user_name()), os.getpid(), time.time())
        self._write(self._own)

    def release(self) -> None:
        """Release the lock."""
        if self._lock is not None and self._own is not None:
            now = Clock().now()
            self._write(msgspec.structs.replace(self._own, released=now.wall, steady=now.steady))
            self._lock.release()
            self._lock = None

    def is_held(self) -> bool:
        """Whether a process has the lock now. Makes no file, and takes the lock for a moment. Raises ReconcileError."""
        try:
            if not self._file.exists():
                return False
            lock = FileLock(self._file, mode=0o660)
            lock.acquire(blocking=False)
        except Timeout:
            return True
        except OSError as error:
            raise self._unusable(error) from None
        lock.release()
        return False

    def was_used_since(self, moment: Moment) -> bool:
        """Whether another run may have held the lock after that moment, before this one did, by any of the two clocks."""
        used = self._used
        return used is not None and (used.steady >= moment.steady or used.wall >= moment.wall)

    def holder(self) -> LockHolder | None:
        """The run that has the lock, or had it last; None if its file is gone or damaged."""
        with suppress(OSError, ValueError, RecursionError):
            return _HOLDER.decode(read_file(self._holder_file, 65_536))
        return None

    def _write(self, holder: LockHolder) -> None:
        draft = self._holder_file.with_name(f"{self._holder_file.name}.{os.getpid()}")
        with suppress(OSError):  # it is for people; the lock itself holds without it
            write_file(draft, msgspec.json.encode(holder) + b"\n")
            draft.replace(self._holder_file)

    def _unusable(self, error: OSError) -> ReconcileError:
        return ReconcileError(
            f"the lock of {self.title} can't be kept in {self._file.parent}: {(error.strerror or str(error)).lower()}; "
            f"nothing was changed; {remedy(error, f'set {FOLDER_VARIABLE} to a folder that you can write to')}"
        )
