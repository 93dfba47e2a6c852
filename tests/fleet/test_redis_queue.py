"""What kombu's Redis transport lacks, on Debian's redis-server: a message is kept, left and given up as SQS does it."""

from __future__ import annotations

import json
import os
import signal
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.api.session import Session
from alb_reconcile.fleet.cells import Cell, Fleet, Source
from alb_reconcile.fleet.queues import MOST_DELIVERIES, NAME, Queue
from tests.forked import begun
from tests.processes import GUARD, until
from tests.redis_server import running_redis

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

celery_app = pytest.importorskip("alb_reconcile.fleet.celery_app", reason="the extra fleet isn't installed")
POLL = 2.0
"""Seconds for which a worker's loop waits (Celery's `synloop`): longer than the second after which Redis answers that there is nothing."""
DUE = -1000
"""Seconds until a message appears again: it is due."""


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    with running_redis(tmp_path) as port:
        yield Queue.parse(f"redis://127.0.0.1:{port}/0")


def fleet_in(folder: Path) -> Fleet:
    cell = Cell("many", "111111111111", "us-east-1", "all", (Source("web.yaml"),), folder)
    return Fleet("many", str(folder / "fleet.yaml"), (cell,), ())


class Taking:
    """A worker's side of the queue: one message in hand at most."""

    def __init__(self, app: Any) -> None:
        self.connection = app.connection_for_read()
        self.channel = self.connection.default_channel
        self.channel.basic_qos(0, 1, False)
        self.taken: list[Any] = []
        self.channel.queue_declare(NAME)
        self.channel.basic_consume(NAME, no_ack=False, callback=self.taken.append, consumer_tag="test")

    def next(self) -> Any:
        """Wait for a message."""

        def look() -> bool:
            with suppress(TimeoutError):
                self.connection.drain_events(timeout=POLL)
            return bool(self.taken)

        until(look)
        return self.taken.pop()


@pytest.mark.slow
def test_a_message_is_kept_left_and_given_up(queue: Queue, tmp_path: Path) -> None:
    fleet = fleet_in(tmp_path)
    app = celery_app.make_app(queue, fleet, Session())
    assert celery_app.enqueue(app, queue, fleet.cells, lambda _: 3600) == 1
    with closing(app.connection_for_read()) as connection:
        worker = Taking(app)
        for number in range(1, MOST_DELIVERIES + 1):
            message = worker.next()
            assert message.delivery_info.get("deliveries", 1) == number
            assert json.loads(message.payload[0][0])["account"] == "111111111111"
            index = worker.channel.global_keyprefix + worker.channel.unacked_index_key
            before = connection.default_channel.client.zscore(index, message.delivery_tag)
            worker.channel.extend(message, 10 * queue.visibility)
            assert connection.default_channel.client.zscore(index, message.delivery_tag) > before + queue.visibility
            message.reject(requeue=False)
            assert celery_app.look(app, queue).in_flight == 1  # it is left there
            worker.channel.extend(message, DUE)
        until(lambda: _restored(worker) and celery_app.look(app, queue).dead)
        worker.connection.close()
    state = celery_app.look(app, queue)
    assert (state.waiting, state.in_flight, state.dead) == (0, 0, 1)
    assert json.loads(state.letters[0]) == json.loads(fleet.cells[0].to_message())


def test_what_is_done_is_gone_and_what_is_forged_never_arrives(queue: Queue, tmp_path: Path) -> None:
    fleet = fleet_in(tmp_path)
    app = celery_app.make_app(queue, fleet, Session())
    worker = Taking(app)
    for forged in ("not JSON", "5", json.dumps({"properties": 1}), json.dumps({"body": "x", "headers": {}})):
        worker.channel.client.lpush(NAME, forged)
    celery_app.enqueue(app, queue, fleet.cells, lambda _: None)
    message = worker.next()
    worker.channel.extend(message, DUE)
    message.ack()
    worker.channel.extend(message, DUE)  # a renewal that comes late doesn't bring it back
    state = celery_app.look(app, queue)
    assert (state.waiting, state.in_flight, state.dead) == (0, 0, 0)
    worker.connection.close()


def _restored(worker: Taking) -> bool:
    """Have the worker look for messages whose time is over."""
    with suppress(TimeoutError):
        worker.connection.drain_events(timeout=POLL)
    return True


@pytest.mark.slow
def test_beat_begins_with_all_cells_and_goes_on(queue: Queue, tmp_path: Path) -> None:
    """A cell without a schedule isn't put on the queue. SIGTERM ends it."""
    (tmp_path / "fleet.yaml").write_text(_SCHEDULED)
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"}
    app = celery_app.make_app(queue, fleet_in(tmp_path), Session())
    arguments = ("fleet", "beat", "--queue", queue.url)
    with begun(arguments, folder=tmp_path, environment=environment, said=tmp_path / "said") as process:
        until(lambda: process.exitcode is not None or celery_app.look(app, queue).waiting >= 3)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGTERM)
        process.join(GUARD)
    said = (tmp_path / "said").read_text()
    assert process.exitcode == 0, said
    assert "222222222222/us-east-1 has no schedule, and isn't put on the queue" in said
    assert json.loads(said.splitlines()[1])["cells"] == 1


_SCHEDULED = """\
fleet: many
defaults: {regions: [us-east-1], stacks: [web.yaml]}
accounts:
  - {account_id: "111111111111", schedule: 1s}
  - {account_id: "222222222222"}
"""
