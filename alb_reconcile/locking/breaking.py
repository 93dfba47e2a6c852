"""Breaks a lease, for a person who knows that the run that holds it is dead, or who wants that run to stop."""

import socket
import time
from typing import Final

import msgspec

from alb_reconcile.locking import durations
from alb_reconcile.locking.lease_record import ObservedLease
from alb_reconcile.locking.store import LeaseStore, MovedError
from alb_reconcile.model.errors import LeaseError, RefusedError
from alb_reconcile.model.host import iso, user_name
from alb_reconcile.model.text import printable

_TRIES: Final = 5


async def break_lease(store: LeaseStore, seen: ObservedLease) -> ObservedLease | None:
    """Take the lease from the run that was seen to hold it. Returns the lease as it is then; None if it was released meanwhile.

    Raises RefusedError if another run has the lease by now, LeaseError.
    """
    owner, now = seen.record.owner, seen
    by = printable(f"{user_name()} on {socket.gethostname()} at {iso(time.time())}")
    for _ in range(_TRIES):
        broken = msgspec.structs.replace(
            now.record,
            broken_by=by,
            seconds=min(durations.BREAK_NOTICE, now.record.seconds),
            writes=now.record.writes + 1,
        )
        try:
            await store.write(broken, now.etag)
        except MovedError:  # renewed, most likely
            pass
        else:
            return await store.read()
        found = await store.read()
        if found is None or found.record.released:
            return None
        if found.record.owner != owner:
            raise RefusedError(
                f"meanwhile {found.record.render()} holds {store.location.url}; nothing was broken. Look again"
            )
        now = found
    raise LeaseError(f"the lease {store.location.url} changes faster than it can be broken; try again")
