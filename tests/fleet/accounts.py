"""Several accounts in one emulator, each reached as its cell's credentials would reach it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from alb_reconcile.api.session import Session
from alb_reconcile.aws.connection import Connection
from alb_reconcile.aws.throttle import Throttle
from alb_reconcile.fleet.credentials import Credentials
from alb_reconcile.model.errors import AwsError, UnreachableError
from tests import direct

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from alb_reconcile.aws.transport import BotoTransport
    from alb_reconcile.fleet.cells import Cell

SPEC = """\
stack: {name}
vpcs: {{main: {{cidr_block: 10.0.0.0/16}}}}
target_groups:
  web: {{vpc: main, protocol: HTTP, port: 80, health_check: {{path: /{name}}}}}
"""
FLEET = """\
fleet: shops
waves:
  - {name: canary, bake: 10m}
  - {name: rest, failure_tolerance: 1}
defaults:
  role: alb-reconcile
  regions: [us-east-1, eu-central-1]
  stacks: [stacks]
  owner: platform
  schedule: 15m
accounts:
  - {account_id: "111111111111", name: first, wave: canary}
  - {account_id: "222222222222", name: second}
  - {account_id: "333333333333", name: third, owner: shops}
"""


@dataclass
class Way:
    """A cell's calls, without the wire. `before` sees each of them first, and may raise."""

    account: str
    region: str
    before: Callable[[str, str, Mapping[str, Any]], None] = lambda *_: None
    endpoint: str = ""
    answered: bool = True

    def __call__(self, service: str, operation: str, params: Mapping[str, Any], /, *, once: bool = False) -> Any:
        """Answer one call. Raises AwsError."""
        self.before(f"{self.account}/{self.region}", operation, params)
        if operation == "get_caller_identity":
            return {"Account": self.account}
        if operation == "get_resources":  # of other services there is nothing
            return {"ResourceTagMappingList": []}
        if service not in direct.RESPONSES:
            raise AwsError(service, operation, "NoSuchResourceException", "There is none here.", "")
        return direct.call(service, operation, params, account=self.account, region=self.region)


@dataclass(frozen=True)
class Accounts(Credentials):
    """Credentials that lead there. `gone`: the accounts whose role can't be assumed; `other`: where an account leads instead."""

    session: Session = field(default_factory=Session)
    gone: set[str] = field(default_factory=set)
    other: dict[str, str] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    before: list[Callable[[str, str, Mapping[str, Any]], None]] = field(default_factory=list)

    def connect(self, cell: Cell) -> Connection:
        """The way to a cell."""
        if cell.account in self.gone:
            raise UnreachableError("the role can't be assumed: AccessDenied: it is gone")
        way = Way(self.other.get(cell.account, cell.account), cell.region, self._see)
        return Connection(cast("BotoTransport", way), 0, speed=1000.0, throttle=Throttle())

    def own(self, region: str) -> Connection:
        """The way to where whoever runs the fleet is."""
        return Connection(cast("BotoTransport", Way("999999999999", region)), 0, speed=1000.0, throttle=Throttle())

    def by_hand(self, cell: Cell, service: str, operation: str, **params: Any) -> Any:
        """What somebody does in an account."""
        return direct.call(service, operation, params, account=cell.account, region=cell.region)

    @property
    def changes(self) -> list[tuple[str, str]]:
        """The cell and the operation of each call that isn't a read."""
        return [item for item in self.calls if not item[1].startswith(("describe_", "get_", "list_"))]

    def _see(self, key: str, operation: str, params: Mapping[str, Any]) -> None:
        self.calls.append((key, operation))
        for look in self.before:
            look(key, operation, params)
