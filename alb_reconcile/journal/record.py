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
"""in_sync: nothing was to be done. corrected: it was done. left: some of it requires manual action."""
RESULTS: Final[tuple[str, ...]] = get_args(Result)
_RENAMED: Final = {"in order": "in_sync"}
DESTROY_BEGUN: Final = (
    "a destroy of this stack was begun: apply takes it back and makes again what is gone; destroy finishes it"
)
NOTHING_THERE: Final = "nothing of the stack is there"
"""How the reason begins for which all of a stack waits."""
NO_USE: Final = " beside it is unhealthy"
"""In the reason of a step that waits after a roll has failed."""
ADVICE: Final = "What is unhealthy keeps apply waiting, and then it fails again: mend that, or put a version that works into the spec."


@dataclass(frozen=True)
class StepRecord:
    """One step of the plan, and what became of it.

    `how`: done, failed, skipped, interrupted, withheld, or planned where the run didn't get that far. `cause`: drift if
    the account had moved, spec if the spec had, empty where it wasn't told. `code` and `request_id` are AWS's.
    `also_deletes`: what AWS deletes with it. `reason`: why it was withheld. `changes`: each property that differs, as `path: before → after`, of a list
    as `- path member` and `+ path member`, in a plan's words.
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
        """The resource's."""
        return self.key.partition(":")[2].partition("@")[0] or self.key


@dataclass(frozen=True)
class RunRecord:
    """One run over one stack. Times of day are UTC in ISO 8601; `seconds` is by a clock that doesn't jump.

    `account` is empty if AWS wasn't reached; `place` is empty for AWS, "sandbox", or the host of another emulator.
    `counts` are the plan's resources by action, and empty if there was no plan. `calls` and `throttled` are by operation.
    `requests`: the operation and AWS's request id of each call that changed something. `times`: seconds on AWS's clock until
    a first healthy target was `ready`, all `converged`, a request of --verify was `answered`, and what the steps `took`, with what
    was waited for after them. `not_ready`: what wasn't in the
    end. `spec_folder`: where the run was
    started, which `spec_file` is relative to. `certificates`: when those end that the stack had before, by address. `commit` was checked out where
    the spec is. `error` ended the run as a whole. `names`: the DNS names of the load balancers that it has seen, by address; they aren't kept.
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
        """Whether everything was as wanted in the end, as far as anybody waited for it."""
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
        """For how long it worked, in seconds: by AWS's clock and from the first step on, as the terminal says, or else in all."""
        is_told = self.times.keys() & {"took", "ready"}
        return self.times.get("converged", self.times.get("took", self.seconds)) if is_told else self.seconds

    @property
    def withheld(self) -> tuple[StepRecord, ...]:
        """The steps that require manual action."""
        return self.having(how="withheld")

    @property
    def unmade(self) -> set[str]:
        """The load balancers that were to be made, and weren't, by address."""
        steps = (step for step in self.steps if step.how != "done" and step.action in ("create", "replace"))
        return {step.address for step in steps if step.address.startswith("load_balancer.")}

    @property
    def remarks(self) -> list[str]:
        """What is to be told of what was made or changed, such as a new DNS name."""
        made = [step for step in self.having(how="done") if step.action != "delete"]
        return [f"{step.address}: {step.reason}" for step in made if step.reason]

    def answering(self, unmade: Iterable[str]) -> list[str]:
        """By which names the load balancers answer that were to be made before; a run that has made one says it in its remarks."""
        told = {step.address for step in self.having(how="done") if step.action in ("create", "replace")}
        there = {item: self.names[item] for item in unmade if item in self.names.keys() - told}
        return [
            f"{item} answers as {name}: if that isn't its former name, {POINT_THERE}" for item, name in there.items()
        ]

    def to_data(self) -> dict[str, Any]:
        """The documented form, without what is empty in a step, certificates and a folder where there are none."""
        steps = [
            {key: value for key, value in asdict(step).items() if value not in ("", 0.0, ())} for step in self.steps
        ]
        found = {"version": VERSION, **asdict(self), "steps": steps}
        del found["names"]
        return {key: value for key, value in found.items() if value or key not in ("certificates", "spec_folder")}

    def to_json(self) -> str:
        """The same on one line, in ASCII."""
        return json.dumps(self.to_data(), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> RunRecord:
        """The inverse. Leaves out what a later version says more. Raises ValueError for anything else."""
        try:
            record = _DECODER.decode(text)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
        for moment in (record.started, record.ended):
            datetime.fromisoformat(moment).timestamp()  # there are dates that can't be told in seconds
        return replace(record, result=renamed(record.result)) if record.result in _RENAMED else record


_DECODER: Final = msgspec.json.Decoder(RunRecord)


def renamed(result: str) -> str:
    """A result's name of today; records and metrics that are older have others."""
    return _RENAMED.get(result, result)


def place_name(endpoint: str, *, sandbox: bool = False) -> str:
    """What records call the place of a run: empty for AWS's own endpoints, else the sandbox or a host with its port."""
    return "sandbox" if sandbox else urlsplit(endpoint).netloc.rpartition("@")[2] if endpoint else ""
