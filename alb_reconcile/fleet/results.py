"""The result of a run over a cell, as it is kept: small, and the same wherever the run was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Literal

import msgspec

from alb_reconcile.fleet.cells import Cell
from alb_reconcile.journal.record import RunRecord, StepRecord
from alb_reconcile.model.errors import ExitCode
from alb_reconcile.sync.targets import Broken

VERSION: Final = 1
Command = Literal["plan", "sync", "apply"]
CellStatus = Literal["succeeded", "failed", "held", "interrupted", "cancelled"]
"""failed: the cell itself or a stack in it. held: another run had the cell (`error` says which), or other runs had all of its stacks,
or for an apply some. cancelled: the cell wasn't begun, since the operation had stopped."""
_MOST_STEPS: Final = 50
"""The most steps of a stack that are kept; the stack's own history has all."""
_MOST_RUNS: Final = 10
LONGEST: Final = 2000
"""The most characters of an error."""


@dataclass(frozen=True)
class StackResult:
    """One stack's part of a cell's result. `result` is a record's, `changes` where a plan has steps, or `broken` for a spec that can't
    be used.

    `steps` are the steps that were carried out, or are left. `last_success` is when the stack last was as wanted.
    """

    stack: str
    spec_file: str
    result: str
    started: str = ""
    ended: str = ""
    seconds: float = 0.0
    run: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    steps: tuple[StepRecord, ...] = ()
    notes: tuple[str, ...] = ()
    throttled: int = 0
    error: str = ""
    last_success: str = ""

    @classmethod
    def of(cls, record: RunRecord, notes: Iterable[str] = ()) -> StackResult:
        """The stack's result from the record of its run."""
        result = "changes" if record.command == "plan" and record.result == "left" else record.result
        return cls(
            record.stack, record.spec_file, result, record.started, record.ended, record.seconds, record.run,
            counts=record.counts, steps=record.steps[:_MOST_STEPS], notes=tuple(notes),
            throttled=sum(item.count for item in record.throttled.values()), error=record.error[:LONGEST],
            last_success=record.ended if record.is_success else "",
        )  # fmt: skip

    @classmethod
    def broken(cls, item: Broken) -> StackResult:
        """The result for a spec that can't be used, or for another reason why a stack wasn't looked at."""
        return cls("", item.file, "broken" if item.is_spec else "failed", error=item.text[:LONGEST])

    @property
    def has_drift(self) -> bool:
        """Whether the account has moved away from the spec, and hasn't been brought back."""
        return any(step.cause == "drift" and step.how != "done" for step in self.steps)


@dataclass(frozen=True)
class PastRun:
    """An earlier run over the cell."""

    command: str
    status: str
    ended: str


@dataclass(frozen=True)
class CellResult:
    """The result of a run over a cell. Times of day are UTC in ISO 8601; `seconds` is by a clock that doesn't jump.

    `operation` is the id of the operation that the run was a part of. `error` is what kept the whole cell from being worked on. `past`
    are the earlier runs, the newest first.
    """

    fleet: str
    account: str
    region: str
    wave: str
    command: str
    status: CellStatus
    started: str
    ended: str
    name: str = ""
    owner: str = ""
    schedule: int | None = None
    seconds: float = 0.0
    stacks: tuple[StackResult, ...] = ()
    error: str = ""
    operation: str = ""
    host: str = ""
    last_success: str = ""
    past: tuple[PastRun, ...] = ()
    version: int = VERSION

    @property
    def key(self) -> str:
        """The key of the result's cell."""
        return f"{self.account}/{self.region}"

    @property
    def counts(self) -> dict[str, int]:
        """How many stacks have each result."""
        return dict(Counter(item.result for item in self.stacks))

    @property
    def code(self) -> ExitCode:
        """The exit code of a run over this cell alone."""
        if self.status == "failed":
            is_spec = not self.error and all(item.result == "broken" for item in self.stacks)
            return ExitCode.INVALID if is_spec else ExitCode.FAILED
        if self.status == "interrupted":
            return ExitCode.INTERRUPTED
        if self.status == "held":
            return ExitCode.HELD
        if self.status == "cancelled":
            return ExitCode.FAILED
        return ExitCode.CHANGES if {item.result for item in self.stacks} & {"left", "changes"} else ExitCode.OK

    def after(self, earlier: CellResult | None) -> CellResult:
        """The result, with what an earlier result of the cell says of the time before."""
        if earlier is None:
            return self
        known = {item.stack: item.last_success for item in earlier.stacks if item.stack}
        past = (PastRun(earlier.command, earlier.status, earlier.ended), *earlier.past)
        return replace(
            self,
            stacks=tuple(
                replace(item, last_success=item.last_success or known.get(item.stack, "")) for item in self.stacks
            ),
            last_success=self.last_success or earlier.last_success,
            past=past[:_MOST_RUNS],
        )

    def to_json(self) -> bytes:
        """The result as JSON on one line."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, data: bytes) -> CellResult:
        """The result in a JSON text. Ignores fields of later versions. Raises ValueError for anything else."""
        try:
            result = _DECODER.decode(data)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
        check_moments(result.started, result.ended, *filter(None, [result.last_success]))
        return result


def check_moments(*moments: str) -> None:
    """Raises ValueError for a time that can't be converted to seconds."""
    for moment in moments:
        datetime.fromisoformat(moment).timestamp()


_DECODER: Final = msgspec.json.Decoder(CellResult)


def status_of(command: str, stacks: Iterable[StackResult], error: str) -> CellStatus:
    """A cell's status by the results of its stacks. A stack that another run holds is looked at by the next sync; an apply isn't done
    before its turn has come."""
    results = {item.result for item in stacks}
    if "interrupted" in results:
        return "interrupted"
    if error or results & {"failed", "refused", "broken"}:
        return "failed"
    return "held" if results == {"held"} or (command == "apply" and "held" in results) else "succeeded"


def cancelled(cell: Cell, command: str, moment: str, operation: str) -> CellResult:
    """The result of a cell that wasn't begun."""
    return CellResult(
        cell.fleet, cell.account, cell.region, cell.wave, command, "cancelled", moment, moment,
        name=cell.name, owner=cell.owner, schedule=cell.schedule, operation=operation,
    )  # fmt: skip
