"""A lab for leases: several runs over one stack, each with clocks of its own, all on one virtual clock and one S3."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from alb_reconcile.aws.client import Aws
from alb_reconcile.locking.lease import Lease
from alb_reconcile.locking.store import LeaseLocation, LeaseStore
from alb_reconcile.model.clock import Clock
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.sandbox.strict import VirtualClock
from tests.locking.fake_s3 import FakeS3
from tests.virtual import run_virtually

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

LEASED = DesiredStack("shop", "eu-west-1", {}, lease="s3://our-leases/prod")
PLACE = LeaseLocation.of("s3://our-leases/prod", "123456789012", "eu-west-1", "shop")


@dataclass
class Clocks:
    """A machine's clocks: true unless a test says otherwise."""

    clock: VirtualClock
    steady_off: float = 0.0
    wall_off: float = 0.0

    def make(self) -> Clock:
        return Clock(lambda: self.clock.now() + self.steady_off, lambda: self.clock.now() + self.wall_off)


@dataclass
class Runner:
    """One run on one host."""

    aws: Aws
    store: LeaseStore
    lease: Lease
    clocks: Clocks
    said: list[str]

    async def change(self) -> None:
        """A call that changes something."""
        await self.aws.call("ec2", "create_tags")

    def freeze(self) -> None:
        """Its loop stands still, or is gone: after SIGKILL, at a prompt, in a process that was stopped."""
        assert self.lease._renewal is not None
        self.lease._renewal.cancel()

    @property
    def changes(self) -> int:
        return self.aws.calls.get("create_tags", 0)


@dataclass
class Lab:
    clock: VirtualClock = field(default_factory=VirtualClock)
    s3: FakeS3 = field(init=False)

    def __post_init__(self) -> None:
        self.s3 = FakeS3(self.clock)

    def runner(self, command: str = "apply") -> Runner:
        """Inside of `run` only."""
        aws = Aws(self.s3, max_workers=0)
        clocks, said = Clocks(self.clock), list[str]()
        store = LeaseStore(aws, PLACE)
        lease = Lease(aws, store, "shop (account 123456789012, eu-west-1)", command, said.append, clocks.make())
        return Runner(aws, store, lease, clocks, said)

    async def holder(self, command: str = "apply") -> Runner:
        """One that has the lease."""
        runner = self.runner(command)
        await runner.lease.acquire(0)
        return runner

    def run(self, main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        return run_virtually(self.clock, main())

    @property
    def stored(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.s3.objects[PLACE.key][0])
        return found
