"""Records a run: follows it, and however it ends, writes its record to the history and the metrics and sends it to the webhook."""

import asyncio
import socket
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Final

from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.throttle import Throttled
from alb_reconcile.engine.apply import Event, Outcome
from alb_reconcile.journal.crash_record import Begun
from alb_reconcile.journal.files import RecordError
from alb_reconcile.journal.history import history_file, read_history, write_history
from alb_reconcile.journal.mask import Mask
from alb_reconcile.journal.notify import notify
from alb_reconcile.journal.record import Result, RunRecord, StepRecord, place_name
from alb_reconcile.journal.revision import commit_of
from alb_reconcile.journal.settings import Settings
from alb_reconcile.journal.tracing import RunTrace
from alb_reconcile.kinds.display import show_change
from alb_reconcile.model import tags
from alb_reconcile.model.address import Address
from alb_reconcile.model.decisions import DUPLICATE
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.errors import AwsError, ExitCode, HeldError, InterruptedRun, LeaseLostError
from alb_reconcile.model.host import iso, user_name
from alb_reconcile.model.plan import Plan, Step
from alb_reconcile.model.resource import Desired
from alb_reconcile.model.service import dns_names
from alb_reconcile.model.text import printable
from alb_reconcile.model.version import __version__

_MOST: Final = 50
"""The most changes of one step that are kept."""
_LONGEST: Final = 400
"""The most characters of a change."""
_DELETES: Final = ("modify_load_balancer_attributes", "delete_load_balancer")  # the protection is removed first


class Recorder:
    """The recorder of one run over one stack. Its caller sets the public attributes, and calls it with each event of `apply`; `close`
    makes the record.

    `place` is as `place_name` says. `desired` is what the spec wants, for its digest: with variables filled in, so that
    two runs of one file with other variables differ.
    """

    def __init__(
        self,
        command: str,
        stack: str,
        region: str,
        *,
        mask: Mask,
        spec_file: str = "",
        desired: Mapping[Address, Desired] | None = None,
        place: str = "",
        now: Callable[[], float] = time.time,
    ) -> None:
        self.run: Final = uuid.uuid4().hex
        self.plan: Plan | None = None
        self.outcomes: tuple[Outcome, ...] = ()
        self.exit_code = ExitCode.OK
        self.withheld: Mapping[str, str] = {}
        """The reason for each step that requires manual action, by the step's key."""
        self.withheld_steps: tuple[Step, ...] = ()
        """The withheld steps that aren't in `plan`."""
        self.causes: Mapping[str, str] = {}
        """The causes of steps, by key: "drift" if the account has moved, "spec" if the spec has changed."""
        self.remarks: Mapping[str, str] = {}
        """Further remarks on steps that were done, by key."""
        self.times: dict[str, float] = {}
        self.not_ready: tuple[str, ...] = ()
        self.throttled: Mapping[str, Throttled] = {}
        self.commit = ""
        """The commit that is checked out where the spec is."""
        self.record: RunRecord | None = None
        """The record that `close` has made."""
        self.trace: RunTrace | None = None
        self.begin: Callable[[], Begun | None] = lambda: None
        """Called before the first step: writes the record that is left behind if the run is killed."""
        self.begun: Begun | None = None
        self._command, self._stack, self._region, self._place = command, stack, region, place
        self._spec_file, self._spec_digest = spec_file, tags.spec_digest_of(desired) if desired else ""
        self._spec_folder = str(Path.cwd()) if spec_file else ""
        self._mask, self._now = mask, now
        self._started, self._began = now(), time.monotonic()
        self._seconds: dict[str, float] = {}
        self._created: dict[str, str] = {}
        self._has_begun = False

    def __call__(self, event: Event) -> None:
        """Note how long a step took, and the id of what it created."""
        if self.trace is not None:
            self.trace.step(event)
        if event.what == "started" and not self._has_begun:
            self._has_begun, self.begun = True, self.begin()
        if event.what in ("done", "failed", "interrupted"):
            self._seconds[event.step.key] = event.elapsed
        if event.what == "done" and event.step.action in ("create", "replace"):
            self._created[event.step.key] = event.text
        if self.begun is not None and event.what in ("started", "done", "failed", "skipped", "interrupted"):
            # a kill interrupts steps that have started, and no others
            how = "interrupted" if event.what == "started" else event.what
            known = {"id": event.text} if event.what == "done" and event.text else {}
            known |= {"error": event.text} if event.what == "failed" else {}
            known |= {"reason": told} if event.what == "started" and (told := _old_name(event.step)) else {}
            step = {"key": event.step.key, "action": event.step.action, "how": how, **known}
            ended = {"seconds": round(event.elapsed, 3), "at": iso(self._now())}
            self.begun.note({name: self._line(value) for name, value in step.items()} | ended)

    def close(
        self,
        *,
        account: str = "",
        calls: Mapping[str, int] | None = None,
        requests: Iterable[str] = (),
        error: BaseException | None = None,
    ) -> RunRecord:
        """Make the record. An `error` is what ended the run as a whole; then it decides on the result and the exit code."""
        if error is not None:
            self.exit_code = getattr(error, "exit_code", ExitCode.FAILED)
        self.record = self._made(account, calls or {}, requests, error)
        return self.record

    @property
    def steps(self) -> tuple[Step, ...]:
        """The planned steps, and the withheld steps that aren't in the plan."""
        return (*(self.plan.steps if self.plan else ()), *self.withheld_steps)

    def so_far(self, account: str) -> RunRecord:
        """The record of the run as if it ended now."""
        return self._made(account, {}, (), None)

    def _made(
        self, account: str, calls: Mapping[str, int], requests: Iterable[str], error: BaseException | None
    ) -> RunRecord:
        outcomes = {item.step.key: item for item in self.outcomes}
        planned = {step.key: step for step in self.steps}
        return RunRecord(
            run=self.run,
            command=self._command,
            stack=self._line(self._stack),
            region=self._line(self._region),
            started=iso(self._started),
            ended=iso(self._now()),
            result=self._result() if error is None else result_of(error),
            account=account,
            place=self._line(self._place),
            seconds=round(time.monotonic() - self._began, 3),
            host=self._line(socket.gethostname()),
            user=self._line(user_name()),
            tool=__version__,
            spec_file=self._line(self._spec_file),
            spec_folder=self._line(self._spec_folder),
            spec_digest=self._spec_digest,
            commit=self.commit,
            counts=self.plan.count() if self.plan else {},
            steps=tuple(self._step(step, outcomes.get(key)) for key, step in planned.items()),
            calls=dict(calls),
            throttled=dict(self.throttled),
            requests=tuple(map(self._line, requests)),
            times={name: round(seconds, 3) for name, seconds in self.times.items()},
            certificates=dict(_ends(self.plan)) if self.plan else {},
            not_ready=tuple(map(self._line, self.not_ready)),
            names={str(key): self._line(name) for key, name in dns_names(self.plan.live if self.plan else ()).items()},
            exit_code=int(self.exit_code),
            **self._failure(error),
        )

    def _result(self) -> Result:
        """The result of a run that no error ended."""
        if self.exit_code is ExitCode.OK:
            return "corrected" if any(item.how == "done" for item in self.outcomes) else "in_sync"
        if self.exit_code is ExitCode.CHANGES:
            return "left"
        if self.exit_code is ExitCode.REFUSED:
            return "refused"
        return "interrupted" if self.exit_code is ExitCode.INTERRUPTED else "failed"

    def _step(self, step: Step, outcome: Outcome | None) -> StepRecord:
        how: str = "planned" if outcome is None else outcome.how
        reason = self.withheld.get(step.key)
        if reason is None and outcome is not None and outcome.cause is not None:
            reason = f"it needs {outcome.cause.address}"
        elif reason is not None and outcome is None:
            how = "withheld"
        elif step.key in self.remarks:
            reason = self.remarks[step.key]
        elif step.reason == DUPLICATE:  # an earlier run has caused it
            reason = DUPLICATE
        elif how == "done" or (outcome and outcome.error and not _is_refused(outcome.error)):
            reason = _old_name(step)
        return StepRecord(
            key=self._line(step.key),
            action=step.action,
            cause=self.causes.get(step.key, ""),
            how=how,
            seconds=round(self._seconds.get(step.key, 0.0), 3),
            id=self._line(self._created.get(step.key) or step.id or ""),
            reason=self._line(reason or ""),
            changes=tuple(islice(self._changes(step), _MOST)),
            also_deletes=tuple(self._line(item) for item in step.also_deletes),
            **self._failure(outcome.error if outcome else None),
        )

    def _changes(self, step: Step) -> Iterator[str]:
        # properties have AWS's names, of which http_tokens is no secret; user data is its digest
        names = self.plan.names if self.plan else {}
        for change in self.plan.shown(step) if self.plan else ():
            path = printable(change.path)
            for sign, shown in show_change(change, names):
                text = self._mask.line(shown, _LONGEST)
                yield f"{sign} {path} {text}" if sign else f"{path}: {text}"

    def _failure(self, error: BaseException | None) -> dict[str, str]:
        if error is None:
            return {}
        code, request = type(error).__name__, ""
        if isinstance(error, AwsError):
            code, request = error.code or code, error.request_id
        return {"code": self._line(code), "error": self._line(error), "request_id": self._line(request)}

    def _line(self, text: object) -> str:
        return self._mask.line(text)


def _old_name(step: Step) -> str:
    """For a load balancer that is deleted, the DNS name that it had, in words; empty for anything else."""
    name = getattr(step.observed and step.observed.details, "dns_name", "") if step.action == "delete" else ""
    return f"its DNS name was {name}" if name else ""


def _is_refused(error: BaseException) -> bool:
    """Whether AWS has certainly refused to delete a load balancer: if the reply to a first try was lost, that try may have deleted it."""
    return isinstance(error, AwsError) and error.operation in _DELETES and not (error.ambiguous or error.retries)


def _ends(plan: Plan) -> Iterator[tuple[str, str]]:
    """The address and the end of each resource of the stack that has an end."""
    for item in plan.live:
        ends = getattr(item.details, "ends", None)
        if isinstance(ends, datetime):
            yield str(item.address), iso(ends.timestamp())


def result_of(error: BaseException) -> Result:
    """The result of a run that an error ended."""
    if isinstance(error, HeldError):
        return "held"
    if getattr(error, "exit_code", None) is ExitCode.REFUSED:
        return "refused"
    if isinstance(error, LeaseLostError):
        return "failed"
    return "interrupted" if isinstance(error, InterruptedRun | KeyboardInterrupt) else "failed"


@asynccontextmanager
async def recorded(
    aws: Aws,
    target: DesiredStack,
    command: str,
    settings: Settings,
    say: Callable[[str], None],
    *,
    sandbox: bool = False,
    keep: Callable[[RunRecord], object] = lambda _: None,
) -> AsyncIterator[Recorder]:
    """Record the run within the block, however it ends. `say` is given one line for each place that can't be written to, `keep` the
    record."""
    recorder = Recorder(
        command, target.stack, target.region, mask=settings.mask, spec_file=target.spec_file,
        desired=target.desired, place=place_name(aws.endpoint, sandbox=sandbox),
    )  # fmt: skip
    recorder.commit = commit_of(target.spec_file) if target.spec_file else ""
    if settings.tracing is not None:
        recorder.trace = settings.tracing.begin(recorder.run, command, target.stack, target.region)
        aws.on_answer = recorder.trace.call
    error: BaseException | None = None

    def begin() -> Begun | None:
        try:
            record = recorder.so_far(aws.known_account)
            return Begun(history_file(settings.folder, record), record)
        except OSError:  # the end of the run says that nothing can be written there
            return None

    recorder.begin = begin
    try:
        yield recorder
    except BaseException as raised:  # an interruption, too, is recorded, and raised again
        error = raised
        raise
    finally:
        recorder.throttled = aws.throttled
        record = recorder.close(account=aws.known_account, calls=aws.calls, requests=aws.requests, error=error)
        keep(record)
        if recorder.trace is not None:
            recorder.trace.end(record)
        await save_record(record, settings, say)
        if recorder.begun is not None:
            recorder.begun.end()
        if settings.issues is not None:
            try:
                await settings.issues.update(record, aws, recorder.steps, recorder.plan.live if recorder.plan else ())
            except RecordError as raised:
                say(settings.mask.line(raised))


async def save_record(record: RunRecord, settings: Settings, say: Callable[[str], None]) -> None:
    """Write the history and the metrics, and notify the webhook. Never raises for what fails: `say` is given one line for each failure.

    Takes the webhook's time-out at most, and some seconds more while another process writes the same files.
    """
    last_success = None
    try:
        last_success = await asyncio.to_thread(_write_history, record, settings)
    except RecordError as error:
        say(f"this run isn't in the history: {error}")
    if settings.metrics_file is not None:
        from alb_reconcile.journal.metrics import write_metrics

        try:
            await asyncio.to_thread(write_metrics, record, settings.metrics_file, last_success)
        except RecordError as error:
            say(f"this run isn't in the metrics: {error}")
    if settings.webhook is not None:
        try:
            await notify(settings.webhook, settings.folder, record)
        except RecordError as error:
            say(settings.mask.line(error))


def _write_history(record: RunRecord, settings: Settings) -> float | None:
    """Write the history. Returns when a run last was a success (seconds since the epoch), if the metrics may need it."""
    write_history(record, settings.folder, settings.retention)
    if settings.metrics_file is None or record.is_success:
        return None
    past = read_history(
        settings.folder, record.stack, record.region,
        account=record.account, place=record.place, limit=1, successful=True,
    )  # fmt: skip
    return next((datetime.fromisoformat(run.ended).timestamp() for run in past.runs), None)
