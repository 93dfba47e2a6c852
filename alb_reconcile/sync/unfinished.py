"""Finds what an earlier run left undone, from this host's history, so that a user doesn't take it for another person's change."""

from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from alb_reconcile.journal.files import RecordError
from alb_reconcile.journal.history import read_history
from alb_reconcile.journal.record import RunRecord, StepRecord
from alb_reconcile.model.advice import advised
from alb_reconcile.model.plan import Step
from alb_reconcile.model.text import printable

_ENDED: Final = {"failed": "failed", "interrupted": "was interrupted"}
_MOST: Final = 5
_LOOKED_AT: Final = 50
"""The number of runs that are searched: four hours of `sync` every five minutes."""


def describe_leftovers(folder: Path, seen: RunRecord, steps: Iterable[Step]) -> str:
    """Which of these steps an earlier run than `seen` had planned and not done, and no run since; empty where that isn't known.

    Of several such runs the first is named: the later ones have only tried it again.
    """
    first: RunRecord | None = None
    left = list(steps)
    with suppress(RecordError):
        past = read_history(folder, seen.stack, seen.region, account=seen.account, place=seen.place, limit=_LOOKED_AT)
        for last in past.runs:
            if last.result in ("held", "refused"):
                continue
            undone: dict[str, list[StepRecord]] = defaultdict(list)
            for item in last.steps:
                if item.how != "done" and (item.how != "withheld" or last.result not in _ENDED):
                    undone[item.address].append(item)
            still = [step for step in left if _is_left(step, undone[str(step.address)])]
            if not still or (first is not None and len(still) < len(left)):
                break
            left = still
            first = last if last.result in _ENDED else first
    if first is None:
        return ""
    names = list(dict.fromkeys(str(step.address) for step in left))
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    when = first.started.replace("T", " ")
    what = f"left by the {first.command} of {when}, which {_ENDED[first.result]}: {', '.join(names[:_MOST])}{more}"
    if first.command == "sync":  # the next round tries again
        return printable(what)
    said = first if first.spec_file else seen  # a destroy by the stack's name has no spec
    spec = str(Path(said.spec_folder, said.spec_file))
    if first.command == "destroy":
        return printable(f"{what}; `{advised('apply', spec)}` takes it back, `{advised('destroy', spec)}` finishes it")
    does = "continues it" if first.spec_digest == seen.spec_digest else "finishes or undoes it"
    return printable(f"{what}; `{advised('apply', spec)}` {does}")


def describe_unended(folder: Path, seen: RunRecord) -> str:
    """For a stack after a correction of drift, the run that ended early and after which no run has found the stack in sync; empty if
    there is none."""
    with suppress(RecordError):
        past = read_history(folder, seen.stack, seen.region, account=seen.account, place=seen.place, limit=_LOOKED_AT)
        for last in past.runs:
            if last.result in _ENDED and last.command != "sync":
                when = f"{last.started.replace('T', ' ')}, which {_ENDED[last.result]}"
                return printable(f"what is called drift here may be left by the {last.command} of {when}")
            if last.result in ("in_sync", "corrected"):
                break
    return ""


def _is_left(step: Step, undone: Iterable[StepRecord]) -> bool:
    """Whether a run left a step undone: a resource that the run had to change or delete was still there when the run ended."""
    return any(step.action != "create" or item.action == "create" or item.how != "skipped" for item in undone)
