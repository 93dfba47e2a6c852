"""Renders the result of `fleet validate`: each mistake once, however many cells have the spec."""

from collections import Counter, defaultdict

from alb_reconcile.cli.render.fleet import FleetView, cell_name, many
from alb_reconcile.cli.render.style import Style
from alb_reconcile.model.text import printable


def validation_text(view: FleetView, _: Style) -> str:
    """A line for each mistake, with its cells where the spec is right in others, and a summary."""
    found: dict[str, list[str]] = defaultdict(list)
    having: Counter[str] = Counter()
    results: Counter[str] = Counter()
    file_of: dict[str, str] = {}
    for cell in view.outcome.cells:
        for stack in cell.stacks:
            results[stack.result] += 1
            having[stack.spec_file] += 1
            for line in stack.error.splitlines():
                found[line].append(cell_name(cell))
                file_of[line] = stack.spec_file
    lines = []
    for line, cells in found.items():
        where = "" if len(cells) == having[file_of[line]] else f" (in {_some(cells)})"
        lines.append(f"{printable(line)}{where}")
    accounts = len({cell.account for cell in view.outcome.cells})
    good, bad = results.pop("valid", 0), sum(results.values())
    counts = f"{many(good, 'stack')} valid" + (f", {bad} not; {many(len(found), 'mistake')}" if bad else "")
    return "\n".join([*lines, f"{many(len(view.outcome.cells), 'cell')} in {many(accounts, 'account')}: {counts}"])


def _some(cells: list[str]) -> str:
    further = len(cells) - 3
    return ", ".join(cells[:3]) + (f" and {further} more" if further > 0 else "")
