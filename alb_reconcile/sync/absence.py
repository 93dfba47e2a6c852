"""Decides, for a stack without any resources, whether it ever had some and which run removed them, from this host's history."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from alb_reconcile.engine.stack import StackPlan
from alb_reconcile.journal.files import RecordError
from alb_reconcile.journal.history import describe_elsewhere, runs_of
from alb_reconcile.journal.record import NOTHING_THERE, RunRecord
from alb_reconcile.model.advice import advised
from alb_reconcile.model.resource import Desired
from alb_reconcile.model.service import Balancer
from alb_reconcile.model.text import printable
from alb_reconcile.sync.selection import NEVER_APPLIED
from alb_reconcile.sync.stack import Ending

UNRECORDED_END: Final = "no completed destroy or release of it is recorded here"
_NOW: Final = "; nothing of it is there now"


@dataclass(frozen=True)
class Past:
    """What a history says of a stack without resources, in words; `there`: it was there, and no recorded run removed it."""

    how: Literal["there", "destroyed", "released"]
    text: str


def find_past(runs: Iterable[RunRecord], began: str = "") -> Past | None:
    """The past of a stack by its recorded runs, the newest first; None where nothing is known. `began`: when the sandbox started;
    earlier runs were over another sandbox's stack."""
    for run in runs:
        if run.started < began:
            break
        if run.command in ("destroy", "release"):
            done = [step.address for step in run.having(how="done")]
            if done and run.is_gone:
                return Past("destroyed", when_and_who(run))
            is_whole = not run.spec_digest or any(address.startswith("load_balancer.") for address in done)
            if done and run.command == "release" and is_whole:
                return Past("released", when_and_who(run))
        elif run.is_success and not run.spec_digest:
            break  # the stack was empty, as its spec wanted it
        # an earlier round has recorded what it knew of the stack: the run that it knew may be deleted by now
        elif told := next((line for line in run.not_ready if line.endswith(_NOW)), "") or _sighting(run):
            return Past("there", told)
    return None


def explain(ending: Ending, planned: StackPlan, folder: Path, seen: RunRecord, began: str) -> Ending:
    """The ending of a run that has found nothing of a stack: an outage where the stack was there, unless it was destroyed or released
    on this host. `seen` is the run's record so far."""
    selection = ending.selection
    balancers = [item for item in planned.plan.desired.values() if isinstance(item.state, Balancer)]
    is_like_nothing = set(selection.withheld.values()) == {NEVER_APPLIED}
    try:
        past = find_past(runs_of(folder, seen), began)
        elsewhere = describe_elsewhere(folder, seen.stack, seen.region, seen.account, seen.place)
    except RecordError:
        return ending
    if past is None:
        return replace(ending, selection=selection.because(elsewhere and f"; {elsewhere}"))
    if past.how == "released":
        adopt = f"{advised('adopt', seen.spec_file)} takes it back"
        text = f", as it was released on this host {past.text}: remove the spec from this folder; {adopt}"
        return replace(ending, selection=selection.because(text))
    if past.how == "destroyed":
        text = f", as it was destroyed on this host {past.text}: run apply once, or remove the spec"
        return replace(ending, selection=selection.because(text)) if is_like_nothing else ending
    if not is_like_nothing and (not balancers or any(_answers(item, planned) for item in balancers)):
        return replace(
            ending, selection=selection.adding("; if somebody has released it, remove the spec from this folder")
        )
    anew = ", which gives load balancers other DNS names" if balancers else ""
    text = f", and {UNRECORDED_END}: run apply once{anew}, or remove the spec"
    told = replace(selection.because(text if is_like_nothing else ""), causes=dict.fromkeys(selection.causes, "drift"))
    return replace(ending, selection=told, problems=(*ending.problems, past.text))


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


def _answers(balancer: Desired, planned: StackPlan) -> bool:
    """Whether a load balancer of this name exists, whichever stack owns it now."""
    name = getattr(balancer.state, "name", None)
    derived = re.compile(re.escape(balancer.tags["Name"]) + "(-[0-9a-f]{8})?")
    names = (taken for kind, taken in planned.discovery.taken if kind == balancer.address.kind)
    return any(taken == name or derived.fullmatch(taken) for taken in names)
