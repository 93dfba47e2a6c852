"""A worker: takes a cell off the queue, keeps its message while the cell is run, and decides what becomes of the message."""

from __future__ import annotations

import asyncio
import threading
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal

from celery import signals
from celery.apps import worker as celery_worker
from celery.exceptions import Reject

from alb_reconcile.fleet.celery_app import relay_logs
from alb_reconcile.fleet.cell_lock import LONGEST
from alb_reconcile.fleet.messages import TASK
from alb_reconcile.fleet.queues import QueueState
from alb_reconcile.fleet.records import Records
from alb_reconcile.fleet.results import CellResult, Command
from alb_reconcile.fleet.run import CellSettings, run_cell
from alb_reconcile.fleet.stop import Stop
from alb_reconcile.journal.log import about, tell
from alb_reconcile.model.errors import ReconcileError

Verdict = Literal["done", "back", "left"]
"""What becomes of a message. done: it is deleted. back: another worker gets it at once. left: it appears again when its time is over,
and after several times in the dead-letter queue."""


@dataclass(frozen=True)
class Work:
    """What a run over a cell needs. It is read again for each cell, since files may have changed."""

    settings: CellSettings
    records: Records


class Worker:
    """One process that runs one cell at a time, until SIGTERM."""

    def __init__(self, app: Any, state: QueueState, command: Command, read: Callable[[], Work]) -> None:
        """`state` is the queue's state at the start; `read` raises ReconcileError."""
        self._app, self._visibility = app, state.visibility
        self._command, self._read = command, read
        self._message: Any = None
        self._is_ending = False
        self._stop = Stop()

    def run(self) -> int:
        """Work until a signal ends the worker: between two steps, with the cell given back. Returns 0, or 1 if Celery gave up."""
        relay_logs()
        celery_worker.safe_say = _say_nothing  # on a signal Celery prints to standard output what `_end` logs
        signals.task_received.connect(self._receive, weak=False)
        signals.task_revoked.connect(self._expire, weak=False)
        signals.worker_shutting_down.connect(self._end, weak=False)
        self._app.task(name=TASK)(self._do)
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # Celery's warning about root: running as root is bad with pickle, which this app refuses
            # one cell at a time in this very thread, and a blocking loop: the other loop ends the worker when SQS refuses a call
            worker = self._app.Worker(
                pool="solo", use_eventloop=False, without_gossip=True, without_mingle=True, without_heartbeat=True,
                quiet=True, loglevel="WARNING",
            )  # fmt: skip
            tell("worker_ready", command=self._command)
            worker.start()
        return int(worker.exitcode or 0)

    def _receive(self, request: Any, **_: Any) -> None:
        self._message = request.message

    def _expire(self, request: Any, **_: Any) -> None:
        """Log a message that is dropped because its time is over: for example, a killed worker's lease can hold its cell for longer."""
        tell("message_expired", level=30, message=request.args[0])

    def _end(self, **_: Any) -> None:
        """Request a stop on a signal: in another thread, since the main thread may have `Stop`'s lock."""
        if not self._is_ending:
            self._is_ending = True
            tell("stopping", text="no further cell begins, calls in progress finish first")
            threading.Thread(target=self._stop.set).start()

    def _do(self, text: str) -> None:
        """Celery's task. The exception that it raises tells Celery what becomes of the message."""
        verdict: Verdict = "back"
        if not self._is_ending:
            try:
                verdict = asyncio.run(self._work(text, self._message))
            except Exception as error:  # whatever it is, the queue knows how often to try again
                verdict = "left"
                tell("cell_left", level=40, error=f"{type(error).__name__}: {error}")
        if verdict != "done":
            raise Reject(verdict, requeue=verdict == "back")

    async def _work(self, text: str, message: Any) -> Verdict:
        try:
            work = await asyncio.to_thread(self._read)
            cell = work.settings.fleet.cell_of(text)
        except ReconcileError as error:
            tell("message_left", level=40, error=error)
            return "left"
        with about(account=cell.account, region=cell.region):
            async with self._kept(message):
                with work.settings.sources:
                    result = await run_cell(
                        cell, self._command, work.settings, self._stop, holder=_words(message),
                        keep=lambda result: asyncio.to_thread(work.records.write, result),
                    )  # fmt: skip
            if result.status == "held" and result.error:
                return await self._leave_busy(message, result.error)
            verdict = _judge(result)
            tell("cell_done", result=result.status, seconds=result.seconds, message=verdict, stacks=result.counts)
            return verdict

    async def _leave_busy(self, message: Any, held: str) -> Verdict:
        """What becomes of a message while another run holds its cell: it isn't needed if that run is another message's; it is left if that
        run is its own, which may be dead."""
        if _words(message) not in held:
            tell("cell_busy", text=held)
            return "done"
        tell("cell_busy", level=30, text=held, again_in=LONGEST)
        await asyncio.to_thread(message.channel.extend, message, LONGEST)
        return "left"

    @asynccontextmanager
    async def _kept(self, message: Any) -> AsyncIterator[None]:
        """Within the block, no other worker gets the message: kombu doesn't see to that."""
        ended = asyncio.Event()
        renewing = asyncio.ensure_future(self._renew(message, ended))
        try:
            yield
        finally:
            ended.set()
            await renewing  # a late renewal would undo that the message is given back

    async def _renew(self, message: Any, ended: asyncio.Event) -> None:
        while not ended.is_set():
            try:
                await asyncio.to_thread(message.channel.extend, message, self._visibility)
            except Exception as error:  # whatever it is, the cell's lease keeps others away
                tell("message_not_kept", level=30, error=error)
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), self._visibility / 3)


def _say_nothing(*_: Any) -> None:
    """Replaces the function by which Celery prints."""


def _words(message: Any) -> str:
    """The text in a cell's lease on the message that the cell is run for."""
    return f"for message {message.headers['id']}"


def _judge(result: CellResult) -> Verdict:
    """What becomes of a result's message: a failed stack waits for the cell's schedule, but a cell that couldn't be run at all is tried
    again."""
    if result.status == "interrupted":
        return "back"
    return "left" if result.error else "done"
