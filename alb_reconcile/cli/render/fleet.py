"""Renders the result of a command over a fleet, or a fleet's records, cell by cell."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from alb_reconcile.cli.render.history import result_text, step_lines
from alb_reconcile.cli.render.style import Style
from alb_reconcile.fleet.cells import Cell
from alb_reconcile.fleet.operation import CellOutcome
from alb_reconcile.fleet.queues import QueueState
from alb_reconcile.fleet.records import Operation
from alb_reconcile.fleet.results import CellResult, StackResult
from alb_reconcile.model.errors import ExitCode
from alb_reconcile.model.text import printable

_COLORS: Final = {
    "succeeded": "green", "failed": "red", "held": "yellow", "interrupted": "red", "cancelled": "dim",
    "in_sync": "green", "corrected": "green", "changes": "yellow", "left": "yellow", "refused": "red", "broken": "red",
}  # fmt: skip
_MOST: Final = 20
"""The most lines of a cell; --format json has all."""
WELL: Final = ("in_sync", "corrected")


@dataclass(frozen=True)
class FleetView:
    """What is shown of a fleet. `missing`: cells without a record. `operation`: the last `apply`. `now`: seconds since the epoch.
    `queue`: the messages that wait, if a queue was named. `resume`: the command that continues where the operation stopped."""

    outcome: CellOutcome
    missing: tuple[Cell, ...] = ()
    operation: Operation | None = None
    now: float = 0.0
    queue: QueueState | None = None
    resume: str = ""

    @property
    def code(self) -> ExitCode:
        return self.outcome.code


def fleet_json(view: FleetView) -> str:
    """The view in the documented form."""
    outcome, operation = view.outcome, view.operation
    data: dict[str, Any] = {
        "version": 1,
        "fleet": outcome.fleet,
        "command": outcome.command,
        "seconds": round(outcome.seconds, 3),
        "status": operation.status if operation else outcome.status,
        "operation": operation.operation if operation else outcome.operation,
        "reason": operation.reason if operation else outcome.reason,
        "summary": {"cells": dict(Counter(item.status for item in outcome.cells)), "stacks": dict(_stacks(outcome))},
        "cells": [_cell_data(item) for item in outcome.cells],
        "unknown": [{"account": cell.account, "region": cell.region, "wave": cell.wave} for cell in view.missing],
    }
    if view.queue is not None:
        data["queue"] = {key: value for key, value in asdict(view.queue).items() if key != "visibility"}
    return json.dumps(data, indent=2)


def _cell_data(cell: CellResult) -> dict[str, Any]:
    data = asdict(cell)
    for stack in data["stacks"]:
        stack["steps"] = [
            {key: value for key, value in step.items() if value not in ("", 0.0, ())} for step in stack["steps"]
        ]
    return data


def fleet_text(view: FleetView, style: Style, *, quiet: bool = False) -> str:
    """The view as text; `quiet` leaves out the cells that are as they should be, and all text if all cells are."""
    outcome = view.outcome
    told = [item for item in outcome.cells if not quiet or not _is_well(item)]
    if quiet and not told:
        return ""
    width = max((len(cell_name(item)) for item in told), default=0)
    lines = [line for item in told for line in _cell(item, width, style)]
    lines.append(_total(view))
    if outcome.reason:
        lines.append(style.paint(printable(outcome.reason), "red"))
        first = "Put right what failed, then" if outcome.status == "stopped" else "To go on"
        lines.append(f"Nothing is rolled back. {first}: {view.resume}")
    return "\n".join(lines)


def cell_line(cell: CellResult) -> str:
    """One line about a cell that is done."""
    return f"{cell_name(cell)}  {cell.status}  {_what(cell)}".rstrip()


def status_text(view: FleetView, style: Style) -> str:
    """Each cell's last result and its age, by wave."""
    lines: list[str] = []
    width = max((len(cell_name(item)) for item in view.outcome.cells), default=0)
    width = max(width, *(len(str(item)) for item in view.missing), 0) if view.missing else width
    for wave in dict.fromkeys([*(item.wave for item in view.outcome.cells), *(item.wave for item in view.missing)]):
        lines.append(style.paint(f"wave {wave}", "bold"))
        for item in view.outcome.cells:
            if item.wave == wave:
                state = style.paint(f"{item.status:<11}", _COLORS[item.status])
                lines.append(
                    f"  {cell_name(item):<{width}}  {state}  {item.command} {age(item.ended, view.now)} ago  {_what(item)}".rstrip()
                )
        lines += [
            f"  {printable(str(item)):<{width}}  {style.paint('unknown', 'dim')}      no run is recorded"
            for item in view.missing
            if item.wave == wave
        ]
    lines.append(_total(view))
    if (last := view.operation) is not None:
        ended = (
            f", ended {age(last.ended, view.now)} ago" if last.ended else f", began {age(last.started, view.now)} ago"
        )
        lines.append(printable(f"last apply: {last.status}{ended}{f': {last.reason}' if last.reason else ''}"))
    return "\n".join([*lines, *_queue(view.queue, style)])


def _queue(queue: QueueState | None, style: Style) -> Iterator[str]:
    if queue is None:
        return
    dead = f"{queue.dead} given up" if queue.dead else "none given up"
    yield f"queue: {queue.waiting} waiting, {queue.in_flight} with workers, {dead}"
    for text in queue.letters:
        yield style.paint(f"  given up: {printable(text)[:200]}", "red")


def report_text(view: FleetView, style: Style) -> str:
    """A report for a person who is responsible for the fleet: how much is as it should be, what isn't and which owner it has, and which
    cells aren't looked at."""
    cells = view.outcome.cells
    every: list[CellResult | Cell] = [*cells, *view.missing]
    stacks = [stack for cell in cells for stack in cell.stacks]
    well = sum(stack.result in WELL for stack in stacks)
    failed = sum(cell.status == "failed" for cell in cells)
    drifted = sum(stack.has_drift for stack in stacks)
    lines = [
        style.paint(f"Fleet {view.outcome.fleet}", "bold"),
        "",
        f"  {many(len({cell.account for cell in every}), 'account')}, {many(len(every), 'cell')}, {many(len(stacks), 'stack')}",
        f"  {well} of {len(stacks)} stacks in sync{f' ({well / len(stacks):.1%})' if stacks else ''}",
        f"  {drifted} with drift, {many(failed, 'cell')} failed, {len(view.missing)} never looked at",
    ]
    if cells:
        oldest = min(cells, key=lambda cell: cell.ended)
        lines.append(f"  the oldest result is {age(oldest.ended, view.now)} old ({cell_name(oldest)})")
    for owner, told in attention_by_owner(view).items():
        lines += [
            "",
            style.paint(f"For {printable(owner)}", "bold"),
            *(f"  {printable(line)}" for line in told[:_MOST]),
        ]
        lines += [f"  … and {len(told) - _MOST} more"] if len(told) > _MOST else []
    if view.operation is not None:
        lines += ["", printable(f"Last apply: {view.operation.reason or view.operation.status}")]
    return "\n".join(lines)


def attention_by_owner(view: FleetView) -> dict[str, list[str]]:
    """What has to be looked at, one line each, by owner."""
    found: dict[str, list[str]] = defaultdict(list)
    for cell in view.outcome.cells:
        found[cell.owner or "nobody named"] += _attention(cell, view.now)
    for unknown in view.missing:
        found[unknown.owner or "nobody named"].append(f"{unknown}: no run is recorded")
    return {owner: told for owner, told in found.items() if told}


def _attention(cell: CellResult, now: float) -> Iterator[str]:
    since = f"; last well {age(cell.last_success, now)} ago" if cell.last_success else "; never well so far"
    if cell.error:
        yield f"{cell_name(cell)}: {_first(cell.error)}{since}"
    elif cell.status not in ("succeeded", "failed"):
        yield f"{cell_name(cell)}: {cell.status}{since}"
    for stack in cell.stacks:
        if stack.result not in WELL:
            why = _first(stack.error) or ", ".join(
                step.key.partition("@")[0].replace(":", " ", 1) for step in stack.steps[:3] if step.how != "done"
            )
            yield f"{cell_name(cell)} {stack.stack or stack.spec_file}: {result_text(stack.result)}{f': {why}' if why else ''}"
    if is_late(cell, now):
        yield f"{cell_name(cell)}: not looked at for {age(cell.ended, now)}, and its schedule is {_duration(cell.schedule or 0)}"


def is_late(cell: CellResult, now: float) -> bool:
    """Whether a cell's schedule was missed several times."""
    return bool(cell.schedule) and now - _moment(cell.ended) > 3 * (cell.schedule or 0)


def _cell(cell: CellResult, width: int, style: Style) -> Iterator[str]:
    what = _what(cell) if cell.stacks else ""
    yield f"{cell_name(cell):<{width}}  {style.paint(cell.status, _COLORS[cell.status])}  {what}".rstrip()
    if cell.error:
        yield from (f"    {printable(line)}" for line in cell.error.splitlines()[:_MOST])
    for stack in cell.stacks:
        if stack.result not in WELL or stack.notes or any(step.how == "done" for step in stack.steps):
            yield from _stack(stack, style)


def _stack(stack: StackResult, style: Style) -> Iterator[str]:
    name = printable(stack.stack or stack.spec_file)
    yield f"    {name}  {style.paint(result_text(stack.result), _COLORS.get(stack.result, 'dim'))}"
    told = [*stack.error.splitlines(), *step_lines(stack.steps, stack.notes), *stack.notes]
    yield from (f"      {printable(line)}" for line in told[:_MOST])
    if len(told) > _MOST:
        yield f"      … and {len(told) - _MOST} more (--format json)"


def _total(view: FleetView) -> str:
    outcome = view.outcome
    counts: Counter[str] = Counter(item.status for item in outcome.cells)
    counts["unknown"] += len(view.missing)
    cells = ", ".join(f"{number} {name}" for name, number in counts.items() if number)
    stacks = ", ".join(f"{number} {result_text(name)}" for name, number in _stacks(outcome).items())
    total = len(outcome.cells) + len(view.missing)
    took = f" in {outcome.seconds:.1f} s" if outcome.seconds else ""
    return f"{many(total, 'cell')}{took}: {cells or 'none is due'}" + (f"; stacks: {stacks}" if stacks else "")


def many(number: int, word: str) -> str:
    """A number with a noun."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def _stacks(outcome: CellOutcome) -> Counter[str]:
    return Counter(stack.result for cell in outcome.cells for stack in cell.stacks)


def _what(cell: CellResult) -> str:
    counts = ", ".join(f"{number} {result_text(name)}" for name, number in cell.counts.items())
    return f"{many(len(cell.stacks), 'stack')}: {counts}" if cell.stacks else _cut(_first(printable(cell.error)))


def _is_well(cell: CellResult) -> bool:
    return cell.status == "succeeded" and all(stack.result in WELL and not stack.notes for stack in cell.stacks)


def cell_name(cell: CellResult) -> str:
    """The name of a cell."""
    return printable(f"{cell.name or cell.account}/{cell.region}")


def _first(text: str) -> str:
    return text.splitlines()[0] if text else ""


def _cut(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:99]}…"


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def age(moment: str, now: float) -> str:
    """How long ago a moment was; a moment in the future, by a clock that has jumped, is now."""
    return _duration(max(now - _moment(moment), 0))


def _duration(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length or (unit == "min" and seconds >= length):
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds:.0f} s"
