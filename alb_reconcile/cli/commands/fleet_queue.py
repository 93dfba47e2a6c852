"""`fleet worker|beat|enqueue`: many accounts on a queue that exists, Amazon SQS or Redis."""

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

from alb_reconcile.api.session import Session
from alb_reconcile.cli.commands.fleet import ChoiceOptions, RunOptions, chosen_cells, make_roles, plain_session
from alb_reconcile.cli.render.console import complain, emit
from alb_reconcile.cli.session.connection import ConnectionOptions
from alb_reconcile.cli.session.recording import settings_of
from alb_reconcile.fleet.cells import Fleet
from alb_reconcile.fleet.credentials import Credentials
from alb_reconcile.fleet.document import load_fleet
from alb_reconcile.fleet.operation import is_due
from alb_reconcile.fleet.queues import VARIABLE, Queue, QueueState
from alb_reconcile.fleet.records import Records
from alb_reconcile.fleet.run import CellSettings
from alb_reconcile.fleet.sources import Sources
from alb_reconcile.journal.files import state_folder
from alb_reconcile.journal.log import configure_logs
from alb_reconcile.journal.mask import Mask
from alb_reconcile.journal.settings import Settings
from alb_reconcile.model.errors import ExitCode, UsageError
from alb_reconcile.spec.stack import load_policy
from alb_reconcile.sync.stack import Ways


@dataclass(frozen=True)
class WorkerOptions:
    file: str
    variables: Mapping[str, str]
    queue: str | None
    run: RunOptions
    timeout: int
    lock_timeout: int


def worker(options: WorkerOptions) -> ExitCode:
    """Correct drift in one cell after the other, as the queue hands them out, until SIGTERM."""
    fleet = load_fleet(options.file, options.variables)
    journal, session = settings_of(options.run.record), plain_session(options.run.connection)
    if options.run.policy:
        load_policy(options.run.policy, options.variables)  # a mistake in it is told at once
    _log(options.run.connection, journal.mask)
    if session.sandbox:
        make_roles(fleet)
    queue, app = _open(options.queue, fleet, session)
    from alb_reconcile.fleet.celery_app import look
    from alb_reconcile.fleet.worker import Worker

    state = look(app, queue)
    code = Worker(app, state, "sync", partial(_read, options, journal, session)).run()
    return ExitCode.FAILED if code else ExitCode.OK


def _read(options: WorkerOptions, journal: Settings, session: Session) -> Any:
    """What a cell needs, as files are now."""
    from alb_reconcile.fleet.worker import Work

    fleet = load_fleet(options.file, options.variables)
    sources = Sources(journal.folder / "fleet" / "sources", session, options.variables, options.run.policy)
    ways = Ways(timeout=options.timeout)
    settings = CellSettings(Credentials(session), sources, journal, ways, options.run.parallel, options.lock_timeout)
    return Work(fleet, settings, Records.of(fleet, session, journal.folder))


@dataclass(frozen=True)
class BeatOptions:
    file: str
    variables: Mapping[str, str]
    queue: str | None
    connection: ConnectionOptions


def beat(options: BeatOptions) -> ExitCode:
    """Put each cell on the queue when its schedule says so, until SIGTERM."""
    fleet = load_fleet(options.file, options.variables)
    if not any(cell.schedule for cell in fleet.cells):
        raise UsageError(
            f"{options.file} has no schedule: add one to defaults, such as schedule: 1h, or use fleet enqueue"
        )
    for cell in fleet.cells:
        if not cell.schedule:
            complain(f"warning: {cell} has no schedule, and isn't put on the queue")
    _log(options.connection, Mask())
    queue, app = _open(options.queue, fleet, plain_session(options.connection))
    from alb_reconcile.fleet.beat import run_beat

    run_beat(app, queue, fleet.cells)
    return ExitCode.OK


@dataclass(frozen=True)
class EnqueueOptions:
    choice: ChoiceOptions
    queue: str | None
    due: bool
    state_dir: str | None
    connection: ConnectionOptions


def enqueue(options: EnqueueOptions) -> ExitCode:
    """Put cells on the queue once, for a schedule of somebody else's."""
    fleet, cells = chosen_cells(options.choice)
    session = plain_session(options.connection)
    queue, app = _open(options.queue, fleet, session)
    if options.due:
        records = Records.of(fleet, session, state_folder(options.state_dir, os.environ))
        last, problems = records.read_all(cells)
        for problem in problems:
            complain(f"warning: {problem}")
        cells = [cell for cell in cells if is_due(cell, last.get(cell.key), time.time())]
    from alb_reconcile.fleet import celery_app

    count = celery_app.enqueue(app, queue, cells, lambda cell: cell.schedule)
    emit(f"{count} {'cell' if count == 1 else 'cells'} put on the queue {queue}.")
    return ExitCode.OK


def look_at_queue(given: str, fleet: Fleet, session: Session) -> QueueState:
    """For `fleet status`. Raises what opening the queue and looking at it raise."""
    queue, app = _open(given, fleet, session)
    from alb_reconcile.fleet.celery_app import look

    return look(app, queue)


def _open(given: str | None, fleet: Fleet, session: Session) -> tuple[Queue, Any]:
    """Raises UsageError."""
    address = given or os.environ.get(VARIABLE)
    if not address:
        raise UsageError(f"no queue is named; give --queue URL, or set {VARIABLE}")
    queue = Queue.parse(address)
    if find_spec("celery") is None or find_spec("redis") is None:
        raise UsageError("a fleet's queue needs an extra: pip install 'alb-reconcile[fleet]'")
    from alb_reconcile.fleet.celery_app import make_app

    return queue, make_app(queue, fleet, session)


def _log(options: ConnectionOptions, mask: Mask) -> None:
    configure_logs(complain, terminal=sys.stderr.isatty(), mask=mask, verbose=bool(options.verbose))
