"""Renders a fleet's records as one HTML page, for a person who is responsible for the fleet and doesn't read logs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from alb_reconcile.cli.pictures.page import escaped, notice, page, table
from alb_reconcile.cli.render.fleet import WELL, FleetView, age, attention_by_owner, cell_name, is_late
from alb_reconcile.cli.render.history import result_text
from alb_reconcile.fleet.cells import Cell
from alb_reconcile.fleet.results import CellResult, StackResult
from alb_reconcile.model.host import iso

_MOST: Final = 50
"""The most lines for one owner, and the most steps of one stack."""
_FEW: Final = 12
"""The most lines or cells that are unfolded."""
_STATES: Final = ("in sync", "left", "failed", "not known")
"""States of stacks, as a manager distinguishes them."""
_ORDER: Final = ("failed", "left", "not known", "in sync")
_CLASSES: Final = {"in sync": "create", "left": "update", "failed": "delete", "not known": "dim"}
_TITLES: Final = {"left": "with something left to do", "not known": "held or interrupted when last looked at"}


def fleet_page(view: FleetView) -> str:
    """The whole page."""
    cells = view.outcome.cells
    parts = [*_summary(view), *_last_apply(view), *_attention(view)]
    ordered = sorted(cells, key=_gravity)
    if cells or view.missing:
        parts.append("<h2>Cells</h2><p class=dim>A cell is an account in a region. The ones to look at come first.</p>")
        heads = ("Cell", "Wave", "Owner", "Last run", "Stacks in sync", "With drift", "Last in sync")
        rows = [_row(cell, view.now) for cell in ordered] + [_missing_row(cell) for cell in view.missing]
        parts.append(table("Cells", heads, rows))
    if any(cell.stacks for cell in cells):
        parts.append("<h2>Stacks</h2>")
        parts += [_stacks(cell, view.now, is_open=len(cells) <= _FEW) for cell in ordered if cell.stacks]
    return page(f"Fleet {view.outcome.fleet}", f"as recorded at {iso(view.now)}", parts)


def _summary(view: FleetView) -> Iterator[str]:
    cells = view.outcome.cells
    stacks = [stack for cell in cells for stack in cell.stacks]
    counts = Counter(map(_state, stacks))
    yield f"<p class=count><strong>{counts['in sync']} of {len(stacks)} stacks are in sync{_percent(counts['in sync'], len(stacks))}.</strong></p>"
    told = [
        f"<li class='word {_CLASSES[name]}'>{counts[name]} {escaped(_TITLES.get(name, name))}</li>"
        for name in _STATES
        if counts[name]
    ]
    if told:
        share = "".join(
            f"<i class={_CLASSES[name]} style='flex:{counts[name]}'></i>" for name in _STATES if counts[name]
        )
        yield f"<div class=bar aria-hidden=true>{share}</div><ul class=legend>{''.join(told)}</ul>"
    oldest = min((cell.ended for cell in cells), default="")
    tiles = (
        ("Accounts", len({cell.account for cell in cells} | {cell.account for cell in view.missing})),
        ("Cells", len(cells) + len(view.missing)),
        ("Stacks", len(stacks)),
        ("Drifted stacks", sum(stack.has_drift for stack in stacks)),
        ("Failed cells", sum(cell.status == "failed" for cell in cells)),
        ("Never looked at", len(view.missing)),
        ("Oldest result", f"{age(oldest, view.now)} old" if oldest else "none"),
    )
    yield f"<dl class=tiles>{''.join(f'<div><dt>{name}</dt><dd>{escaped(str(value))}</dd></div>' for name, value in tiles)}</dl>"


def _percent(part: int, whole: int) -> str:
    """The share in percent; never 100 % where one is missing."""
    return f" ({min(part / whole, 0.999 if part < whole else 1):.1%})" if whole else ""


def _last_apply(view: FleetView) -> Iterator[str]:
    last = view.operation
    if last is None:
        return
    when = f"ended {age(last.ended, view.now)} ago" if last.ended else f"began {age(last.started, view.now)} ago"
    counts = Counter(last.cells.values())
    told = ", ".join(f"{number} {name}" for name, number in counts.items())
    text = (
        f"{last.status}, {when}{f'; cells: {told}' if told else ''}{f'{chr(10)}{last.reason}' if last.reason else ''}"
    )
    yield notice("" if last.status in ("succeeded", "running") else "refused", "Last apply over the fleet", text)


def _attention(view: FleetView) -> Iterator[str]:
    found = attention_by_owner(view)
    yield "<h2>To be looked at</h2>"
    if not found:
        yield "<p class=good>Nothing.</p>"
    for owner, told in sorted(found.items(), key=lambda item: -len(item[1])):
        more = f"<li class=dim>… and {len(told) - _MOST} more</li>" if len(told) > _MOST else ""
        items = "".join(f"<li>{escaped(line)}</li>" for line in islice(told, _MOST))
        head = f"<strong>For {escaped(owner)}</strong> <span class=dim>{len(told)}</span>"
        yield _folded(head, f"<ul>{items}{more}</ul>", is_open=len(told) <= _FEW)


def _folded(head: str, body: str, *, is_open: bool, attributes: str = "") -> str:
    """A folded part of the page. `head`, `body` and `attributes` are markup. `attributes` are inside, since a browser unfolds a part if a
    link leads to its content."""
    return f"<details{' open' if is_open else ''}><summary>{head}</summary><div{attributes}>{body}</div></details>"


def _row(cell: CellResult, now: float) -> str:
    well = sum(stack.result in WELL for stack in cell.stacks)
    drifted = sum(stack.has_drift for stack in cell.stacks)
    style = {"succeeded": "good", "failed": "bad", "interrupted": "bad", "held": "update"}.get(cell.status, "dim")
    late = "<br><span class=bad>later than its schedule</span>" if is_late(cell, now) else ""
    last = f"{age(cell.last_success, now)} ago" if cell.last_success else "<span class=bad>never so far</span>"
    in_sync = f"<td class={'good' if well == len(cell.stacks) else 'bad'}>{well} of {len(cell.stacks)}</td>"
    drift = f"<td class={'bad' if drifted else 'good'}>{drifted or 'none'}</td>"
    return (
        f"<tr><th scope=row>{_link(cell)}<br><span class=dim>{escaped(cell.account)}</span></th><td>{escaped(cell.wave)}</td>"
        f"<td>{escaped(cell.owner) or '<span class=dim>nobody named</span>'}</td>"
        f"<td><span class={style}>{escaped(cell.command)} {escaped(cell.status)}</span>, {age(cell.ended, now)} ago{late}</td>"
        f"{in_sync + drift if cell.stacks else '<td class=dim colspan=2>not known</td>'}<td>{last}</td></tr>"
    )


def _missing_row(cell: Cell) -> str:
    return (
        f"<tr><th scope=row>{escaped(str(cell))}<br><span class=dim>{escaped(cell.account)}</span></th><td>{escaped(cell.wave)}</td>"
        f"<td>{escaped(cell.owner)}</td><td class=dim colspan=4>no run is recorded</td></tr>"
    )


def _link(cell: CellResult) -> str:
    name = escaped(cell_name(cell))
    return f'<a href="#{_anchor(cell)}">{name}</a>' if cell.stacks else name


def _anchor(cell: CellResult) -> str:
    return escaped(f"c-{cell.account}-{cell.region}")


def _stacks(cell: CellResult, now: float, *, is_open: bool) -> str:
    """A cell's stacks, folded where all are in sync."""
    is_well = all(stack.result in WELL for stack in cell.stacks) and not cell.error
    head = f"<strong>{escaped(cell_name(cell))}</strong> <span class=dim>{escaped(_counted(cell))}</span>"
    heads = ("Stack", "How it is", "What is left, or why", "Last in sync")
    error = notice("refused", "The whole cell", cell.error) if cell.error else ""
    rows = [_stack(stack, now) for stack in sorted(cell.stacks, key=lambda item: _ORDER.index(_state(item)))]
    past = ", ".join(f"{item.command} {item.status} {age(item.ended, now)} ago" for item in cell.past)
    before = f"<p class=dim>Runs before: {escaped(past)}</p>" if past else ""
    body = f"{error}{table(f'Stacks of {cell_name(cell)}', heads, rows)}{before}"
    return _folded(head, body, is_open=is_open and not is_well, attributes=f" id={_anchor(cell)}")


def _stack(stack: StackResult, now: float) -> str:
    state = _state(stack)
    left = [step for step in stack.steps if step.how != "done"]
    lines = [
        *stack.error.splitlines(),
        *(f"{step.key.partition('@')[0].replace(':', ' ', 1)}{_why(step.cause)}" for step in left),
        *stack.notes,
    ]
    shown = "<br>".join(escaped(line) for line in lines[:_MOST])
    more = f"<br><span class=dim>… and {len(lines) - _MOST} more</span>" if len(lines) > _MOST else ""
    last = f"{age(stack.last_success, now)} ago" if stack.last_success else "never so far"
    return (
        f"<tr><th scope=row>{escaped(stack.stack or stack.spec_file)}</th><td class={_CLASSES[state]}>{escaped(result_text(stack.result))}</td>"
        f"<td>{shown}{more}</td><td>{last}</td></tr>"
    )


def _why(cause: str) -> str:
    return {"drift": " (drift: the account was changed)", "spec": " (the spec was changed)"}.get(cause, "")


def _counted(cell: CellResult) -> str:
    return ", ".join(f"{number} {result_text(name)}" for name, number in cell.counts.items())


def _state(stack: StackResult) -> str:
    if stack.result in WELL:
        return "in sync"
    if stack.result in ("left", "changes"):
        return "left"
    return "not known" if stack.result in ("held", "interrupted") else "failed"


def _gravity(cell: CellResult) -> tuple[int, int, str]:
    order: Sequence[str] = ("failed", "interrupted", "cancelled", "held", "succeeded")
    return (
        order.index(cell.status),
        sum(stack.result in WELL for stack in cell.stacks) - len(cell.stacks),
        cell_name(cell),
    )
