"""A fleet on Amazon SQS: workers that are killed and stopped, a cell that always fails, one that another host has."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.locking.durations import LEASE, MARGIN
from tests.e2e.fleets import POISON, OnQueue, WorkerProcess, lease_key, make_fleet, runs_of
from tests.e2e.tool import client
from tests.processes import GUARD, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.tool import Tool

pytest.importorskip("celery", reason="the extra fleet isn't installed")
_LAST = ("last", "other") if os.environ.get("SOAK") else ("last",)
_SMALL = ("111111111111",), ("us-east-1", "us-west-2", "eu-west-1")
_LARGE = (
    tuple(str(number) * 12 for number in range(1, 9)),
    ("us-east-1", "us-west-2", "eu-west-1", "eu-central-1", "ap-southeast-2"),
)


def test_every_cell_converges_though_workers_die(sandbox: Tool, tmp_path: Path) -> None:
    """One worker is killed in the middle of a cell, one is stopped in the middle of another; what is left is done by others.

    The cell that always fails ends in the dead-letter queue, the one that another host has is left alone, and no cell is changed
    by two workers at once.
    """
    accounts, regions = _LARGE if os.environ.get("SOAK") else _SMALL
    fleet = make_fleet(sandbox, accounts, regions, visibility=2, receives=3)
    fleet.apply()
    fleet.drift()
    cells = fleet.cells()
    elsewhere, ours = cells[-1], cells[:-1]
    fleet.hold(elsewhere)
    assert f"{len(cells) + 1} cells put on the queue" in _enqueued(fleet)
    with ExitStack() as stack:
        killed, stopped = (stack.enter_context(fleet.worker(tmp_path / name)) for name in ("killed", "stopped"))
        gates = [worker.proxy.hold("CreateVpc") for worker in (killed, stopped)]
        for gate in gates:  # both are in the middle of a cell, and of different ones
            gate.wait()
        killed.process.kill()
        killed.process.join(GUARD)
        stopped.stop()
        until(lambda: stopped.told("stopping"))
        gates[1].open()
        stopped.process.join(GUARD)
        assert stopped.process.exitcode == 0, stopped.said.read_text()
        *_, given_back = stopped.told("cell_done")
        assert (given_back["result"], given_back["message"]) == ("interrupted", "back")

        others = [stack.enter_context(fleet.worker(tmp_path / name)) for name in _LAST]
        for worker in others:
            _take_over(worker, killed)
        fleet.wait_until_empty()
        for worker in others:
            worker.stop()
            worker.process.join(GUARD)
            assert worker.process.exitcode == 0, worker.said.read_text()
        assert [fleet.groups(cell) for cell in ours] == [1] * len(ours)
        assert fleet.groups(elsewhere) == 0
        workers = [killed, stopped, *others]
        runs = runs_of([worker.proxy for worker in workers])
        assert {(cell.account, cell.region) for cell in ours} == runs.keys()
        assert all(len(order) == len(set(order)) for order in runs.values()), runs
        assert "Traceback" not in "".join(worker.said.read_text() for worker in workers)
    leases = fleet.leases()
    assert [key for key, record in leases.items() if not record.released] == [lease_key(elsewhere)]
    view = json.loads(fleet.tool.run("fleet", "status", "--queue", fleet.url, "--format", "json", expect=1).stdout)
    assert view["queue"]["dead"] == 1
    assert POISON in view["queue"]["letters"][0]
    failed = {cell["account"]: cell for cell in view["cells"] if cell["status"] != "succeeded"}
    assert failed.keys() == {POISON}
    assert "isn't the account that is reached" in failed[POISON]["error"]


def _enqueued(fleet: OnQueue) -> str:
    return fleet.tool.run("fleet", "enqueue", "--queue", fleet.url).stdout


def _take_over(worker: WorkerProcess, dead: WorkerProcess) -> None:
    """Have a worker see the dead one's leases as old as they are in ten minutes."""
    assert dead.process.pid is not None
    worker.proxy.age, worker.proxy.aged = LEASE + MARGIN, {dead.process.pid}


def test_a_queue_that_can_not_be_used_is_one_line(sandbox: Tool) -> None:
    """None is named, it isn't there, nobody answers, or it would lose what always fails."""
    fleet = make_fleet(sandbox, *_SMALL, visibility=2, receives=3)
    url = client("sqs", fleet.port).create_queue(QueueName="without-dead-letters")["QueueUrl"]
    for queue, code, said in (
        ([], 64, "no queue is named; give --queue URL, or set ALB_RECONCILE_FLEET_QUEUE"),
        (["--queue", url], 64, "has no dead-letter queue"),
        (["--queue", f"{url}-gone"], 1, "NonExistentQueue"),
        (["--queue", "redis://127.0.0.1:1/0"], 1, "can't be reached"),
    ):
        ended = fleet.tool.run("fleet", "worker", *queue, expect=code)
        assert said in ended.stderr.splitlines()[-1]
