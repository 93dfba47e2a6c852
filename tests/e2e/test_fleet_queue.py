"""A fleet on a queue: workers that are killed and stopped, a cell that always fails, one that another host has."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.api.session import Session
from alb_reconcile.fleet.document import load_fleet
from alb_reconcile.fleet.iam_policy import fleet_policies
from alb_reconcile.fleet.queues import Queue
from alb_reconcile.locking.durations import LEASE, MARGIN
from tests.e2e.proxy import in_front_of
from tests.kinds.authorization import Request, is_allowed
from tests.processes import GUARD, until
from tests.redis_server import running_redis

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.tool import Tool

pytest.importorskip("celery", reason="the extra fleet isn't installed")

from alb_reconcile.fleet.celery_app import enqueue, make_app
from tests.e2e.fleets import POISON, OnQueue, WorkerProcess, lease_key, make_fleet, make_queue, runs_of

_SMALL = ("111111111111",), ("us-east-1",)
_MANY = {
    "http": (("111111111111", "222222222222", "333333333333"), ("us-east-1",)),
    "redis": (
        tuple(str(number) * 12 for number in range(1, 9)),
        ("us-east-1", "us-west-2", "eu-west-1", "eu-central-1", "ap-southeast-2"),
    ),
}
"""By the kind of queue."""


@pytest.fixture(params=["sqs", "redis"])
def queue(request: pytest.FixtureRequest, sandbox: Tool, tmp_path: Path) -> Iterator[str]:
    """Its URL. A message is hidden for two seconds."""
    if request.param == "sqs":
        yield make_queue(sandbox, visibility=2, receives=3)
    else:
        with running_redis(tmp_path) as port:
            yield f"redis://127.0.0.1:{port}/0?visibility_timeout=2"


def test_every_cell_converges_though_workers_die(sandbox: Tool, queue: str, tmp_path: Path) -> None:
    """One worker is killed in the middle of a cell, one is stopped in the middle of another; what is left is done by others.

    The cell that always fails ends in the dead-letter queue, the one that another host has is left alone, and no cell is changed
    by two workers at once.
    """
    fleet = make_fleet(sandbox, *_MANY[queue.partition(":")[0]], queue)
    fleet.apply()
    fleet.drift()
    cells = fleet.cells()
    elsewhere, ours = cells[-1], cells[:-1]
    fleet.hold(elsewhere)
    with in_front_of(sandbox, tmp_path / "enqueuer") as (enqueuer, host):
        told = host.run("fleet", "enqueue", str(sandbox.folder / "fleet.yaml"), "--queue", queue).stdout
    assert f"{len(cells) + 1} cells put on the queue" in told
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

        others = [stack.enter_context(fleet.worker(tmp_path / name)) for name in ("last", "other")]
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
        said = [line for worker in workers for line in worker.said.read_text().splitlines()]
        assert [line for line in said if not line.startswith("{")] == []
    if queue.startswith("http"):
        _hold_against_policies(fleet, set().union(*(worker.proxy.asked for worker in workers)), enqueuer.asked)
    leases = fleet.leases()
    assert [key for key, record in leases.items() if not record.released] == [lease_key(elsewhere)]
    view = json.loads(fleet.tool.run("fleet", "status", "--queue", fleet.url, "--format", "json", expect=1).stdout)
    assert view["queue"]["dead"] == 1
    assert POISON in view["queue"]["letters"][0]
    failed = {cell["account"]: cell for cell in view["cells"] if cell["status"] != "succeeded"}
    assert failed.keys() == {POISON}
    assert "isn't the account that is reached" in failed[POISON]["error"]


def _hold_against_policies(fleet: OnQueue, worker: set[tuple[str, str]], enqueuer: set[tuple[str, str]]) -> None:
    """What `iam-policy` prints for them allows all of these calls, and nothing that nobody calls."""
    queue = Queue.parse("https://sqs.us-east-1.amazonaws.com/123456789012/cells")
    found = load_fleet(str(fleet.tool.folder / "fleet.yaml"), {})
    policies = fleet_policies(found, [(cell, ()) for cell in found.cells], "sync", queue, issue=False)
    for documents, asked, uncalled in (
        (policies.administration, worker, {"s3:ListBucket"}),  # by which S3 tells what isn't there from what is denied
        (policies.enqueue, enqueuer, {"s3:ListBucket", "s3:GetObject"}),  # of --due
    ):
        assert [item for item in asked if not is_allowed(documents, Request(*item, {}))] == []
        stated = [part["Action"] for item in documents for part in item["Statement"]]
        named = {name for actions in stated for name in ([actions] if isinstance(actions, str) else actions)}
        assert named - {name for name, _ in asked} == uncalled


def _take_over(worker: WorkerProcess, dead: WorkerProcess) -> None:
    """Have a worker see the dead one's leases as old as they are in ten minutes."""
    assert dead.process.pid is not None
    worker.proxy.age, worker.proxy.aged = LEASE + MARGIN, {dead.process.pid}


def test_a_message_whose_time_is_over_is_told(sandbox: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed worker's: the cell's lease holds for longer than its schedule's next look is away. It is no failure."""
    fleet = make_fleet(sandbox, *_SMALL, make_queue(sandbox, visibility=2, receives=3))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    found, queue = load_fleet(str(sandbox.folder / "fleet.yaml"), {}), Queue.parse(fleet.url)
    session = Session(endpoint_url=f"http://127.0.0.1:{fleet.port}", region="us-east-1")
    enqueue(make_app(queue, found, session), queue, fleet.cells(), lambda _: -1)
    with fleet.worker(tmp_path / "worker") as worker:
        until(lambda: worker.told("message_expired"))
        (told,) = worker.told("message_expired")
        assert json.loads(told["message"])["account"] == _SMALL[0][0]
        until(lambda: fleet.depth() == (0, 0, 0))
        assert not worker.told("cell_begun")
        worker.stop()
        worker.process.join(GUARD)
