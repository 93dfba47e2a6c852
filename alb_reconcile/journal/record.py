"""The record of one run, and its form as a line of JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Literal, get_args
from urllib.parse import urlsplit

import msgspec

from alb_reconcile.aws.throttle import Throttled
from alb_reconcile.engine.plan.planner import POINT_THERE

VERSION: Final = 1

Result = Literal["in_sync", "corrected", "left", "failed", "held", "refused", "interrupted"]
"""in_sync: nothing was to be done. corrected: all was done. left: some of it requires manual action."""
RESULTS: Final[tuple[str, ...]] = get_args(Result)
_RENAMED: Final = {"in order": "in_sync"}
DESTROY_BEGUN: Final = (
    "a destroy of this stack was begun: apply takes it back and makes again what is gone; destroy finishes it"
)
NOTHING_THERE: Final = "nothing of the stack is there"
"""The beginning of the reason for which all steps of a stack wait."""
NO_USE: Final = " beside it is unhealthy"
"""Part of the reason of a step that waits after a roll has failed."""
ADVICE: Final = "What is unhealthy keeps apply waiting, and then it fails again: mend that, or put a version that works into the spec."


@dataclass(frozen=True)
class StepRecord:
    """One step of the plan, and its outcome.

    `how`: done, failed, skipped, interrupted, withheld, or planned where the run didn't get that far. `cause`: drift if the account had
    moved, spec if the spec had changed, empty where it isn't known. `code` and `request_id` are AWS's. `also_deletes`: what AWS deletes
    with it. `reason`: why it was withheld. `changes`: each property that differs, as `path: before → after`, of a list as `- path
    member` and `+ path member`, in a plan's words.
    """

    key: str
    action: str
    cause: str = ""
    how: str = "planned"
    seconds: float = 0.0
    id: str = ""
    code: str = ""
    error: str = ""
    request_id: str = ""
    reason: str = ""
    changes: tuple[str, ...] = ()
    also_deletes: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        """The address of the step's resource."""
        return self.key.partition(":")[2].partition("@")[0] or self.key


@dataclass(frozen=True)
class RunRecord:
    """One run over one stack. Times of day are UTC in ISO 8601; `seconds` is by a clock that doesn't jump.

    `account` is empty if AWS wasn't reached; `place` is empty for AWS, "sandbox", or the host of another emulator. `counts` are the
    plan's resources by action, and empty if there was no plan. `calls` and `throttled` are by operation. `requests`: the operation and
    AWS's request id of each call that changed something. `times`: seconds on AWS's clock until a first healthy target was `ready`, all
    `converged`, a request of --verify was `answered`, and how long the steps `took`, with the waits after them. `not_ready`: what
    wasn't ready at the end. `spec_folder`: where the run was started; `spec_file` is relative to it. `certificates`: when the
    certificates end that the stack had before, by address. `commit`: the commit that was checked out where the spec is. `error` ended
    the run as a whole. `names`: the DNS names of the load balancers that the run has seen, by address; they aren't written.
    """

    run: str
    command: str
    stack: str
    region: str
    started: str
    ended: str
    result: str
    account: str = ""
    place: str = ""
    seconds: float = 0.0
    host: str = ""
    user: str = ""
    tool: str = ""
    spec_file: str = ""
    spec_folder: str = ""
    spec_digest: str = ""
    commit: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    steps: tuple[StepRecord, ...] = ()
    calls: Mapping[str, int] = field(default_factory=dict)
    throttled: Mapping[str, Throttled] = field(default_factory=dict)
    requests: tuple[str, ...] = ()
    times: Mapping[str, float] = field(default_factory=dict)
    certificates: Mapping[str, str] = field(default_factory=dict)
    not_ready: tuple[str, ...] = ()
    exit_code: int = 0
    code: str = ""
    error: str = ""
    request_id: str = ""
    names: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def is_success(self) -> bool:
        """Whether everything was as wanted at the end, as far as the run waited for it."""
        return self.result in ("in_sync", "corrected") and not self.not_ready

    @property
    def is_gone(self) -> bool:
        """Whether the stack was destroyed."""
        return self.command == "destroy" and self.is_success

    def having(self, *, how: str | None = None, cause: str | None = None) -> tuple[StepRecord, ...]:
        """The steps that ended so, and that have that cause."""
        return tuple(step for step in self.steps if how in (None, step.how) and cause in (None, step.cause))

    @property
    def taken(self) -> float:
        """How long the run worked, in seconds: on AWS's clock from the first step on, as the terminal says, or else in all."""
        is_told = self.times.keys() & {"took", "ready"}
        return self.times.get("converged", self.times.get("took", self.seconds)) if is_told else self.seconds

    @property
    def withheld(self) -> tuple[StepRecord, ...]:
        """The steps that require manual action."""
        return self.having(how="withheld")

    @property
    def unmade(self) -> set[str]:
        """The load balancers that were to be created, and weren't, by address."""
        steps = (step for step in self.steps if step.how != "done" and step.action in ("create", "replace"))
        return {step.address for step in steps if step.address.startswith("load_balancer.")}

    @property
    def remarks(self) -> list[str]:
        """Remarks on resources that were created or changed, such as a new DNS name."""
        made = [step for step in self.having(how="done") if step.action != "delete"]
        return [f"{step.address}: {step.reason}" for step in made if step.reason]

    def answering(self, unmade: Iterable[str]) -> list[str]:
        """The names by which load balancers answer that were to be created by earlier runs; a run that has created one says so in its
        remarks."""
        told = {step.address for step in self.having(how="done") if step.action in ("create", "replace")}
        there = {item: self.names[item] for item in unmade if item in self.names.keys() - told}
        return [
            f"{item} answers as {name}: if that isn't its former name, {POINT_THERE}" for item, name in there.items()
        ]

    def to_data(self) -> dict[str, Any]:
        """The documented form, without empty fields of steps, and without certificates and a folder where there are none."""
        steps = [
            {key: value for key, value in asdict(step).items() if value not in ("", 0.0, ())} for step in self.steps
        ]
        found = {"version": VERSION, **asdict(self), "steps": steps}
        del found["names"]
        return {key: value for key, value in found.items() if value or key not in ("certificates", "spec_folder")}

    def to_json(self) -> str:
        """The documented form as JSON on one line, in ASCII."""
        return json.dumps(self.to_data(), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> RunRecord:
        """The record of a JSON line. Ignores fields of later versions. Raises ValueError for anything else."""
        try:
            record = _DECODER.decode(text)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
        for moment in (record.started, record.ended):
            datetime.fromisoformat(moment).timestamp()  # some dates can't be converted to seconds
        if record.command == "release" and {step.changes for step in record.steps} == {("tags",)}:
            record = replace(record, command="forget")  # its former name
        return replace(record, result=renamed(record.result)) if record.result in _RENAMED else record


_DECODER: Final = msgspec.json.Decoder(RunRecord)


def renamed(result: str) -> str:
    """The present name of a result; older records and metrics have other names."""
    return _RENAMED.get(result, result)


def place_name(endpoint: str, *, sandbox: bool = False) -> str:
    """The name of a run's place in records: empty for AWS's own endpoints, else the sandbox or a host with its port."""
    return "sandbox" if sandbox else urlsplit(endpoint).netloc.rpartition("@")[2] if endpoint else ""
