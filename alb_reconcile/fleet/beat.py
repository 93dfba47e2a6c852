"""The clock of a fleet: puts each cell on the queue when its schedule says so. Celery's own beat keeps the time."""

from __future__ import annotations

import signal
import warnings
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from celery import beat

from alb_reconcile.fleet.celery_app import enqueue, relay_logs
from alb_reconcile.fleet.cells import Cell
from alb_reconcile.fleet.messages import TASK
from alb_reconcile.fleet.queues import Queue
from alb_reconcile.journal.log import tell


def run_beat(app: Any, queue: Queue, cells: Iterable[Cell]) -> None:
    """Enqueue all cells that have a schedule, and each again whenever its time has come, until SIGTERM.

    The beat keeps no state: started again, it enqueues all cells first. A message that no worker took until the next one is due is
    dropped. Raises UnreachableError, AwsError.
    """
    relay_logs()
    due = {cell.key: cell for cell in cells if cell.schedule}
    tell("enqueued", cells=enqueue(app, queue, due.values(), lambda cell: cell.schedule))
    app.conf.beat_schedule = {
        key: {
            "task": TASK,
            "schedule": timedelta(seconds=cell.schedule or 0),
            "args": [cell.to_message().decode()],
            "options": {"expires": cell.schedule},
        }
        for key, cell in due.items()
    }
    service = beat.Service(app, scheduler_cls=beat.Scheduler, max_interval=5)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: service.stop())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        service.start()
    tell("stopping")
