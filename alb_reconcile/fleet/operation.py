"""Runs a command over many cells in one process: bounded, and for `apply` in waves that stop when too much fails."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from alb_reconcile.aws.partitions import main_region_of
from alb_reconcile.fleet.cell_lock import Check, hold
from alb_reconcile.fleet.cells import Cell, Fleet, Wave
from alb_reconcile.fleet.records import Operation, Records
from alb_reconcile.fleet.results import CellResult, Command, cancelled
from alb_reconcile.fleet.run import CellSettings, digest_of, run_cell
from alb_reconcile.fleet.stop import Stop
from alb_reconcile.journal.files import RecordError
from alb_reconcile.model.errors import ExitCode, InterruptedRun, LeaseLostError, RefusedError
from alb_reconcile.model.host import iso


@dataclass
class CellOutcome:
    """The result of a command over a fleet. `reason` says why an operation stopped; empty if it didn't."""

    fleet: str
    command: str
    cells: list[CellResult] = field(default_factory=list)
    seconds: float = 0.0
    operation: str = ""
    status: str = "succeeded"
    reason: str = ""

    @property
    def code(self) -> ExitCode:
        """The gravest of the cells' exit codes."""
        codes = {item.code for item in self.cells}
        order = (ExitCode.INTERRUPTED, ExitCode.FAILED, ExitCode.WENT_BACK, ExitCode.INVALID, ExitCode.CHANGES)
        if codes == {ExitCode.INVALID}:
            return ExitCode.INVALID
        if ExitCode.INVALID in codes:
            codes = codes - {ExitCode.INVALID} | {ExitCode.FAILED}
        is_held = ExitCode.HELD in codes if self.command == "apply" else codes == {ExitCode.HELD}
        return next((code for code in order if code in codes), ExitCode.HELD if is_held else ExitCode.OK)


async def _sleep(seconds: float, stop: Stop) -> None:
    """Wait on a clock that doesn't jump; ends at once when `stop` is set."""
    stopped = asyncio.Event()
    with stop.calling(stopped.set):
        try:
            await asyncio.wait_for(stopped.wait(), seconds)
        except TimeoutError:
            return


@dataclass(frozen=True)
class Runner:
    """Runs commands over the cells of a fleet. `say` is given one line for each remarkable event, `sleep` waits for a bake."""

    fleet: Fleet
    settings: CellSettings
    records: Records
    stop: Stop = field(default_factory=Stop)
    say: Callable[[str], None] = lambda _: None
    on_result: Callable[[CellResult], None] = lambda _: None
    sleep: Callable[[float, Stop], Awaitable[None]] = _sleep

    async def run(self, command: Command, cells: Sequence[Cell]) -> CellOutcome:
        """Run `plan` or `sync` over all cells, `max_concurrent` at once; a failed cell doesn't stop the others. Results of plans aren't
        kept: a plan changes nothing."""
        began = time.monotonic()
        outcome = CellOutcome(self.fleet.name, command)
        outcome.cells = await self._run(command, cells, lambda _: self.fleet.max_concurrent)
        outcome.status = "interrupted" if self.stop.is_set else "succeeded"
        outcome.seconds = time.monotonic() - began
        return outcome

    async def apply(self, cells: Sequence[Cell], *, resume: bool = False) -> CellOutcome:
        """Run `apply` in waves; with `resume` from the wave on at which the last operation stopped. No other `apply` over the fleet
        runs meanwhile.

        Raises RefusedError where the specs have changed since, or the wave is gone; HeldError where another `apply` runs;
        InterruptedRun before anything is changed; what `hold` and `Records.read_operation` raise.
        """
        # an operation has no region; its lock and lease have one in their names, the same whatever cell comes first
        region = main_region_of(self.fleet.cells[0].region)
        how = self.settings.credentials, "fleet apply", self.settings.lock_timeout, self.stop
        async with hold(self.fleet, "apply", region, *how) as check:
            return await self._apply(cells, self.records.read_operation() if resume else None, check)

    async def _apply(self, cells: Sequence[Cell], resumed: Operation | None, check: Check) -> CellOutcome:
        began = time.monotonic()
        digests = {}
        for cell in cells:
            if self.stop.is_set:
                raise InterruptedRun("interrupted; nothing was changed")
            digests[cell.key] = await asyncio.to_thread(self._digest, cell)
        waves = [(wave, part) for wave, every in self.fleet.in_waves() if (part := [c for c in every if c in cells])]
        if resumed is not None:
            waves = self._rest(waves, digests, resumed)
        started = Operation(uuid.uuid4().hex, self.fleet.name, "apply", iso(time.time()), digests=digests)
        run = _Run(self, replace(resumed, digests=digests) if resumed else started, check)
        outcome = await run.through(waves)
        outcome.seconds = time.monotonic() - began
        return outcome

    def _rest(
        self, waves: list[tuple[Wave, list[Cell]]], digests: Mapping[str, str], resumed: Operation
    ) -> list[tuple[Wave, list[Cell]]]:
        names = [wave.name for wave, _ in waves]
        again = "run fleet apply, which begins with the first wave"
        if resumed.wave not in names:
            raise RefusedError(
                f"the operation stopped in wave {resumed.wave}, which {self.fleet.file} doesn't have; {again}"
            )
        rest = waves[names.index(resumed.wave) :]
        changed = [
            str(cell) for _, cells in rest for cell in cells if digests[cell.key] != resumed.digests.get(cell.key)
        ]
        if changed and names[0] != resumed.wave:
            shown = ", ".join(changed[:5]) + (f" and {len(changed) - 5} more" if len(changed) > 5 else "")
            raise RefusedError(f"the specs of {shown} have changed since the operation stopped; {again}")
        return rest

    def _digest(self, cell: Cell) -> str:
        return digest_of(self.settings.sources.load(cell))

    async def _run(
        self, command: Command, cells: Sequence[Cell], room: Callable[[list[CellResult]], int],
        operation: Operation | None = None,
    ) -> list[CellResult]:  # fmt: skip
        """Each cell's result, in the order of the cells. After each result `room` says how many cells may run at once; if none, no
        further cell is begun."""
        number = operation.operation if operation else ""
        digests = operation.digests if operation else {}
        results: list[CellResult] = []

        async def one(cell: Cell) -> CellResult:
            result = await run_cell(
                cell, command, self.settings, self.stop, keep=self._keep, operation=number,
                expected=digests.get(cell.key, ""),
            )  # fmt: skip
            results.append(result)
            self.on_result(result)
            return result

        begun: dict[str, asyncio.Task[CellResult]] = {}
        running: set[asyncio.Task[CellResult]] = set()
        for cell in cells:
            while len(running) >= room(results) > 0:
                _, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            if self.stop.is_set or not room(results):
                break
            begun[cell.key] = asyncio.create_task(one(cell))
            running.add(begun[cell.key])
        await asyncio.gather(*running)
        rest = partial(cancelled, command=command, moment=iso(time.time()), operation=number)
        return [begun[cell.key].result() if cell.key in begun else rest(cell) for cell in cells]

    async def _keep(self, result: CellResult) -> CellResult:
        try:
            return await asyncio.to_thread(self.records.write, result)
        except RecordError as error:
            self.say(f"warning: {error}")
            return result


class _Run:
    """One `apply` on its way through the waves."""

    def __init__(self, runner: Runner, operation: Operation, check: Check) -> None:
        self.runner, self._check = runner, check
        self.operation = replace(operation, status="running", ended="", reason="")
        self.outcome = CellOutcome(runner.fleet.name, "apply", operation=operation.operation)

    async def through(self, waves: list[tuple[Wave, list[Cell]]]) -> CellOutcome:
        for number, (wave, cells) in enumerate(waves, start=1):
            await self._note(wave=wave.name)
            self.runner.say(f"wave {wave.name}: {len(cells)} cell{'s' * (len(cells) != 1)}")
            reason = await self._wave(wave, cells)
            if self.runner.stop.is_set:
                return await self._end("interrupted", f"interrupted in wave {wave.name}", waves[number:])
            if reason:
                return await self._end("stopped", f"stopped in wave {wave.name}: {reason}", waves[number:])
        return await self._end("succeeded", "", ())

    async def _wave(self, wave: Wave, cells: list[Cell]) -> str:
        """Run a wave. Returns why the operation mustn't go on; empty if it may."""
        fleet, done = self.runner.fleet, list[CellResult]()
        allowed = wave.failure_tolerance.allowed(len(cells))

        def room(results: list[CellResult]) -> int:
            """So many cells at once that no more than one beyond the tolerance can fail: StackSets' STRICT_FAILURE_TOLERANCE."""
            return min(wave.max_concurrent, max(allowed + 1 - len(_failed([*done, *results])), 0))

        regions = dict.fromkeys(cell.region for cell in cells)
        parts = (
            [[cell for cell in cells if cell.region == name] for name in regions]
            if fleet.sequential_regions
            else [cells]
        )
        for part in parts:
            found = await self.runner._run("apply", part, room, self.operation)
            done += found
            self.outcome.cells += found
            await self._note(cells={item.key: item.status for item in found})
        if reason := _too_many(wave, done):
            return reason
        if not wave.bake or self.runner.stop.is_set:
            return ""
        self.runner.say(f"wave {wave.name} bakes for {wave.bake} s")
        await self.runner.sleep(wave.bake, self.runner.stop)
        return "" if self.runner.stop.is_set else await self._look_again(wave, cells, done)

    async def _look_again(self, wave: Wave, cells: list[Cell], done: list[CellResult]) -> str:
        """Look at a wave's cells after its bake: a cell that has failed since counts as failed. Returns why the operation mustn't go on."""
        well = {item.key for item in done if item.status == "succeeded"}
        look = partial(run_cell, command="plan", settings=self.runner.settings, stop=self.runner.stop)
        turns = asyncio.Semaphore(wave.max_concurrent)

        async def one(cell: Cell) -> CellResult:
            async with turns:
                return await look(cell)

        seen = await asyncio.gather(*(one(cell) for cell in cells if cell.key in well))
        problems = {item.key: text for item in seen if (text := _problem(item))}
        for key, text in problems.items():
            self.runner.say(f"{key}: after its bake: {text}")
        failed = [
            replace(item, status="failed", error=f"after its bake: {problems[item.key]}")
            if item.key in problems
            else item
            for item in done
        ]
        await self._note(cells={item.key: item.status for item in failed})
        self.outcome.cells = [next((item for item in failed if item.key == old.key), old) for old in self.outcome.cells]
        for item in failed:
            if item.key in problems:
                await self.runner._keep(item)
        return _too_many(wave, failed)

    async def _end(self, status: str, reason: str, waves: Iterable[tuple[Wave, list[Cell]]]) -> CellOutcome:
        moment = iso(time.time())
        self.outcome.cells += [
            cancelled(cell, "apply", moment, self.operation.operation) for _, cells in waves for cell in cells
        ]
        self.outcome.status, self.outcome.reason = status, reason
        await self._note(status=status, reason=reason, ended=moment)
        return self.outcome

    async def _note(self, *, cells: Mapping[str, str] | None = None, **changed: str) -> None:
        self.operation = replace(self.operation, cells={**self.operation.cells, **(cells or {})}, **changed)  # type: ignore[arg-type]  # mypy takes the texts for all fields
        try:
            await self._check()
            await asyncio.to_thread(self.runner.records.write_operation, self.operation)
        except (RecordError, LeaseLostError) as error:
            self.runner.say(f"warning: fleet resume won't know where this stopped: {error}")


def _failed(results: Iterable[CellResult]) -> list[CellResult]:
    return [item for item in results if item.status not in ("succeeded", "cancelled")]


def _too_many(wave: Wave, results: Sequence[CellResult]) -> str:
    """Why more cells of a wave have failed than may fail, by their results; empty if not."""
    failed, tolerance = len(_failed(results)), wave.failure_tolerance
    if failed <= tolerance.allowed(len(results)):
        return ""
    allowed = f"{tolerance.count}" if tolerance.percentage is None else f"{tolerance.percentage}%"
    return f"{failed} of {len(results)} cells failed, and failure_tolerance is {allowed}"


def _problem(seen: CellResult) -> str:
    """A sentence on what isn't as `apply` left it; empty if all is."""
    if seen.error:
        return seen.error
    for item in seen.stacks:
        if item.error or item.notes or item.result != "in_sync":
            return (
                f"{item.stack or item.spec_file}: {item.error or '; '.join(item.notes) or 'it differs from its spec'}"
            )
    return ""


def is_due(cell: Cell, last: CellResult | None, now: float) -> bool:
    """Whether a cell's schedule says that it is due. A cell is due if its last result lies in the future: a clock has jumped."""
    if cell.schedule is None or last is None:
        return True
    ended = datetime.fromisoformat(last.ended).timestamp()
    return not 0 <= now - ended < cell.schedule
