"""Opens the queue that a fleet's commands name."""

import os
from importlib.util import find_spec
from typing import Any

from alb_reconcile.api.session import Session
from alb_reconcile.fleet.cells import Fleet
from alb_reconcile.fleet.queues import VARIABLE, Queue, QueueState
from alb_reconcile.model.errors import UsageError, needs_extra


def open_queue(given: str | None, fleet: Fleet, session: Session) -> tuple[Queue, Any]:
    """The queue, and the Celery app for it. Sends no request yet. Raises UsageError, and what `connect` raises."""
    address = given or os.environ.get(VARIABLE)
    if not address:
        raise UsageError(f"no queue is named; give --queue URL, or set {VARIABLE}")
    queue = Queue.parse(address)
    if find_spec("celery") is None or find_spec("redis") is None:
        raise UsageError(needs_extra("a fleet's queue needs", "fleet"))
    from alb_reconcile.fleet.celery_app import make_app

    return queue, make_app(queue, fleet, session)


def look_at_queue(given: str, fleet: Fleet, session: Session) -> QueueState:
    """The messages that wait in the queue. Raises what `open_queue` raises, AwsError."""
    queue, app = open_queue(given, fleet, session)
    from alb_reconcile.fleet.celery_app import look

    return look(app, queue)
