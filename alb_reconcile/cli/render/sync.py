"""Renders what a round of `sync` found and did, stack by stack."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from alb_reconcile.cli.render.history import done_counts, first_steps, result_text, step_lines
from alb_reconcile.cli.render.style import Style
from alb_reconcile.journal.record import RESULTS, RunRecord
from alb_reconcile.model.advice import advised
from alb_reconcile.model.counting import total
from alb_reconcile.model.text import printable
from alb_reconcile.sync.rounds import SyncReport
from alb_reconcile.sync.stack import NEVER_RECORDED, UNRECORDED
from alb_reconcile.sync.targets import Broken

_COLORS: Final = {"in_sync": "green", "corrected": "green", "failed": "red", "left": "yellow", "refused": "red"}
_MOST: Final = 20
"""The most steps of a stack that are named; --format json names all."""


def sync_json(report: SyncReport, *, indent: int | None = 2) -> str:
    """The documented form: the records as in the history, and the specs that couldn't be used."""
    data: dict[str, Any] = {
        "version": 1,
        "seconds": round(report.seconds, 3),
        "summary": _count(report),
        "stacks": [{**record.to_data(), "notes": list(report.notes.get(record.run, ()))} for record in report.records],
        "broken": [{"spec_file": item.file, "error": item.text} for item in report.broken],
    }
    return json.dumps(data, indent=indent)


def sync_text(report: SyncReport, style: Style, *, quiet: bool = False) -> str:
    """The report as text; `quiet` leaves out stacks in sync, and all text if the other stacks are held by other runs."""
    notes = report.notes
    hints = {NEVER_RECORDED, UNRECORDED}  # for a user who looks at the stack
    told = [
        item for item in report.records
        if not (quiet and item.result == "in_sync") or {*notes.get(item.run, ())} - hints
    ]  # fmt: skip
    if quiet and not report.broken and all(item.result == "held" for item in told):
        return ""
    width = max((len(printable(record.stack)) for record in told), default=0)
    lines = [line for record in told for line in _stack(record, report, width, style)]
    lines += [line for item in report.broken for line in _broken(item, style)]
    if any(step.cause == "drift" and step.changes for record in told for step in record.withheld):
        lines.append(
            f"Of drift that is left, {advised('plan', 'SPEC')} shows what apply would undo, and {advised('adopt', 'SPEC', ('--write',))} asks "
            "which of it the spec is to have."
        )
    words = ", ".join(f"{number} {result_text(name)}" for name, number in _count(report).items() if number)
    total = len(report.records) + len(report.broken)
    lines.append(f"{total} stack{'' if total == 1 else 's'} in {report.seconds:.1f} s: {words}")
    return "\n".join(lines)


def _count(report: SyncReport) -> dict[str, int]:
    found = Counter(record.result for record in report.records)
    return {**{name: found[name] for name in RESULTS}, "broken": len(report.broken)}


def _stack(record: RunRecord, report: SyncReport, width: int, style: Style) -> Iterator[str]:
    notes = report.notes.get(record.run, ())
    result = style.paint(result_text(record.result), _COLORS.get(record.result, "dim"))
    told, withheld = done_counts(record), total(record.withheld)
    told += (
        [f"{withheld} change{'s' * (withheld > 1)} require{'s' * (withheld == 1)} manual action"] if withheld else []
    )
    yield f"{printable(record.stack):<{width}}  {result}" + (f"  {', '.join(told)}" if told else "")
    yield from (f"    {printable(line)}" for line in report.errors.get(record.run, record.error).splitlines())
    steps = [step for step in first_steps(record.steps) if step.how != "planned"]
    lines = step_lines(steps, notes)
    for line in lines[:_MOST]:
        yield f"    {printable(line)}"
    if len(lines) > _MOST:
        yield f"    … and {len(lines) - _MOST} more ({advised('history')}, or --format json)"
    for note in notes[:_MOST]:
        yield f"    {printable(note)}"


def _broken(item: Broken, style: Style) -> Iterator[str]:
    yield f"{printable(item.file)}  {style.paint('broken', 'red')}"
    yield from (f"    {printable(line)}" for line in item.text.splitlines()[:_MOST])
