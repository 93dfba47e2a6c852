"""Two hosts apply two versions of a spec at the same time, their calls in any order; with a lease they take turns."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.guard import Ended
from alb_reconcile.locking.durations import LEASE, MARGIN
from alb_reconcile.locking.lease import Lease
from alb_reconcile.locking.store import LeaseStore
from alb_reconcile.model.errors import ExitCode, ReconcileError
from tests.locking.fake_s3 import FakeS3
from tests.locking.lab import PLACE, Clocks
from tests.properties.campaign import is_change, left_of, told, trial
from tests.properties.scenarios import ALL
from tests.properties.seeds import sampled, try_seeds
from tests.virtual import run_virtually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from random import Random

    from alb_reconcile.aws.transport import Response
    from tests.properties.campaign import Campaign, Trial
    from tests.properties.scenarios import Way

SEEDS = 500
VERSIONS = ("roll", "another group", "a new rule", "scale out")
"""Of the demo: the second host's, which is to be reached in the end, and the first one's."""
PATIENT = 6 * 3600.0


class Host(Aws):
    """A host whose calls take any time to begin."""

    def __init__(self, world: Campaign, s3: FakeS3, chance: Random) -> None:
        super().__init__(self._send_to, max_workers=0, region="us-east-1")
        self._world, self._s3, self._chance, self._slow = world, s3, chance, chance.choice((0.5, 3.0, 20.0))
        self.lease: Lease | None = None
        self.freezes_at = 0
        """Before which of the calls that it makes under its lease it is frozen, until another one may have that."""

    def _send_to(self, service: str, operation: str, params: Mapping[str, Any], /, *, once: bool = False) -> Response:
        if service == "s3":
            return self._s3(service, operation, params, once=once)
        if self.lease is not None and is_change(operation) and "DryRun" not in params:
            record = json.loads(self._s3.objects[PLACE.key][0])
            assert record["owner"] == self.lease._record.owner, f"{operation} under another one's lease"
            assert not record["released"], f"{operation} after the lease was given back"
        return self._world._ask(service, operation, params, once=once)

    async def _once(self, *args: Any, **options: Any) -> Response:
        await asyncio.sleep(self._chance.expovariate(1 / self._slow))
        renewal = self.lease._renewal if self.lease is not None else None
        self.freezes_at -= renewal is not None
        if self.freezes_at == 0 and renewal is not None:
            renewal.cancel()
            await asyncio.sleep(LEASE + MARGIN + self._chance.uniform(-60, 300))
        return await super()._once(*args, **options)

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """As `locking.hold.held` does it, without the host's own lock."""
        clock = Clocks(self._world.clock).make()
        lease = self.lease = Lease(self, LeaseStore(self, PLACE), "demo", "apply", lambda _: None, clock)
        try:
            await lease.acquire(PATIENT)
            yield
        finally:
            self.guard = Ended()
            await lease.release()

    async def run(self, way: Way, after: float, *, leased: bool) -> str:
        """Go a way, some time from now. Returns why another run is needed."""
        await asyncio.sleep(after)
        try:
            if not leased:
                return left_of(await self._world.go(self, way.target, **way.run_options))
            async with self.held():
                return left_of(await self._world.go(self, way.target, **way.run_options))
        except ReconcileError as error:
            return told(error, ExitCode.HELD)


def go_both(second: Trial, first: Way, chance: Random, *, leased: bool) -> list[str]:
    """Both at once. Returns how each has ended."""
    s3 = FakeS3(second.world.clock)

    async def main() -> list[str]:
        hosts = [Host(second.world, s3, chance) for _ in range(2)]
        if chance.random() < 0.5:
            hosts[chance.randint(0, 1)].freezes_at = chance.randint(1, 60)
        delays = [chance.choice((0.0, chance.uniform(0, 200))) for _ in hosts]
        runs = zip(hosts, (first, second.way), delays, strict=True)
        return await asyncio.gather(*(host.run(way, delay, leased=leased) for host, way, delay in runs))

    found: list[str] = run_virtually(second.world.clock, main())
    return found


@pytest.mark.parametrize("leased", [False, True])
@pytest.mark.parametrize("name", sampled(VERSIONS, 4))
def test_after_two_hosts_at_once_one_run_is_enough(name: str, leased: bool) -> None:
    """Nothing exists twice and nothing is left behind. With a lease nobody changes anything in another one's turn, not even who
    was frozen past its end, and capacity is kept."""
    with trial(name) as way:

        def check(chance: Random) -> None:
            way.begin()
            first = ALL[chance.choice([item for item in VERSIONS if item != name])]
            ended = go_both(way, first, chance, leased=leased)
            try:
                way.finish(1)
                way.check(floor=min(first.floor, way.way.floor) if leased else 0)
            except AssertionError as error:
                raise AssertionError(f"{error}; before it {ended}") from error

        try_seeds(1, SEEDS // len(VERSIONS), check)
