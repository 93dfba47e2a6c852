"""Recording a run: its record is kept in the history and the metrics, and sent to the webhook, however it ends."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

from alb_reconcile.aws.client import Aws
from alb_reconcile.journal.files import RecordError
from alb_reconcile.journal.history import read_history, write_history
from alb_reconcile.journal.metrics import write_metrics
from alb_reconcile.journal.notify import notify
from alb_reconcile.journal.record import Record
from alb_reconcile.journal.recorder import Recorder, place_name
from alb_reconcile.journal.settings import Settings
from alb_reconcile.model.desired_stack import DesiredStack


@asynccontextmanager
async def recorded(
    aws: Aws,
    target: DesiredStack,
    command: str,
    settings: Settings,
    say: Callable[[str], None],
    *,
    sandbox: bool = False,
) -> AsyncIterator[Recorder]:
    """Record the run within, however it ends. `say` is given one line for each place that can't be written to."""
    recorder = Recorder(
        command, target.stack, target.region, mask=settings.mask, spec_file=target.spec_file,
        desired=target.desired, place=place_name(aws.endpoint, sandbox=sandbox),
    )  # fmt: skip
    error: BaseException | None = None
    try:
        yield recorder
    except BaseException as raised:  # an interruption, too: it is recorded, and goes on
        error = raised
        raise
    finally:
        record = recorder.close(account=aws.known_account, calls=aws.calls, requests=aws.requests, error=error)
        await save_record(record, settings, say)


async def save_record(record: Record, settings: Settings, say: Callable[[str], None]) -> None:
    """Write the history and the metrics, and notify the webhook. Never raises for what can't be done: `say` is given one
    line for each.

    Takes the webhook's time-out at most, and while another process writes the same files some seconds more.
    """
    last_success = None
    try:
        last_success = await asyncio.to_thread(_write_history, record, settings)
    except RecordError as error:
        say(f"this run isn't in the history: {error}")
    if settings.metrics_file is not None:
        try:
            await asyncio.to_thread(write_metrics, record, settings.metrics_file, last_success)
        except RecordError as error:
            say(f"this run isn't in the metrics: {error}")
    if settings.webhook is not None:
        try:
            await notify(settings.webhook, settings.folder, record)
        except RecordError as error:
            say(settings.mask.line(error))


def _write_history(record: Record, settings: Settings) -> float | None:
    """Returns when a run last was a success (seconds since the epoch), if the metrics may need it."""
    write_history(record, settings.folder, settings.retention)
    if settings.metrics_file is None or record.is_success:
        return None
    past = read_history(settings.folder, record.stack, record.region, account=record.account, place=record.place)
    return next((datetime.fromisoformat(run.ended).timestamp() for run in past.runs if run.is_success), None)
