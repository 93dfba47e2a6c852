"""A run that has a lease may not read or write it, from the beginning or from some call on: nothing is changed without it, and it is
told what to allow."""

from __future__ import annotations

import json
from math import inf
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.guard import Ended
from alb_reconcile.locking.durations import LEASE, MARGIN
from alb_reconcile.locking.lease import Lease
from alb_reconcile.locking.store import LeaseStore
from alb_reconcile.model.errors import ReconcileError
from alb_reconcile.model.text import camel
from tests.harness import REGION, demo
from tests.locking.fake_s3 import FakeS3, refusal
from tests.locking.lab import PLACE, Clocks
from tests.properties.campaign import is_change, left_of, told
from tests.properties.scenarios import LAST_STATES, Way, census, look_of, rolled
from tests.properties.seeds import SOAK
from tests.properties.watched import watched
from tests.virtual import run_virtually

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alb_reconcile.aws.transport import Response
    from tests.properties.watched import WatchedWorld

ROLL = Way(demo, lambda: rolled(min_ready="5m"))
"""It takes longer than a lease that isn't renewed."""


class Host(Aws):
    """A host that may not make one of S3's calls any more, from that many on."""

    def __init__(self, world: WatchedWorld, s3: FakeS3, denied: str, number: float = inf) -> None:
        super().__init__(self._send_to, max_workers=0, region=REGION)
        self.asked = self.changes = 0
        self._world, self._s3, self._denied, self._number = world, s3, denied, number

    def _send_to(self, service: str, operation: str, params: Mapping[str, Any], /, *, once: bool = False) -> Response:
        if service == "s3":
            self.asked += operation == self._denied
            if operation == self._denied and self.asked >= self._number:
                raise refusal(operation, "AccessDenied")
            return self._s3(service, operation, params, once=once)
        if is_change(operation) and "DryRun" not in params:
            body, written = self._s3.objects[PLACE.key]
            assert not json.loads(body)["released"], f"{operation} without the lease"
            assert (self._s3.now - written).total_seconds() < LEASE, f"{operation} after the lease"
            self.changes += 1
        return self._world._ask(service, operation, params, once=once)

    async def run(self, way: Way) -> str:
        """Go the way under the lease. Returns what the user is told of what wasn't done, and of the lease."""
        said = list[str]()
        lease = Lease(self, LeaseStore(self, PLACE), "demo", "apply", said.append, Clocks(self._world.clock).make())
        try:
            await lease.acquire(0)
            said.append(left_of(await self._world.go(self, way.target, **way.run_options)))
        except ReconcileError as error:
            said.append(told(error))
        finally:
            self.guard = Ended()
            await lease.release()
        return "\n".join(filter(None, said))


def go(world: WatchedWorld, host: Host, way: Way = ROLL) -> str:
    """Let the host go the way."""
    said: str = run_virtually(world.clock, host.run(way))
    return said


@pytest.mark.slow
@pytest.mark.parametrize("operation", ["get_object", "put_object"])
def test_a_lease_that_may_not_be_had_is_told_and_the_next_run_finishes(operation: str) -> None:
    """From the first call on, from the first renewal, which loses it half-way, and from the last; at length from each. A run before has
    left the lease there, free."""
    with watched() as world:
        world.converge(demo())
        s3 = FakeS3(world.clock)
        assert go(world, Host(world, s3, operation), Way(demo, demo)) == ""
        there, start = dict(s3.objects), world.moment()
        whole = Host(world, s3, operation)
        assert go(world, whole) == ""
        world.clock.advance(LAST_STATES)
        good = look_of(world, ROLL), census(world)
        numbers = range(1, whole.asked + 1)
        changes = list[int]()
        for number in numbers if SOAK else sorted({*numbers[:1], *numbers[2:3], *numbers[-1:]}):
            world.go_back(start)
            s3.objects = dict(there)
            host = Host(world, s3, operation, number)
            said = go(world, host)
            assert f"allow the IAM action s3:{camel(operation)} on {PLACE.arn}" in said, f"{number}: {said}"
            changes.append(host.changes)
            world.clock.advance(LEASE + MARGIN)
            assert go(world, Host(world, s3, operation)) == "", number
            world.clock.advance(LAST_STATES)
            assert (look_of(world, ROLL), census(world)) == good, number
        assert changes[0] == 0, "nothing is changed without one"
        assert operation == "get_object" or 0 < changes[len(changes) // 2] < whole.changes, "one is lost half-way"
