"""A create in the strict emulator, on its virtual clock, with and without AWS's buckets: `python -m tests.bench.throttled COUNT`."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alb_reconcile.aws.buckets import buckets_of
from alb_reconcile.model.errors import AwsError
from alb_reconcile.model.text import camel
from alb_reconcile.sandbox.strict import StrictAws, VirtualClock
from tests.bench.fleet import allowed
from tests.bench.specs import service
from tests.harness import FAKE_ENVIRONMENT, REGION, World
from tests.sandbox.strict_world import IMAGE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.bench.fleet import Named


@dataclass
class _Went:
    """How it went: virtual seconds, steps that weren't done, calls that AWS throttled, and what its buckets allow for all."""

    seconds: float
    failed: int
    throttled: int
    allowed: float


class _Counted(World):
    """Notes which calls were made, by bucket, and which of them were throttled."""

    def __init__(self, strict: StrictAws, clock: VirtualClock) -> None:
        super().__init__(strict, clock)
        self.made: Counter[Named] = Counter()
        self.throttled = 0

    def _call(self, service: str, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        for name, bucket, tokens in buckets_of(service, camel(operation), lambda: params):
            self.made[f"{service} {name}", bucket] += tokens
        try:
            return super()._call(service, operation, params)
        except AwsError as error:
            self.throttled += error.is_throttled
            raise


def _create(count: int, *, throttling: bool) -> _Went:
    spec = service(count, 1) | {"region": REGION}
    spec["instances"]["web"]["image_id"] = IMAGE
    clock = VirtualClock()
    with StrictAws(clock=clock.now, throttling=throttling) as strict:
        world, began = _Counted(strict, clock), clock.now()
        result = world.apply(spec)
        return _Went(clock.now() - began, len(result.failures), world.throttled, max(allowed(world.made, 1), 0.0))


def main() -> None:
    """Create twice."""
    os.environ.update(FAKE_ENVIRONMENT)
    count = int(sys.argv[1])
    with_buckets, without = _create(count, throttling=True), _create(count, throttling=False)
    print(
        json.dumps(
            {
                "seconds": with_buckets.seconds, "failed": with_buckets.failed, "throttled": with_buckets.throttled,
                "allowed": with_buckets.allowed, "unthrottled": without.seconds,
            }
        )
    )  # fmt: skip


if __name__ == "__main__":
    main()
