"""Runs a round of `sync` over all stacks: in parallel, with one pace for each region; a failed stack doesn't stop the others."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.connection import Connection
from alb_reconcile.engine.apply import Event
from alb_reconcile.engine.lookups import resolve_lookups
from alb_reconcile.journal.files import RecordError
from alb_reconcile.journal.history import last_runs_of
from alb_reconcile.journal.log import about, tell
from alb_reconcile.journal.record import RunRecord, place_name
from alb_reconcile.journal.recorder import Recorder, recorded
from alb_reconcile.journal.settings import Settings
from alb_reconcile.kinds.shared_reader import SharedReads
from alb_reconcile.locking.hold import held
from alb_reconcile.model.advice import advised
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.errors import AwsError, ExitCode, HeldError, ReconcileError, UnreachableError
from alb_reconcile.spec.document import how_to_begin
from alb_reconcile.sync.absence import explain
from alb_reconcile.sync.drift import is_absent
from alb_reconcile.sync.stack import Ending, Ways, correct, survey
from alb_reconcile.sync.targets import Broken, Targets
from alb_reconcile.sync.unfinished import describe_leftovers, describe_unended


@dataclass
class SyncReport:
    """The result of a round: a record for each stack, and the specs without a record. `notes` are by run, and so are `errors`;
    records shorten the errors' texts to one line."""

    records: list[RunRecord] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    notes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def code(self) -> ExitCode:
        """The exit code: that of the gravest result."""
        results = {record.result for record in self.records}
        if "interrupted" in results:
            return ExitCode.INTERRUPTED
        if self.broken and not self.records and all(item.is_spec for item in self.broken):
            return ExitCode.INVALID
        if self.broken or results & {"failed", "refused"}:
            return ExitCode.FAILED
        if "left" in results:
            return ExitCode.CHANGES
        return ExitCode.HELD if results == {"held"} else ExitCode.OK


class SyncRounds:
    """Rounds of `sync` over stacks that may change. Rounds share clients, threads (new threads for each round would fragment memory),
    and the pace."""

    def __init__(
        self,
        connect: Callable[[str], Connection],
        settings: Settings,
        ways: Ways,
        *,
        parallel: int,
        lock_timeout: float,
    ) -> None:
        """`connect` opens a region and raises ReconcileError; at most `parallel` stacks are changed at once; `lock_timeout` is how many
        seconds to wait for a stack while another run holds it."""
        self._connect, self._settings, self._ways = connect, settings, ways
        self._lock_timeout = lock_timeout
        self._connections: dict[str, tuple[Connection, Aws]] = {}
        self._running: set[Aws] = set()
        self._stale: set[str] = set()
        self._turns = asyncio.Semaphore(parallel)
        self.is_ending = False

    def stop(self) -> None:
        """Start nothing new; calls under way end, waits are dropped."""
        self.is_ending = True
        for aws in self._running:
            aws.stopping.set()

    async def run(self, found: Targets) -> SyncReport:
        """Run one round. Never raises for what happens to a stack."""
        began = time.monotonic()
        broken = [await self._name_stack(item) for item in found.broken]
        report = SyncReport(broken=[*broken])
        for item in broken:
            tell("spec_unusable", level=40, spec_file=item.file, error=item.text)
        regions: dict[str, list[DesiredStack]] = defaultdict(list)
        for target in found.stacks:
            regions[target.region].append(target)
        await asyncio.gather(*(self._run_region(name, part, report) for name, part in regions.items()))
        for item in broken:
            with suppress(ReconcileError):  # the report has it in any case
                await self._record_broken(item, {(target.stack, target.region) for target in found.stacks})
        order = {target.spec_file: number for number, target in enumerate(found.stacks)}
        report.records.sort(key=lambda record: order.get(record.spec_file, 0))
        report.seconds = time.monotonic() - began
        return report

    async def _name_stack(self, item: Broken) -> Broken:
        """The broken spec; if it is empty and this host's history knows its stack, with that stack's name, so that no other stack is
        started in its place."""
        if (begin := how_to_begin()) in item.text:
            with suppress(RecordError):
                for last in (await asyncio.to_thread(last_runs_of, self._settings.folder, item.file))[:1]:
                    export = f"`{advised('export', ('--stack', last.stack))}` writes it anew"
                    told = f"it was the spec of the stack {last.stack}: take it from your repository; {export}"
                    return replace(item, text=item.text.replace(begin, told))
        return item

    async def _record_broken(self, item: Broken, others: Collection[tuple[str, str]]) -> None:
        """Record a failed run for the stack that was last run from a broken spec. Raises the spec's error, and what `account` raises."""
        for last in await asyncio.to_thread(last_runs_of, self._settings.folder, item.file):
            if self.is_ending or (last.stack, last.region) in others:
                continue
            connection, aws = self._ask(last.region)
            with suppress(ReconcileError):  # without credentials the run counts for the account of the stack's last run
                await aws.account()
            where = (aws.known_account or last.account, place_name(aws.endpoint, sandbox=connection.sandbox))
            if where == (last.account, last.place):
                target, sandbox = DesiredStack(last.stack, last.region, {}, spec_file=item.file), connection.sandbox
                async with recorded(aws, target, "sync", self._settings, _warn, sandbox=sandbox):
                    raise ReconcileError(item.text)

    async def _run_region(self, region: str, targets: Sequence[DesiredStack], report: SyncReport) -> None:
        try:
            connection, aws = self._ask(region)
        except ReconcileError as error:
            report.broken += [Broken(target.spec_file, str(error), is_spec=False) for target in targets]
            tell("region_unreachable", level=40, region=region, error=error)
            return
        shared = SharedReads(aws, [target.stack for target in targets])
        self._running.add(aws)  # the end mustn't wait for the turn of a shared read
        if self.is_ending:
            aws.stopping.set()
        try:
            await asyncio.gather(
                *(self._run_stack(aws.fork(), target, shared, connection, report) for target in targets)
            )
        finally:
            self._running.discard(aws)
            await shared.cancel()
            _tell_throttled(aws, region)
            if region in self._stale:  # its clients never look for other credentials
                self._stale.discard(region)
                self._connections.pop(region)[1].close()

    def close(self) -> None:
        """Let the threads go; calls under way finish."""
        for _, aws in self._connections.values():
            aws.close()

    def _ask(self, region: str) -> tuple[Connection, Aws]:
        """The connection to a region, and the client for this round."""
        if region not in self._connections:
            connection = self._connect(region)
            self._connections[region] = connection, connection.client()
        connection, aws = self._connections[region]
        return connection, aws.fork(anew=True)

    async def _run_stack(
        self, aws: Aws, target: DesiredStack, shared: SharedReads, connection: Connection, report: SyncReport
    ) -> None:
        if self.is_ending:
            return
        recorder: Recorder | None = None
        failure: Exception | None = None
        self._running.add(aws)
        with about(stack=target.stack, region=target.region):
            try:
                async with recorded(aws, target, "sync", self._settings, _warn, sandbox=connection.sandbox) as recorder:
                    await connection.until_answered(self._sync(aws, target, shared, connection, recorder, report))
            except HeldError as error:  # another run is at work
                failure = error
                tell("stack_held", text=error)
            except ReconcileError as error:
                failure = error
                tell("stack_failed", level=40, error=error)
            except Exception as error:  # whatever it is, it mustn't stop the other stacks
                failure = error
                tell("stack_failed_unexpectedly", level=40, error=f"{type(error).__name__}: {error}")
            finally:
                self._running.discard(aws)
        if _is_about_credentials(failure):
            self._stale.add(target.region)
        if recorder is None or recorder.record is None:
            report.broken.append(
                Broken(target.spec_file, f"its outcome couldn't be recorded: {failure}", is_spec=False)
            )
            return
        report.records.append(recorder.record)
        if failure is not None:
            report.errors[recorder.run] = self._settings.mask(str(failure))
        with about(stack=target.stack, region=target.region):
            tell("stack_done", result=recorder.record.result, seconds=recorder.record.seconds)
            _tell_throttled(aws, target.region)

    async def _sync(
        self,
        aws: Aws,
        target: DesiredStack,
        shared: SharedReads,
        connection: Connection,
        recorder: Recorder,
        report: SyncReport,
    ) -> None:
        def note(event: Event) -> None:
            recorder(event)
            _tell_event(event)

        ways, timeout = self._ways, self._lock_timeout
        target = await resolve_lookups(aws, replace(target, keeps_versions=True))
        locks = partial(held, aws, target, "sync", timeout, _warn, say_waiting=_tell_waiting)
        async with locks() as was_used_since:
            # a run that has held the stack meanwhile has made the shared reads old
            found = await survey(aws, target, ways, None if was_used_since(shared.began) else shared)
        ending = found.at_rest()
        if found.selection.steps:
            async with self._turns, locks():  # a stack that waits for its turn holds no lock
                tell("correcting", level=10, steps=len(found.selection.steps))
                _write_down(recorder, ending)  # so that a run that is killed leaves its plan
                ending = await correct(aws, target, ways, found, note)
        if is_absent(found.planned) and ending.selection.withheld:
            here = recorder.so_far(aws.known_account)
            ending = explain(ending, found.planned, self._settings.folder, here, connection.began)
        _write_down(recorder, ending)
        still = [*(item.step for item in ending.outcomes if item.how != "done"), *ending.selection.left]
        folder, seen = self._settings.folder, recorder.so_far(aws.known_account)
        done = any(item.how == "done" and recorder.causes.get(item.step.key) == "drift" for item in ending.outcomes)
        left = describe_leftovers(folder, seen, still) if still else describe_unended(folder, seen) if done else ""
        report.notes[recorder.run] = tuple(
            map(self._settings.mask.line, (*ending.problems, *filter(None, [left]), *ending.notes))
        )
        if ending.error is not None:
            raise ending.error


_CREDENTIALS: Final = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidClientTokenId", "UnrecognizedClientException",
     "AuthFailure", "SignatureDoesNotMatch"}
)  # fmt: skip


def _is_about_credentials(error: Exception | None) -> bool:
    return isinstance(error, UnreachableError) or (isinstance(error, AwsError) and error.code in _CREDENTIALS)


def _write_down(recorder: Recorder, ending: Ending) -> None:
    acted = ending.acted or ending.selection
    steps = tuple(step for step in acted.plan.steps if step.key not in acted.ignored)
    known = {step.key for step in acted.plan.steps}
    recorder.plan, recorder.outcomes = replace(acted.plan, steps=steps), ending.outcomes
    recorder.withheld = {**ending.selection.withheld, **acted.withheld}
    recorder.withheld_steps = tuple(step for step in ending.selection.left if step.key not in known)
    recorder.remarks, recorder.not_ready = ending.remarks, (*ending.problems, *ending.not_ready)
    recorder.causes = {**acted.causes, **ending.selection.causes}
    interrupted = any(item.how == "interrupted" for item in ending.outcomes)
    if any(item.how == "failed" for item in ending.outcomes) or ending.problems:
        recorder.exit_code = ExitCode.FAILED
    elif interrupted:
        recorder.exit_code = ExitCode.INTERRUPTED
    else:
        recorder.exit_code = ExitCode.CHANGES if ending.selection.withheld else ExitCode.OK


def _tell_event(event: Event) -> None:
    if event.what in ("done", "failed", "interrupted"):
        level = 40 if event.what == "failed" else 20
        told = {"error": event.text} if event.what == "failed" else {}
        tell(f"step_{event.what}", level=level, step=event.step.key, seconds=round(event.elapsed, 1), **told)
    elif event.what == "waiting":
        tell("step_waiting", level=10, step=event.step.key, waits_for=event.text)


def _tell_throttled(aws: Aws, region: str) -> None:
    for operation, found in aws.throttled.items():
        tell("throttled", level=10, region=region, operation=operation, times=found.count, last=found.last)


def _tell_waiting(text: str) -> None:
    tell("waiting", text=text)


def _warn(text: str) -> None:
    tell("warning", level=30, text=text)
