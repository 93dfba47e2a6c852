"""What a run left undone, by this host's history, so that nobody takes it for somebody's doing."""

from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from alb_reconcile.journal.files import RecordError
from alb_reconcile.journal.history import read_history
from alb_reconcile.journal.record import Record, StepRecord
from alb_reconcile.model.plan import Step
from alb_reconcile.model.text import printable

_ENDED: Final = {"failed": "failed", "interrupted": "was interrupted"}
_MOST: Final = 5


def describe_leftovers(folder: Path, seen: Record, steps: Iterable[Step]) -> str:
    """Which of these steps the run before `seen` had planned and not done; empty where it did all, or isn't known."""
    with suppress(RecordError):
        past = read_history(folder, seen.stack, seen.region, account=seen.account, place=seen.place, limit=1)
        for last in past.runs:
            undone: dict[str, list[StepRecord]] = defaultdict(list)
            for item in last.steps:
                if item.how not in ("done", "withheld"):
                    undone[_address(item.key)].append(item)
            left = [step for step in steps if _is_left(step, undone[str(step.address)])]
            names = list(dict.fromkeys(str(step.address) for step in left))
            if names and last.result in _ENDED:
                more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
                when = last.started.replace("T", " ")
                return printable(
                    f"left by the {last.command} of {when}, which {_ENDED[last.result]}: {', '.join(names[:_MOST])}{more}"
                )
    return ""


def _is_left(step: Step, undone: Iterable[StepRecord]) -> bool:
    """Whether a run left it: what it had to change or delete, and hadn't begun to, was there when it ended."""
    return any(step.action != "create" or item.action == "create" or item.how != "skipped" for item in undone)


def _address(key: str) -> str:
    """The address in a step's key."""
    return key.partition(":")[2].partition("@")[0]
