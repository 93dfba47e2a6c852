"""The commands `fleet worker|beat|enqueue`, which distribute a fleet's cells over an existing queue (Amazon SQS or Redis)."""

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from alb_reconcile.api.proving import prover
from alb_reconcile.api.session import Session
from alb_reconcile.cli.commands.fleet import ChoiceOptions, ReachOptions, chosen_cells, make_roles
from alb_reconcile.cli.render.console import complain, emit
from alb_reconcile.cli.session.queue import open_queue
from alb_reconcile.cli.session.recording import RecordOptions, settings_of
from alb_reconcile.fleet.credentials import Credentials
from alb_reconcile.fleet.document import FleetFile, load_fleet
from alb_reconcile.fleet.operation import is_due
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
    policy: str | None
    parallel: int
    timeout: int
    lock_timeout: int
    issue: str | None
    record: RecordOptions
    connection: ReachOptions


def worker(options: WorkerOptions) -> ExitCode:
    """Correct drift in the cells that the queue hands out, one after the other, until SIGTERM."""
    file = FleetFile(options.file, options.variables)
    fleet = file.load()
    journal, session = settings_of(options.record, options.issue), options.connection.session()
    if options.policy:
        load_policy(options.policy, options.variables)  # a mistake in the policy is reported at once
    _log(options.connection, journal.mask)
    if session.sandbox:
        make_roles(fleet)
    queue, app = open_queue(options.queue, fleet, session)
    from alb_reconcile.fleet.celery_app import look
    from alb_reconcile.fleet.worker import Worker

    state = look(app, queue, dead=False)
    with journal.traces_end(complain):
        code = Worker(app, state, "sync", partial(_read, file, options, journal, session)).run()
    return ExitCode.FAILED if code else ExitCode.OK


def _read(file: FleetFile, options: WorkerOptions, journal: Settings, session: Session) -> Any:
    """What a cell needs, from the files as they are now."""
    from alb_reconcile.fleet.worker import Work

    fleet = file.load()
    sources = Sources(journal.folder / "fleet" / "sources", session, options.variables, options.policy)
    ways = Ways(timeout=options.timeout, prove=prover(sandbox=session.sandbox))
    settings = CellSettings(fleet, Credentials(session), sources, journal, ways, options.parallel, options.lock_timeout)
    return Work(settings, Records.of(fleet, session, journal.folder))


@dataclass(frozen=True)
class BeatOptions:
    file: str
    variables: Mapping[str, str]
    queue: str | None
    connection: ReachOptions


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
    queue, app = open_queue(options.queue, fleet, options.connection.session())
    from alb_reconcile.fleet.beat import run_beat

    run_beat(app, queue, fleet.cells)
    return ExitCode.OK


@dataclass(frozen=True)
class EnqueueOptions:
    choice: ChoiceOptions
    queue: str | None
    due: bool
    state_dir: str | None
    connection: ReachOptions


def enqueue(options: EnqueueOptions) -> ExitCode:
    """Put cells on the queue once, for an external scheduler."""
    fleet, cells = chosen_cells(options.choice)
    session = options.connection.session()
    queue, app = open_queue(options.queue, fleet, session)
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


def _log(options: ReachOptions, mask: Mask) -> None:
    configure_logs(complain, terminal=sys.stderr.isatty(), mask=mask, verbose=bool(options.verbose))
