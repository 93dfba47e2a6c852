"""Renders a stack's history: which runs there were, when, by which user, with which result, and what failed."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Final

from alb_reconcile.cli.render.progress import TWICE, render_throttled, show_moment
from alb_reconcile.cli.render.style import Style
from alb_reconcile.journal.crash_record import KILLED
from alb_reconcile.journal.history import History
from alb_reconcile.journal.record import DESTROY_BEGUN, NOTHING_THERE, RunRecord, StepRecord
from alb_reconcile.journal.revision import show_commit
from alb_reconcile.kinds import facts_of
from alb_reconcile.kinds.display import short_id
from alb_reconcile.model.counting import by_resource, count_resources
from alb_reconcile.model.service import Balancer
from alb_reconcile.model.text import printable
from alb_reconcile.sync.stack import HINT

_COLORS: Final = {"in_sync": "green", "corrected": "green", "failed": "red", "left": "yellow", "refused": "yellow"}
_ENDS: Final = {"failed": "failed", "withheld": "left", "skipped": "not done", "interrupted": "not done"}
"""The outcome of a resource, by how its steps ended: the first that applies."""
_EC2_ID: Final = re.compile(r"[a-z]+-[0-9a-f]{8,}(?::\d+)?(?=$|/)")
_MOST: Final = 10
"""The most steps of one run that are named; --format json names all."""


def history_json(past: History) -> str:
    """The documented form: the records as they were written, the newest first."""
    runs = [record.to_data() for record in past.runs]
    return json.dumps({"version": 1, "runs": runs, "unreadable": past.unreadable}, indent=2)


def history_text(past: History, style: Style, *, tells_files: bool = False) -> str:
    """The runs as text, with the spec that each stack was last run from where the user has named none. A history is data like any
    other: nothing of it reaches the terminal unescaped."""
    return "\n".join(_lines(past, style, tells_files=tells_files))


def _lines(past: History, style: Style, *, tells_files: bool) -> Iterator[str]:
    place: tuple[str, ...] = ()
    for (where, is_held), part in groupby(past.runs, lambda item: (_where(item), item.result == "held")):
        records = list(part)
        if where != place:
            if place:
                yield ""
            place = where
            yield style.paint(_title(records[0]), "bold")
            if tells_files and (file := _spec(past.runs, where)):
                yield printable(f"  {file}")
        for record in records[:1] if is_held else records:
            yield _run(record, style)
            yield from (f"      {printable(line)}" for line in _details(record))
        if is_held and len(records) > 1:  # of rounds that found the same run at work, or waiting for its answer
            yield printable(f"      … and {len(records) - 1} more that were held, the first at {records[-1].started}")
    if past.unreadable:
        yield f"Skipped {past.unreadable} line{'s' * (past.unreadable != 1)} of the history that can't be read."


def _where(record: RunRecord) -> tuple[str, ...]:
    return record.stack, record.region, record.account, record.place


def _spec(runs: Iterable[RunRecord], where: tuple[str, ...]) -> str:
    """The place of the spec in a stack's last run that changed something; in the newest run where none did. A run that was refused or
    held may have had any spec."""
    own = [item for item in runs if _where(item) == where and item.spec_file]
    changed = [item for item in own if item.having(how="done")]
    what = "The spec of the last change" if changed else "The newest run's spec"
    return next((f"{what}: {Path(item.spec_folder, item.spec_file)}" for item in changed or own), "")


def _title(record: RunRecord) -> str:
    account = f"account {record.account}" if record.account else "account unknown"
    parts = [record.stack, record.region, account, *([record.place] if record.place else [])]
    return printable(" · ".join(parts))


def _run(record: RunRecord, style: Style) -> str:
    word = result_word(record)
    result = style.paint(f"{word:<11}", _COLORS.get(record.result, "dim"))
    when = printable(record.started).replace("T", " ")
    who = f"{printable(record.user)}@{printable(record.host)}"
    commit = [f"commit {show_commit(printable(record.commit))}"] if record.commit else []
    told = ", ".join([*done_counts(record), *_counts(record), show_moment(record.taken), who, *commit])
    return f"  {when}  {printable(record.command):<7}  {result}  {told}"


def result_word(record: RunRecord) -> str:
    """The result of a run in a word: only `sync` corrects, and a destroyed stack is in sync with nothing."""
    is_done = record.result == "corrected" or (record.result, record.command) == ("in_sync", "destroy")
    return "done" if is_done and record.command != "sync" else result_text(record.result)


def result_text(result: str) -> str:
    """A result to read, such as "in sync"."""
    return printable(result.replace("_", " "))


def done_counts(record: RunRecord) -> list[str]:
    """What was done, such as "2 created", counted as plans do; a resource that is done in part isn't counted."""
    done = (steps for steps in by_resource(record.steps) if all(step.how == "done" for step in steps))
    return [f"{number} {action}d" for action, number in count_resources(done).items() if number]


def _counts(record: RunRecord) -> Iterator[str]:
    words: Counter[str] = Counter()
    for steps in by_resource(record.steps):
        hows = {step.how for step in steps}
        word = next((_ENDS[how] for how in _ENDS if how in hows), "")
        word = "begun" if word == "not done" and "done" in hows else word
        words[word] += 1
        words["not done" if word == "failed" else word] += sum(len(step.also_deletes) for step in steps)
    yield from (f"{words[word]} {word}" for word in ("failed", "left", "begun", "not done") if words[word])


def _details(record: RunRecord) -> Iterator[str]:
    if record.error:
        yield from record.error.split(r"\n")  # the record has it on one line
    for what, half in _half_done(record).items() if record.result in ("interrupted", "failed") else ():
        more = f" and {len(half) - _MOST} more" if len(half) > _MOST else ""
        yield f"{what}: {', '.join(half[:_MOST])}{more}"
    yield from (f"not ready: {line}" for line in record.not_ready)
    if record.throttled:
        yield render_throttled(record.throttled)
    told = [
        step
        for step in first_steps(record.steps)
        if step.how in ("failed", "withheld") or (step.how, step.cause) == ("done", "drift") or _is_news(step)
    ]
    lines = step_lines(told)
    yield from lines[:_MOST]
    if len(lines) > _MOST:
        yield f"… and {len(lines) - _MOST} more"


def _is_news(step: StepRecord) -> bool:
    """Whether a load balancer has another DNS name than before, or none any more, whatever the cause."""
    return (
        step.how in ("done", "interrupted")
        and issubclass(facts_of(step.address.partition(".")[0]), Balancer)
        and bool(step.reason)
    )


def _half_done(record: RunRecord) -> dict[str, list[str]]:
    """The resources with a step that was cut short, or with one step that was done and another that wasn't; and those that exist twice,
    since their replacement was created and they weren't deleted."""
    found: dict[str, list[str]] = defaultdict(list)
    for steps in by_resource(record.steps):
        hows, address = {step.how for step in steps}, steps[0].address
        began = any(step.how == "interrupted" and (step.error or record.code == KILLED) for step in steps)
        made = any((step.action, step.how) == ("replace", "done") for step in steps) and {"done"} < hows
        if made and not began and facts_of(address.partition(".")[0]).is_costly:
            found[TWICE].append(address)
        elif record.result == "interrupted" and ({"done"} < hows or began):
            found["begun and not finished, so look at them with status"].append(address)
    return found


def first_steps(steps: Iterable[StepRecord]) -> list[StepRecord]:
    """One step for each resource, which says what was to be done with it, and other steps that ended otherwise."""
    found = []
    for each in by_resource(steps):
        first = next((step for step in each if step.key.startswith(f"{step.action}:")), each[0])
        found += [step for step in each if step is first or step.how == "failed" or step.how != first.how]
    return found


def step_lines(steps: Sequence[StepRecord], notes: Iterable[str] = ()) -> list[str]:
    """The outcomes of steps, a line each, without steps that `notes` mention; one line for a stack without resources, or a half
    destroyed one. Not escaped."""
    for told in (note.removesuffix(HINT) for note in notes if note.endswith(HINT)):
        steps = [replace(step, reason=step.reason.replace(told, "").removesuffix("; ")) for step in steps]
    if len(whys := {step.reason for step in steps}) == 1 and (why := whys.pop()).startswith(
        (NOTHING_THERE, DESTROY_BEGUN)
    ):
        return [f"· {why}"]
    return list(map(step_line, steps))


def step_line(step: StepRecord) -> str:
    """A step's outcome, its reason, and what it changes or would change. Not escaped."""
    known = _EC2_ID.match(short_id(step.id))  # other ids are long; JSON has them
    name = f"{step.action} {step.address}{f' {known[0]}' if known else ''}"
    changes = f"; {'; '.join(step.changes)}" if step.changes else ""
    changes += f"; with it {', '.join(step.also_deletes)}" if step.also_deletes else ""
    moved = f" ({step.cause})" if step.cause else ""
    gone = f" ({step.reason})" if step.reason and step.action == "delete" else ""
    if step.how == "failed":
        return f"✗ {name}{moved}: {step.error}{gone}"
    because = f": {step.reason}" if step.reason else ""
    if step.how == "done":
        return f"✓ {name}{gone or moved + because}{changes}"
    left = "not applied" if step.cause == "spec" else "not corrected"
    return f"· {name} {left if step.how == 'withheld' else step.how}{moved}{because}{changes}"
