"""How long a round of `sync` over one cell takes: the product's own, on a virtual clock, in the strict emulator with AWS's buckets."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from moto.core.models import DEFAULT_ACCOUNT_ID

from alb_reconcile.aws.buckets import buckets_of
from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.connection import Connection
from alb_reconcile.aws.throttle import Throttle
from alb_reconcile.fleet.credentials import Credentials
from alb_reconcile.journal.settings import read_settings
from alb_reconcile.model.errors import AwsError
from alb_reconcile.model.text import camel
from alb_reconcile.sandbox.strict import StrictAws, Timing, VirtualClock
from alb_reconcile.sync.rounds import Rounds
from alb_reconcile.sync.stack import Ways
from alb_reconcile.sync.targets import Targets
from tests.harness import FAKE_ENVIRONMENT, REGION, World, load
from tests.virtual import run_virtually

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from alb_reconcile.aws.transport import BotoTransport
    from alb_reconcile.model.desired_stack import DesiredStack
    from tests.bench.fleet import Named
    from tests.harness import Spec

LATENCY: Final = 0.1
"""Seconds that AWS takes for a call."""
CONNECTIONS: Final = 16
"""Of a worker, as `Session` has it."""
PACE: Final = Credentials.usual_pace


@dataclass(frozen=True)
class Round:
    """One round over so many stacks that nobody has touched: its seconds, calls, throttled calls, and tokens by bucket."""

    stacks: int
    seconds: float
    calls: int
    throttled: int
    tokens: Mapping[Named, int]


class _Counted(World):
    """An account that counts calls."""

    answered = True

    def __init__(self, strict: StrictAws, clock: VirtualClock) -> None:
        super().__init__(strict, clock)
        self.forget()

    def forget(self) -> None:
        self.calls, self.throttled = 0, 0
        self.tokens: Counter[Named] = Counter()

    def _call(self, service: str, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        self.calls += 1
        for name, bucket, tokens in buckets_of(service, camel(operation), lambda: params):
            self.tokens[f"{service} {name}", bucket] += tokens
        try:
            answer = super()._call(service, operation, params)
        except AwsError as error:
            self.throttled += error.is_throttled
            raise
        if operation == "describe_account_limits":  # AWS has raised them: 50 load balancers is the default
            answer["Limits"] = [{**limit, "Max": "10000"} for limit in answer["Limits"]]
        return answer

    def __call__(
        self, service: str, operation: str, params: Mapping[str, Any], /, *, once: bool = False
    ) -> dict[str, Any]:
        """The transport."""
        if operation == "get_caller_identity":
            return {"Account": DEFAULT_ACCOUNT_ID}
        return self._call(service, operation, params)


class _Lanes:
    """Stands for the client's threads: so many calls at once, each of which takes its time on the loop's clock."""

    def __init__(self) -> None:
        self._free = CONNECTIONS
        self._waiting: list[Callable[[], None]] = []

    def submit(self, send: Callable[[], Any]) -> Future[Any]:
        """As an executor has it."""
        future: Future[Any] = Future()

        def begin() -> None:
            asyncio.get_running_loop().call_later(LATENCY, end)

        def end() -> None:
            try:
                future.set_result(send())
            except Exception as error:  # it is the caller's
                future.set_exception(error)
            if self._waiting:
                self._waiting.pop(0)()
            else:
                self._free += 1

        if self._free:
            self._free -= 1
            begin()
        else:
            self._waiting.append(begin)
        return future

    def shutdown(self, **_: Any) -> None:
        """As an executor has it."""


class _AtOnce(ThreadPoolExecutor):
    """Writes to disk without a thread, for which a virtual clock wouldn't wait."""

    def submit(self, fn: Any, /, *args: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **named))
        return future


class _Virtual(Connection):
    def client(self) -> Aws:
        aws = Aws(self.transport, max_workers=0, region=REGION, throttle=self.throttle)
        aws._pool = cast("ThreadPoolExecutor", _Lanes())
        return aws


def _small(number: int) -> Spec:
    """A network, a target group, and a load balancer with a listener."""
    network = f"10.{number % 250}"
    return {
        "stack": f"service-{number:03}",
        "region": REGION,
        "vpcs": {"main": {"cidr_block": f"{network}.0.0/16"}},
        "subnets": {
            zone: {"vpc": "main", "cidr_block": f"{network}.{at}.0/24", "availability_zone": zone}
            for at, zone in enumerate("ab")
        },
        "security_groups": {
            "web": {
                "vpc": "main",
                "description": "HTTP",
                "ingress": [{"protocol": "tcp", "port": 80, "cidr_block": "10.0.0.0/8"}],
            }
        },
        "target_groups": {"web": {"vpc": "main", "protocol": "HTTP", "port": 80}},
        "load_balancers": {
            "main": {
                "scheme": "internal",
                "subnets": ["a", "b"],
                "security_groups": ["web"],
                "listeners": {"http": {"protocol": "HTTP", "port": 80, "default_action": {"forward": "web"}}},
            }
        },
    }  # fmt: skip


def rounds(sizes: tuple[int, ...]) -> list[Round]:
    """A round for each number of stacks, which grow, in one account. Raises RuntimeError where not all were in sync."""
    os.environ.update(FAKE_ENVIRONMENT)
    clock, found = VirtualClock(), list[Round]()
    with tempfile.TemporaryDirectory() as folder, StrictAws(clock.now, Timing(), throttling=True) as strict:
        os.environ["ALB_RECONCILE_LOCK_DIR"] = str(Path(folder) / "locks")
        world = _Counted(strict, clock)
        targets: list[DesiredStack] = []
        for size in sizes:
            while len(targets) < size:
                spec = _small(len(targets))
                world.converge(spec)
                targets.append(load(spec).target())
            clock.advance(600)  # the buckets are full again
            world.forget()
            began = clock.now()
            run_virtually(clock, _round(world, Targets(tuple(targets)), Path(folder)))
            found.append(Round(size, clock.now() - began, world.calls, world.throttled, dict(world.tokens)))
    return found


async def _round(world: _Counted, targets: Targets, folder: Path) -> None:
    asyncio.get_running_loop().set_default_executor(_AtOnce())
    connection = _Virtual(cast("BotoTransport", world), CONNECTIONS, throttle=Throttle(PACE))
    over = Rounds(lambda _: connection, read_settings({}, state_dir=str(folder)), Ways(), parallel=4, lock_timeout=0)
    report = await over.run(targets)
    over.close()
    results = Counter(record.result for record in report.records)
    if results != {"in_sync": len(targets.stacks)} or report.broken:
        raise RuntimeError(f"not all were in sync: {results}, {report.broken}, {[r.error for r in report.records][:3]}")
