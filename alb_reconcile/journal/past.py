"""Decides for a stack without any resources what its history says: whether it ever had some, and which run removed them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from alb_reconcile.journal.record import NOTHING_THERE, RunRecord
from alb_reconcile.model.text import printable

UNRECORDED_END: Final = "no completed destroy or forget of it is recorded here"
_NOW: Final = "; nothing of it is there now"


@dataclass(frozen=True)
class Past:
    """What a history says of a stack without resources, in words; `there`: it was there, and no recorded run removed it."""

    how: Literal["there", "destroyed", "forgotten"]
    text: str


def find_past(runs: Iterable[RunRecord], began: str = "") -> Past | None:
    """The past of a stack by its recorded runs, the newest first; None where nothing is known. `began`: when the sandbox started;
    earlier runs were over another sandbox's stack."""
    for run in runs:
        if run.started < began:
            break
        if run.command in ("destroy", "forget"):
            done = [step.address for step in run.having(how="done")]
            if done and run.is_gone:
                return Past("destroyed", when_and_who(run))
            is_whole = not run.spec_digest or any(address.startswith("load_balancer.") for address in done)
            if done and run.command == "forget" and is_whole:
                return Past("forgotten", when_and_who(run))
        elif run.is_success and not run.spec_digest:
            break  # the stack was empty, as its spec wanted it
        # an earlier round has recorded what it knew of the stack: the run that it knew may be deleted by now
        elif told := next((line for line in run.not_ready if line.endswith(_NOW)), "") or _sighting(run):
            return Past("there", told)
    return None


def when_and_who(run: RunRecord) -> str:
    """When a run began, and which user started it on which host."""
    return printable(f"{run.started.replace('T', ' ')} by {run.user}@{run.host}")


def _sighting(run: RunRecord) -> str:
    """A sentence that a run has seen something of the stack; empty if the run doesn't say so."""
    when = f"at {run.started.replace('T', ' ')}{_NOW}"
    if run.command in ("apply", "sync") and run.result in ("in_sync", "corrected") and run.spec_digest:
        return f"was {'in sync' if run.is_success else 'there'} {when}"
    if run.command == "sync":
        is_there = bool(run.steps) and not any(step.reason.startswith(NOTHING_THERE) for step in run.steps)
    else:
        is_there = bool(run.having(how="done"))
    return f"was there {when}" if is_there else ""
