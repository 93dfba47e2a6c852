"""A stack's history: what was run, when, by whom, what came of it, and what failed."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Final

from alb_reconcile.cli.render.progress import render_throttled
from alb_reconcile.cli.render.style import Style
from alb_reconcile.journal.history import History
from alb_reconcile.journal.record import Record, StepRecord
from alb_reconcile.model.text import printable

_COLORS: Final = {"in_sync": "green", "corrected": "green", "failed": "red", "left": "yellow", "refused": "yellow"}
_MOST: Final = 10
"""Steps of one run that are named; --format json names all."""


def history_json(past: History) -> str:
    """The documented form: the records as they were written, the newest first."""
    runs = [record.to_data() for record in past.runs]
    return json.dumps({"version": 1, "runs": runs, "unreadable": past.unreadable}, indent=2)


def history_text(past: History, style: Style) -> str:
    """The same to read. A history is data like any other: nothing of it reaches the terminal unescaped."""
    return "\n".join(_lines(past, style))


def _lines(past: History, style: Style) -> Iterator[str]:
    place: tuple[str, ...] = ()
    for record in past.runs:
        where = (record.stack, record.region, record.account, record.place)
        if where != place:
            if place:
                yield ""
            place = where
            yield style.paint(_title(record), "bold")
        yield _run(record, style)
        yield from (f"      {printable(line)}" for line in _details(record))
    if past.unreadable:
        yield f"{past.unreadable} lines of the history can't be read and were skipped."


def _title(record: Record) -> str:
    account = f"account {record.account}" if record.account else "account unknown"
    parts = [record.stack, record.region, account, *([record.place] if record.place else [])]
    return printable(" · ".join(parts))


def _run(record: Record, style: Style) -> str:
    word = "done" if record.result == "corrected" and record.command != "sync" else result_text(record.result)
    result = style.paint(f"{word:<11}", _COLORS.get(record.result, "dim"))
    when = printable(record.started).replace("T", " ")
    who = f"{printable(record.user)}@{printable(record.host)}"
    told = ", ".join([*done_counts(record), *_counts(record), _duration(record.seconds), who])
    return f"  {when}  {printable(record.command):<7}  {result}  {told}"


def result_text(result: str) -> str:
    """A result to read, such as "in sync"."""
    return printable(result.replace("_", " "))


def done_counts(record: Record) -> list[str]:
    """What was done, such as "2 created", counted as plans do: a replacement is one, and its second half none."""
    replaced = {step.key.partition(":")[2] for step in record.steps if step.action == "replace"}
    halves = {f"delete:{key}" for key in replaced}
    counts = Counter(step.action for step in record.having(how="done") if step.key not in halves)
    return [f"{counts[action]} {action}d" for action in ("create", "update", "replace", "delete") if counts[action]]


def _counts(record: Record) -> Iterator[str]:
    for how, word in (("failed", "failed"), ("withheld", "left"), ("skipped", "not done"), ("interrupted", "not done")):
        number = len(record.having(how=how))
        if number:
            yield f"{number} {word}"


def _details(record: Record) -> Iterator[str]:
    if record.error:
        yield record.error
    yield from (f"not ready: {line}" for line in record.not_ready)
    if record.throttled:
        yield render_throttled(record.throttled)
    told = [
        step
        for step in record.steps
        if step.how in ("failed", "withheld") or (step.how, step.cause) == ("done", "drift")
    ]
    yield from map(step_line, told[:_MOST])
    if len(told) > _MOST:
        yield f"… and {len(told) - _MOST} more"


def step_line(step: StepRecord) -> str:
    """What became of a step, why, and what it changes or would change. Not escaped."""
    name = step.key.partition("@")[0].replace(":", " ", 1)  # without the id, which JSON has
    changes = f"; {'; '.join(step.changes)}" if step.changes else ""
    moved = f" ({step.cause})" if step.cause else ""
    if step.how == "failed":
        return f"✗ {name}{moved}: {step.error}"
    if step.how == "done":
        return f"✓ {name}{moved}{changes}"
    because = f": {step.reason}" if step.reason else ""
    return f"· {name} {'left' if step.how == 'withheld' else step.how}{moved}{because}{changes}"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {rest} s"
