"""Runs a command over one cell, from its credentials to its result. The caller decides when, and keeps the result."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from alb_reconcile.api.applying import Callbacks, Wishes, finished, run_over
from alb_reconcile.api.planning import make
from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.connection import Connection
from alb_reconcile.engine.lookups import resolve_lookups
from alb_reconcile.fleet.cell_lock import hold
from alb_reconcile.fleet.cells import Cell, Fleet
from alb_reconcile.fleet.credentials import Credentials
from alb_reconcile.fleet.results import LONGEST, CellResult, CellStatus, Command, StackResult, status_of
from alb_reconcile.fleet.sources import Sources
from alb_reconcile.fleet.stop import Stop
from alb_reconcile.journal.log import about, tell
from alb_reconcile.journal.record import RunRecord, place_name
from alb_reconcile.journal.recorder import Recorder
from alb_reconcile.journal.settings import Settings
from alb_reconcile.kinds.shared_reader import SharedReads
from alb_reconcile.model import tags
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.errors import ExitCode, HeldError, InterruptedRun, LeaseLostError, ReconcileError, RefusedError
from alb_reconcile.model.host import iso
from alb_reconcile.model.machine import find_lack
from alb_reconcile.model.text import digest
from alb_reconcile.sync.drift import find_causes
from alb_reconcile.sync.rounds import SyncRounds
from alb_reconcile.sync.stack import Ways, unhealthy
from alb_reconcile.sync.targets import Targets


@dataclass(frozen=True)
class CellSettings:
    """How cells are run: one value for all cells of a process.

    At most `parallel` stacks of a cell are changed at once. While another run holds a cell or a stack, a run waits `lock_timeout`
    seconds for it.
    """

    fleet: Fleet
    credentials: Credentials
    sources: Sources
    journal: Settings
    ways: Ways = field(default_factory=Ways)
    parallel: int = 4
    lock_timeout: float = 0
    allow: Mapping[str, int] = field(default_factory=dict)


Keep = Callable[[CellResult], Awaitable[CellResult]]
"""A function that keeps a result. Returns the result with what the earlier result says of the time before."""


async def run_cell(
    cell: Cell, command: Command, settings: CellSettings, stop: Stop | None = None, *, keep: Keep | None = None,
    holder: str = "", operation: str = "", expected: str = "",
) -> CellResult:  # fmt: skip
    """Look at all stacks of a cell (`plan`), correct drift (`sync`), or make them as their specs say (`apply`).

    A command that changes something holds the cell, and calls `keep` with the result while it does, so that the result never replaces a
    later run's. `holder` is shown to waiting runs, with the command. `operation` is the id of the `apply` that the run is a part of;
    `expected` is the specs' digest (`digest_of`) when the `apply` began: other specs are refused, since no canary has seen them.

    Never raises for what happens to the cell: the result says it. `stop` ends the run between two steps.
    """
    run = _CellRun(cell, command, settings, operation)
    with about(account=cell.account, region=cell.region), (stop or Stop()).calling(run.stop.set):
        try:
            if command == "plan":
                return await run.over_stacks(expected)
            name = f"fleet {command} {holder}".rstrip()
            how = settings.credentials, name, settings.lock_timeout, run.stop
            async with hold(settings.fleet, cell.account, cell.region, *how) as check:
                tell("cell_begun")
                result = await run.over_stacks(expected)
                try:
                    await check()
                except LeaseLostError as lost:
                    return run.result(result.stacks, "failed", str(lost))
                return await keep(result) if keep else result
        except HeldError as error:
            return run.result((), "held", str(error))
        except InterruptedRun:
            return run.result((), "interrupted")
        except Exception as error:  # whatever it is, it mustn't stop the other cells
            return run.failed(error)


class _CellRun:
    """A run over a cell, and its result. `stop` ends this run alone."""

    def __init__(self, cell: Cell, command: Command, settings: CellSettings, operation: str) -> None:
        self.stop = Stop()
        self._cell, self._command, self._settings, self._operation = cell, command, settings, operation
        self._started, self._began = time.time(), time.monotonic()

    async def over_stacks(self, expected: str) -> CellResult:
        settings, stacks = self._settings, list[StackResult]()
        try:
            found = await asyncio.to_thread(settings.sources.load, self._cell)
            if expected and digest_of(found) != expected:
                raise RefusedError(_CHANGED)  # noqa: TRY301 (its text becomes the result's error, as that of others)
            stacks += [StackResult.broken(item) for item in found.broken]
            for item in found.broken:
                tell("spec_unusable", spec_file=item.file, error=item.text)
            if found.stacks and not self.stop.is_set:
                connection = await settings.credentials.open(self._cell)
                stacks += await _RUNS[self._command](connection, found, settings, self.stop)
        except Exception as error:  # whatever it is, it mustn't stop the other cells
            return self.failed(error, stacks)
        is_left = self.stop.is_set and not stacks
        return self.result(stacks, "interrupted" if is_left else status_of(self._command, stacks, ""))

    def failed(self, error: Exception, stacks: Sequence[StackResult] = ()) -> CellResult:
        """The result of a run that couldn't work on the whole cell."""
        text = _words(error)
        tell("cell_failed", error=text)
        return self.result(stacks, status_of(self._command, stacks, text), text)

    def result(self, stacks: Sequence[StackResult], status: CellStatus, error: str = "") -> CellResult:
        cell, ended = self._cell, iso(time.time())
        return CellResult(
            cell.fleet, cell.account, cell.region, cell.wave, self._command, status, iso(self._started), ended,
            name=cell.name, owner=cell.owner, schedule=cell.schedule, seconds=round(time.monotonic() - self._began, 3),
            stacks=tuple(sorted(stacks, key=lambda item: (item.stack, item.spec_file))),
            error=self._settings.journal.mask.line(error, LONGEST), operation=self._operation, host=socket.gethostname(),
            last_success=ended if status == "succeeded" and all(item.last_success for item in stacks) else "",
        )  # fmt: skip


def validate_cell(cell: Cell, sources: Sources) -> CellResult:
    """Which specs of a cell can be used. Asks its account nothing; waits for git and S3 where specs are there."""
    moment, found = iso(time.time()), sources.load(cell)
    stacks = [StackResult(item.stack, item.spec_file, "valid") for item in found.stacks]
    stacks += map(StackResult.broken, found.broken)
    return CellResult(
        cell.fleet, cell.account, cell.region, cell.wave, "validate", status_of("validate", stacks, ""), moment, moment,
        name=cell.name, owner=cell.owner, schedule=cell.schedule, stacks=tuple(stacks),
    )  # fmt: skip


_CHANGED: Final = "its specs have changed since this apply began, and nothing was done here; run fleet apply again, which begins with the first wave"


def digest_of(found: Targets) -> str:
    """The digest of what the specs of a cell want."""
    wanted = sorted(f"{item.stack} {tags.spec_digest_of(item.desired)}" for item in found.stacks)
    return digest([*wanted, *(item.file for item in found.broken)])


async def _sync(connection: Connection, found: Targets, settings: CellSettings, stop: Stop) -> list[StackResult]:
    rounds = SyncRounds(
        lambda _: connection, settings.journal, settings.ways, parallel=settings.parallel,
        lock_timeout=settings.lock_timeout,
    )  # fmt: skip
    try:
        with stop.calling(rounds.stop):
            report = await rounds.run(Targets(found.stacks))
    finally:
        rounds.close()
    results = [StackResult.of(record, report.notes.get(record.run, ())) for record in report.records]
    return [*results, *map(StackResult.broken, report.broken)]


@dataclass(frozen=True)
class _Cell:
    """What the stacks of a cell have in common: the connection, and reads that are made once for all stacks."""

    connection: Connection
    shared: SharedReads
    settings: CellSettings


_OverStack = Callable[[Aws, DesiredStack, _Cell], Awaitable[StackResult]]


async def _each(
    over: _OverStack, connection: Connection, found: Targets, settings: CellSettings, stop: Stop
) -> list[StackResult]:
    """Run `over` for each stack by itself, `parallel` at once; a failed stack doesn't stop the others."""
    aws = connection.client()
    cell = _Cell(connection, SharedReads(aws, [target.stack for target in found.stacks]), settings)
    running: set[Aws] = {aws}  # the end mustn't wait for the turn of a shared read
    turns = asyncio.Semaphore(settings.parallel)

    def end() -> None:
        for item in running:
            item.stopping.set()

    async def one(target: DesiredStack) -> StackResult | None:
        async with turns:
            if stop.is_set:
                return None
            own = aws.fork()
            running.add(own)
            with about(stack=target.stack):
                try:
                    return await connection.until_answered(over(own, target, cell))
                except Exception as error:  # whatever it is, it mustn't stop the other stacks
                    text = _words(error)
                    tell("stack_failed", error=text)
                    return StackResult(target.stack, target.spec_file, "failed", error=settings.journal.mask.line(text))
                finally:
                    running.discard(own)

    try:
        with stop.calling(end):
            results = await asyncio.gather(*map(one, found.stacks))
    finally:
        await cell.shared.cancel()
        aws.close()
    return [item for item in results if item is not None]


async def _plan_stack(aws: Aws, target: DesiredStack, cell: _Cell) -> StackResult:
    settings = cell.settings
    recorder = Recorder(
        "plan", target.stack, target.region, mask=settings.journal.mask, spec_file=target.spec_file,
        desired=target.desired, place=place_name(aws.endpoint, sandbox=cell.connection.sandbox),
    )  # fmt: skip
    error: ReconcileError | None = None
    notes: tuple[str, ...] = ()
    try:
        found = await resolve_lookups(aws, target)
        planned, error = await make(aws, found, settings.allow, cell.shared)
        recorder.plan, recorder.causes = planned.plan, find_causes(planned)
        notes = (*found.remarks, *unhealthy(planned))
        recorder.exit_code = ExitCode.OK if planned.plan.is_empty else ExitCode.CHANGES
    except ReconcileError as raised:
        error = raised
    return StackResult.of(recorder.close(account=aws.known_account, error=error), notes)


async def _apply_stack(aws: Aws, target: DesiredStack, cell: _Cell) -> StackResult:
    settings, kept = cell.settings, list[RunRecord]()
    wishes = Wishes(settings.allow, settings.ways.timeout, settings.lock_timeout)
    session = settings.credentials.session
    try:
        found = await resolve_lookups(aws, target)
        ended = await run_over(
            aws, found, wishes, settings.journal, Callbacks(), sandbox=session.sandbox, keep=kept.append
        )
        finished(ended, session)
    except ReconcileError as error:
        if not kept:
            raise
        tell("stack_failed", error=error)
    return StackResult.of(kept[0])


_RUNS: Mapping[Command, Callable[[Connection, Targets, CellSettings, Stop], Awaitable[list[StackResult]]]] = {
    "plan": partial(_each, _plan_stack),
    "sync": _sync,
    "apply": partial(_each, _apply_stack),
}


def _words(error: Exception) -> str:
    """The text of the error that ended a cell or a stack."""
    return str(error) if isinstance(error, ReconcileError) else find_lack(error) or f"{type(error).__name__}: {error}"
