"""Reaches a cell's account by assuming its role, and refuses any other account."""

import threading
from dataclasses import dataclass, field, replace
from typing import Any

from alb_reconcile.api.session import Session, connect, default_region
from alb_reconcile.aws.connection import Connection
from alb_reconcile.fleet.cells import Cell
from alb_reconcile.model.errors import RefusedError


@dataclass(frozen=True)
class Credentials:
    """Connections to all accounts of a fleet: the session that assumes their roles, and the credentials of roles that were assumed.

    The credentials are in memory only. Each account has a pace of its own, since it has limits of its own.
    """

    session: Session
    usual_burst: float = 0.6
    """The share of AWS's request limits; no user waits for a fleet, and others may use the account."""
    _assumed: dict[str, Any] = field(default_factory=dict)
    _sessions: dict[str, Session] = field(default_factory=dict)
    _own: list[Connection] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def connect(self, cell: Cell) -> Connection:
        """The connection to a cell. Sends no request yet. Raises what `session.connect` raises."""
        with self._lock:
            session = self._sessions.setdefault(cell.account, replace(self.session))
        return connect(session, cell.region, usual_burst=self.usual_burst, role=cell.role, assumed=self._assumed)

    def own(self, region: str) -> Connection:
        """The connection with the runner's own credentials, which keeps leases; in `region` where no region is configured."""
        with self._lock:
            if not self._own:
                self._own.append(connect(self.session, default_region(self.session) or region))
            return self._own[0]

    async def open(self, cell: Cell) -> Connection:
        """The connection to a cell, once it has answered and leads to the right account.

        Raises RefusedError where the connection leads to another account; UnreachableError where the role can't be assumed; what
        `connect` raises.
        """
        connection = self.connect(cell)
        aws = connection.client()
        try:
            account = await connection.until_answered(aws.account())
        finally:
            aws.close()
        if account != cell.account:
            how = f"the role {cell.role.arn}" if cell.role else "the credentials in use, since no role is named for it,"
            raise RefusedError(
                f"{cell.account} isn't the account that is reached: {how} belongs to account {account}; nothing was looked at or changed. "
                "Correct account_id or role in the fleet's file"
            )
        return connection
