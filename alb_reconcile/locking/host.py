"""One run at a time on a host: a lock for each account, region and stack, that dies with its holder."""

from __future__ import annotations

import asyncio
import getpass
import json
import math
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from alb_reconcile.model.clock import Clock, Moment
from alb_reconcile.model.errors import HeldError, ReconcileError
from alb_reconcile.model.host import iso
from alb_reconcile.model.text import digest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from filelock import BaseFileLock

_POLL: Final = 0.5
_LOOKERS: Final = 10
"""How often to look again, at short intervals, at a lock of which its file says that nobody has it: `is_held` looks too."""
_LATEST: Final = 32_503_680_000.0
"""The year 3000, in seconds since the epoch: what is later can't be a time that we wrote."""
FOLDER_VARIABLE: Final = "ALB_RECONCILE_LOCK_DIR"


@dataclass(frozen=True)
class Holder:
    """Who holds a lock, or held it last. `released` is empty while it does, and for ever if it was killed."""

    command: str
    user: str
    pid: int
    since: float
    """Seconds since the epoch, as are those below."""
    released: float | None = None
    steady: float = 0.0
    """When it was released on the host's clock that doesn't jump, in seconds since its start."""

    def render(self) -> str:
        """As in `alb-reconcile apply` (user ops, process 4711) since 2026-11-24T03:00:00Z."""
        return f"alb-reconcile {self.command} (user {self.user}, process {self.pid}) since {iso(self.since)}"


def folder() -> Path:
    """Where the locks are: ALB_RECONCILE_LOCK_DIR for those of several users, else the user's own."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen:
        return Path(chosen)
    try:
        state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    except RuntimeError:  # a user without a home
        raise ReconcileError(f"there is no home folder to keep locks in; set {FOLDER_VARIABLE}") from None
    return Path(state) / "alb-reconcile" / "locks"


class StackLock:
    """The lock of one stack. `endpoint` tells an emulator's account from the real one of that number.

    The kernel lets go of it for whoever dies; what the file beside it says is for people, and for who comes next.
    """

    def __init__(self, account: str, region: str, stack: str, endpoint: str) -> None:
        self.title = f"{stack} (account {account}, {region})"
        self._path = folder() / f"{account}-{region}-{stack}-{digest([endpoint], 8)}"
        self._lock: BaseFileLock | None = None
        self._own: Holder | None = None
        self._used: Moment | None = None
        """Until when others may have held it; None if nobody ever has."""

    async def acquire(
        self,
        command: str,
        timeout: float,
        sleep: Callable[[float], Awaitable[None]],
        say: Callable[[str], None],
    ) -> None:
        """Take it, within so many seconds. Raises HeldError with who has it, ReconcileError if it can't be kept."""
        from filelock import FileLock, Timeout

        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            fresh = not self._path.with_name(self._path.name + ".lock").exists()
            lock = FileLock(self._path.with_name(self._path.name + ".lock"), mode=0o660)
        except OSError as error:
            raise self._unusable(error) from None
        deadline = time.monotonic() + timeout
        waited, lookers = False, _LOOKERS
        while True:
            try:
                lock.acquire(blocking=False)
                break
            except Timeout:
                holder = self.holder()
                if lookers and (holder is None or holder.released is not None):
                    lookers -= 1
                    await asyncio.sleep(0.02)
                    continue
                # one that has ended isn't who has it: that one couldn't write who it is
                who = holder.render() if holder and holder.released is None else "another run"
                if time.monotonic() >= deadline:
                    raise HeldError(
                        f"{self.title} is held by {who}; nothing was changed. Wait for it, with --lock-timeout if you like"
                    ) from None
                if not waited:
                    say(f"waiting for {who}, which holds {self.title}")
                    waited = True
                await sleep(_POLL)
            except OSError as error:
                raise self._unusable(error) from None
        self._lock, before = lock, self.holder()
        # killed, or not to be read: nobody knows until when
        if fresh and not waited:
            self._used = None
        elif waited or before is None or before.released is None:
            self._used = Moment(math.inf, math.inf)
        else:
            self._used = Moment(before.steady, before.released)
        self._own = Holder(command, _user(), os.getpid(), time.time())
        self._write(self._own)

    def release(self) -> None:
        """Let go of it."""
        if self._lock is not None and self._own is not None:
            now = Clock().now()
            self._write(replace(self._own, released=now.wall, steady=now.steady))
            self._lock.release()
            self._lock = None

    def is_held(self) -> bool:
        """Whether somebody has it now. Makes nothing, and takes it for a moment. Raises ReconcileError."""
        from filelock import FileLock, Timeout

        path = self._path.with_name(self._path.name + ".lock")
        try:
            if not path.exists():
                return False
            lock = FileLock(path, mode=0o660)
            lock.acquire(blocking=False)
        except Timeout:
            return True
        except OSError as error:
            raise self._unusable(error) from None
        lock.release()
        return False

    def was_used_since(self, moment: Moment) -> bool:
        """Whether somebody may have held it after that moment, before it was ours, by any of the two clocks."""
        used = self._used
        return used is not None and (used.steady >= moment.steady or used.wall >= moment.wall)

    def holder(self) -> Holder | None:
        """Who has it, or had it last."""
        with suppress(OSError, ValueError, TypeError):
            found = Holder(**json.loads(self._path.with_name(self._path.name + ".json").read_text("utf-8")))
            times = (found.since, found.released or 0.0, found.steady)
            if all(isinstance(item, int | float) and 0 <= item < _LATEST for item in times):
                return found
        return None

    def _write(self, holder: Holder) -> None:
        file = self._path.with_name(self._path.name + ".json")
        draft = file.with_name(f"{file.name}.{os.getpid()}")
        with suppress(OSError):  # it is for people; the lock itself holds without
            draft.write_text(json.dumps(asdict(holder)) + "\n", encoding="utf-8")
            draft.replace(file)

    def _unusable(self, error: OSError) -> ReconcileError:
        return ReconcileError(
            f"the lock of {self.title} can't be kept in {self._path.parent}: {(error.strerror or str(error)).lower()}; "
            f"nothing was changed. Set {FOLDER_VARIABLE} to a folder that you may write"
        )


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return str(os.getuid())
