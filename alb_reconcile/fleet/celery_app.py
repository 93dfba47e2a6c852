"""Configures Celery: one task, no results, no events, no remote control; and holds what only users of Celery need to know."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any, Final

import celery
import kombu.exceptions

from alb_reconcile.api.session import Session, connect, default_region
from alb_reconcile.fleet.cells import Cell, Fleet
from alb_reconcile.fleet.messages import TASK
from alb_reconcile.fleet.queues import NAME, Queue, QueueState
from alb_reconcile.journal.log import tell
from alb_reconcile.model.errors import AwsError, UnreachableError
from alb_reconcile.model.text import printable

_WAIT: Final = 5
"""Seconds that a worker waits for a message; a stop may have to wait as long."""
_QUIET: Final = 300.0
"""Seconds for which a line isn't logged again."""
_REQUEST: Final = re.compile(r"\(request [^)]*\)")
"""The part of SQS's errors that differs each time."""
_RETRIES: Final = 2
"""Retries if the broker doesn't answer when a command begins."""


def make_app(queue: Queue, fleet: Fleet, session: Session) -> Any:
    """The Celery app for a fleet's queue. Sends no request yet. Raises what `connect` raises."""
    for name in ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL"):
        os.environ.pop(name, None)  # Celery would obey these variables before its own settings
    app = celery.Celery("alb-reconcile", set_as_current=False, fixups=[])
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_default_queue=NAME,
        task_create_missing_queues=False,
        task_ignore_result=True,
        task_acks_late=True,
        task_acks_on_failure_or_timeout=False,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        worker_concurrency=1,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options=_options(queue, fleet, session),
        broker_url="sqs://" if queue.is_sqs else queue.url,
        broker_transport=f"alb_reconcile.fleet.broker:{'Sqs' if queue.is_sqs else 'Redis'}Transport",
    )
    return app


def _options(queue: Queue, fleet: Fleet, session: Session) -> dict[str, Any]:
    if queue.is_sqs:
        region = queue.region or default_region(session) or fleet.cells[0].region
        return {
            "ask": connect(session, region).transport,
            "region": region,
            "predefined_queues": {NAME: {"url": queue.url}},
            "wait_time_seconds": _WAIT,
            "polling_interval": 0,
        }
    return {
        "visibility_timeout": queue.visibility,
        "unacked_restore_throttle": 1,  # else Celery looks at every tenth of its chances, which took 87 s
        "global_keyprefix": f"alb-reconcile:{fleet.name}:",
        "socket_connect_timeout": 5,
    }


@contextmanager
def _channel(app: Any, queue: Queue) -> Iterator[Any]:
    """A channel to the queue. Raises UnreachableError where the broker doesn't answer."""
    with closing(app.connection_for_write()) as connection:
        try:
            connection.ensure_connection(max_retries=_RETRIES, interval_start=0.5, interval_step=0.5)
            yield connection.default_channel
        except (kombu.exceptions.OperationalError, OSError) as error:
            if isinstance(error.__cause__, AwsError):  # AWS answers, and refuses
                raise error.__cause__ from None
            said = printable(str(error))[:200].rstrip(".")
            raise UnreachableError(
                f"the queue {queue} can't be reached: {said}; see that it runs, and its address"
            ) from None


def look(app: Any, queue: Queue, *, dead: bool = True) -> QueueState:
    """The messages that wait in the queue, and those that were given up (`dead`), for which SQS has another queue. Raises
    UnreachableError, AwsError, UsageError."""
    with _channel(app, queue) as channel:
        state: QueueState = channel.look(queue.url, dead=dead)
        return state


def enqueue(app: Any, queue: Queue, cells: Iterable[Cell], expires: Callable[[Cell], int | None]) -> int:
    """Put cells on the queue; a message that no worker took within `expires` seconds is dropped. Returns the number of cells.

    Raises UnreachableError, AwsError.
    """
    count = 0
    with _channel(app, queue) as channel:
        for cell in cells:
            text = cell.to_message().decode()
            app.send_task(TASK, [text], connection=channel.connection.client, expires=expires(cell), retry=False)
            count += 1
    return count


class _Relay(logging.Handler):
    """Writes Celery's and kombu's own log lines as this program's: one line each, and the same line not again for a while."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._told: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = printable(record.getMessage().strip().partition("\n")[0])[:500]
        except Exception as error:  # a message that doesn't fit its arguments
            text = f"{record.name}: {type(error).__name__}"
        now = time.monotonic()
        self._told = {known: moment for known, moment in self._told.items() if now - moment < _QUIET}
        known = _REQUEST.sub("", text)
        if known not in self._told:
            self._told[known] = now
            tell("queue", level=record.levelno, text=text)


def relay_logs() -> None:
    """Have this program write Celery's log lines."""
    celery.signals.setup_logging.connect(_leave_logging, weak=False)
    relay = _Relay()
    for name in ("celery", "kombu"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [relay], False
    logging.getLogger("celery.app.trace").disabled = True  # the worker logs its tracebacks in one line
    logging.getLogger("py.warnings").disabled = True


def _leave_logging(**_: Any) -> None:
    """Does nothing: Celery asks whether another program sets logging up, and this one does."""
