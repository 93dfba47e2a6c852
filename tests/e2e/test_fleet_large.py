"""A thousand stacks on a queue in Redis: workers that are killed and stopped at random, a broker that is restarted; with SOAK=1."""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.api.session import Session
from alb_reconcile.fleet.document import load_fleet
from alb_reconcile.fleet.queues import Queue
from alb_reconcile.locking.durations import LEASE, MARGIN
from tests.e2e.buckets import Buckets
from tests.e2e.fleets import BUCKET, POISON, OnQueue, WorkerProcess, lease_key, runs_of
from tests.e2e.tool import Tool, client
from tests.processes import GUARD, until
from tests.redis_server import running_redis

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from alb_reconcile.fleet.cells import Cell

celery_app = pytest.importorskip("alb_reconcile.fleet.celery_app", reason="the extra fleet isn't installed")
pytestmark = pytest.mark.skipif(not os.environ.get("SOAK"), reason="takes many minutes; with SOAK=1")
ACCOUNTS = tuple(f"{number:012}" for number in range(100_000_000_001, 100_000_000_051))
REGIONS = ("us-east-1", "us-west-2")
STACKS = 10
WORKERS = 4
ENDS = 8
"""How many workers are ended on the way, every other one by SIGKILL."""
DEMAND = 25.0
"""Requests of an account and region that are a second of AWS's buckets, which refill so slowly as if others asked as well."""
LONGEST = 3600.0
"""Seconds for a command over all of them, on a machine that has other work."""
GONE = "888888888888"
"""An account whose role can't be assumed any more."""
_SPEC = """\
stack: service-{number}
vpcs: {{main: {{cidr_block: 10.{number}.0.0/16}}}}
subnets:
  a: {{cidr_block: 10.{number}.0.0/24, availability_zone: a}}
  b: {{cidr_block: 10.{number}.1.0/24, availability_zone: b}}
target_groups:
  web: {{vpc: main, port: 80, protocol: HTTP}}
load_balancers:
  web:
    scheme: internal
    subnets: [a, b]
    listeners: {{http: {{protocol: HTTP, port: 80, default_action: {{forward: web}}}}}}
"""
_WELL = "stack: broken\nvpcs: {main: {cidr_block: 10.200.0.0/16}}\n"
_BROKEN = "stack: broken\ntarget_groups:\n  web: {vpc: nowhere, port: 80, protocol: HTTP}\n"


@dataclass
class _Team:
    """The workers that live, and all that ever did."""

    fleet: OnQueue
    folder: Path
    stack: ExitStack
    buckets: Buckets
    alive: list[WorkerProcess] = field(default_factory=list)
    ever: list[WorkerProcess] = field(default_factory=list)
    dead: set[int] = field(default_factory=set)

    def begin(self) -> None:
        place = self.folder / f"worker-{len(self.ever)}"
        worker = self.stack.enter_context(self.fleet.worker(place))
        worker.proxy.buckets = self.buckets
        self.alive.append(worker)
        self.ever.append(worker)
        self._tell()

    def end(self, worker: WorkerProcess, *, kill: bool) -> None:
        """By SIGKILL, after which its leases are as old for the others as they are in ten minutes; or by SIGTERM."""
        self.alive.remove(worker)
        if not kill:
            self._stop(worker)
            return
        worker.process.kill()
        worker.process.join(GUARD)
        assert worker.process.pid is not None
        self.dead.add(worker.process.pid)
        self._tell()

    def end_all(self) -> None:
        for worker in self.alive:
            self._stop(worker)

    def done(self) -> int:
        return sum(len(worker.told("cell_done")) for worker in self.ever)

    def busy(self) -> list[WorkerProcess]:
        return [worker for worker in self.alive if len(worker.told("cell_begun")) > len(worker.told("cell_done"))]

    def _tell(self) -> None:
        for worker in self.alive:
            worker.proxy.age, worker.proxy.aged = LEASE + MARGIN, set(self.dead)

    @staticmethod
    def _stop(worker: WorkerProcess) -> None:
        worker.stop()
        worker.process.join(GUARD)
        assert worker.process.exitcode == 0, worker.said.read_text()


def test_a_thousand_stacks(sandbox: Tool, tmp_path: Path) -> None:
    """Every stack converges but those of the cells that can't; nothing is changed by two at once, lost, or left locked."""
    (tmp_path / "redis").mkdir()
    with ExitStack() as stack:
        broker = stack.enter_context(ExitStack())
        port = broker.enter_context(running_redis(tmp_path / "redis"))
        address = f"redis://127.0.0.1:{port}/0?visibility_timeout=5"
        fleet = _make_fleet(sandbox, address)
        watch = _Watch()
        fleet.apply("--parallel", str(STACKS), timeout=LONGEST)
        watch.note("applied")
        _refuse(fleet, GONE)
        (fleet.tool.folder / "broken.yaml").write_text(_BROKEN)
        cells = [cell for cell in fleet.cells() if cell.account != GONE]
        assert sum(_drift(fleet, cell) for cell in cells) == len(cells) * STACKS
        elsewhere, *ours = cells
        fleet.hold(elsewhere)
        fleet.tool.run("fleet", "enqueue", "--queue", address)
        watch.note("drifted")

        dead = 1 + len(REGIONS)
        team, dice = _Team(fleet, tmp_path, stack, Buckets(DEMAND)), random.Random(19)
        for _ in range(WORKERS):
            team.begin()
        for number in range(ENDS):
            goal = (number + 1) * len(ours) // (ENDS + 2)
            until(lambda goal=goal: team.done() >= goal and team.busy())  # type: ignore[misc]  # mypy can't type a lambda's default
            team.end(dice.choice(team.busy() or team.alive), kill=number % 2 == 0)
            team.begin()
            if number == ENDS // 2:
                broker.close()
                broker.enter_context(running_redis(tmp_path / "redis", port))
        _wait_until_empty(fleet, address, team.done, dead)
        team.end_all()
        watch.note("corrected")

        proxies = [worker.proxy for worker in team.ever]
        throttled = Counter(operation for proxy in proxies for operation in proxy.throttled)
        print(watch, f"{sum(throttled.values())} calls throttled: {dict(throttled)}", sep="\n")
        assert throttled
        runs = runs_of(proxies)
        assert {(cell.account, cell.region) for cell in ours} == runs.keys()
        assert all(len(order) == len(set(order)) for order in runs.values()), runs
        assert "Traceback" not in "".join(worker.said.read_text() for worker in team.ever)
        leases = fleet.leases()
        assert [key for key, record in leases.items() if not record.released] == [lease_key(elsewhere)]
        view = json.loads(fleet.tool.run("fleet", "status", "--queue", address, "--format", "json", expect=1).stdout)
        found = _planned(fleet)
        watch.note("planned")
        print(watch)
    assert (view["queue"]["waiting"], view["queue"]["in_flight"], view["queue"]["dead"]) == (0, 0, dead)
    failed = {cell["account"] for cell in view["cells"] if cell["status"] != "succeeded"}
    assert failed == {POISON, GONE, ACCOUNTS[0]}
    for cell in ours:
        stacks = {"in_sync": STACKS, **({"broken": 1} if cell.account == ACCOUNTS[0] else {})}
        assert found[cell.key] == stacks, cell
    assert found[elsewhere.key] == {"changes": STACKS}


class _Watch:
    """How long each part took."""

    def __init__(self) -> None:
        self._since, self._parts = time.monotonic(), list[str]()

    def note(self, part: str) -> None:
        now = time.monotonic()
        self._parts.append(f"{part} in {now - self._since:.0f} s")
        self._since = now

    def __str__(self) -> str:
        return ", ".join(self._parts)


def _planned(fleet: OnQueue) -> dict[str, dict[str, int]]:
    """By cell, how many of its stacks are as their specs say, and what is with the others."""
    cells = json.loads(fleet.tool.run("fleet", "plan", "--format", "json", expect=1, timeout=LONGEST).stdout)["cells"]
    return {
        f"{cell['account']}/{cell['region']}": Counter(stack["result"] for stack in cell["stacks"]) for cell in cells
    }


def _make_fleet(tool: Tool, address: str) -> OnQueue:
    """One with a poisoned cell, an account whose role will be gone, and a spec that will be broken."""
    client("s3", tool.state()["port"]).create_bucket(Bucket=BUCKET)
    (tool.folder / "stacks").mkdir()
    for number in range(STACKS):
        (tool.folder / "stacks" / f"{number}.yaml").write_text(_SPEC.format(number=number))
    (tool.folder / "broken.yaml").write_text(_WELL)
    told = {
        "fleet": "many",
        "results": f"s3://{BUCKET}/fleet",
        "operation_preferences": {"max_concurrent": 16, "failure_tolerance": "100%"},
        "defaults": {"regions": list(REGIONS), "stacks": ["stacks"], "schedule": "1h"},
        "accounts": [
            *({"account_id": account, "role": "reconciler"} for account in (*ACCOUNTS[1:], GONE)),
            {"account_id": ACCOUNTS[0], "role": "reconciler", "stacks": ["stacks", "broken.yaml"]},
            {"account_id": POISON, "regions": [REGIONS[0]]},
        ],
    }
    (tool.folder / "fleet.yaml").write_text(json.dumps(told))  # YAML, too
    return OnQueue(tool, (*ACCOUNTS, GONE), REGIONS, address)


def _refuse(fleet: OnQueue, account: str) -> None:
    """An account's role trusts nobody any more."""
    nobody = {"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    fleet.owner(account, "iam", REGIONS[0]).update_assume_role_policy(
        RoleName="reconciler", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [nobody]})
    )


def _drift(fleet: OnQueue, cell: Cell) -> int:
    """Somebody deletes each stack's listener and its target group. Returns how many of those there were."""
    elb = fleet.owner(cell.account, "elbv2", cell.region)
    for balancer in elb.describe_load_balancers()["LoadBalancers"]:
        for listener in elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]:
            elb.delete_listener(ListenerArn=listener["ListenerArn"])
    groups = elb.describe_target_groups()["TargetGroups"]
    for group in groups:
        elb.delete_target_group(TargetGroupArn=group["TargetGroupArn"])
    return len(groups)


def _wait_until_empty(fleet: OnQueue, address: str, done: Callable[[], int], dead: int) -> None:
    """No message waits, no worker has one, and so many were given up: one that a worker is just taking is in none of Redis's lists."""
    queue = Queue.parse(address)
    app = celery_app.make_app(queue, load_fleet(str(fleet.tool.folder / "fleet.yaml"), {}), Session())
    seen = -1
    while done() > seen:  # each GUARD something must be done
        seen = done()

        def is_empty() -> bool:
            state = celery_app.look(app, queue)
            return (state.waiting, state.in_flight, state.dead) == (0, 0, dead)

        try:
            until(is_empty)
        except AssertionError:
            continue
        return
    raise AssertionError(f"nothing is done any more, with {celery_app.look(app, queue)} in the queue")
