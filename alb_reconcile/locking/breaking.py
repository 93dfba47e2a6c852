"""Breaking a lease: for whoever knows that its holder is dead, or wants it to stop."""

from __future__ import annotations

import socket
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from alb_reconcile.locking import terms
from alb_reconcile.locking.store import MovedError
from alb_reconcile.model.errors import LeaseError, RefusedError
from alb_reconcile.model.host import iso, user_name

if TYPE_CHECKING:
    from alb_reconcile.locking.claim import Sighting
    from alb_reconcile.locking.store import Store

_TRIES: Final = 5


async def break_lease(store: Store, seen: Sighting) -> Sighting | None:
    """Take the lease from the run that was seen to hold it. Returns it as it is then; None if it was let go meanwhile.

    Raises RefusedError if another run has it by now, LeaseError.
    """
    owner, now = seen.claim.owner, seen
    by = f"{user_name()} on {socket.gethostname()} at {iso(time.time())}"
    for _ in range(_TRIES):
        broken = replace(
            now.claim, broken_by=by, seconds=min(terms.NOTICE, now.claim.seconds), writes=now.claim.writes + 1
        )
        try:
            await store.write(broken, now.etag)
        except MovedError:  # renewed, most likely
            pass
        else:
            return await store.read()
        found = await store.read()
        if found is None or found.claim.released:
            return None
        if found.claim.owner != owner:
            raise RefusedError(
                f"meanwhile {found.claim.render()} holds {store.place.url}; nothing was broken. Look again"
            )
        now = found
    raise LeaseError(f"the lease {store.place.url} changes faster than it can be broken; try again")
