"""Renders the differences between two specs, as text and as JSON."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from alb_reconcile.cli.render.style import Style
from alb_reconcile.kinds.display import show_change
from alb_reconcile.model.plan import plain
from alb_reconcile.model.text import printable
from alb_reconcile.spec.comparing import Difference

_SIGNS: Final = {
    "create": ("+", "green"),
    "update": ("~", "yellow"),
    "replace": ("-/+", "yellow"),
    "delete": ("-", "red"),
}


@dataclass(frozen=True)
class Comparison:
    """Two specs by their files, and their differences."""

    old: str
    new: str
    differences: Sequence[Difference]


def comparison_text(found: Comparison, style: Style) -> str:
    """A comparison as text, in the form of a plan."""
    return "\n".join(_lines(found, style))


def _lines(found: Comparison, style: Style) -> Iterator[str]:
    yield style.paint(f"{printable(found.old)} → {printable(found.new)}", "bold")
    yield ""
    for item in found.differences:
        sign, color = _SIGNS[item.action]
        yield f"  {style.paint(f'{sign} {item.address}', color)}"
        width = max((len(change.path) for change in item.changes), default=0)
        for change in item.changes:
            for mark, text in show_change(change, {}):
                yield f"      {mark} {change.path} {text}" if mark else f"      {change.path:<{width}}  {text}"
        if item.unmanaged:
            yield f"      no longer managed: {', '.join(map(printable, item.unmanaged))}"
    if not found.differences:
        yield "They want the same."
        return
    counts = Counter(item.action for item in found.differences)
    yield ""
    yield ", ".join(f"{counts[action]} to {action}" for action in _SIGNS) + "."


def comparison_json(found: Comparison) -> str:
    """A comparison as JSON, in stable order."""
    data = {
        "version": 1,
        "old": found.old,
        "new": found.new,
        "differences": [
            {
                "action": item.action,
                "address": str(item.address),
                "changes": [
                    {"path": change.path, "before": plain(change.before), "after": plain(change.after)}
                    for change in item.changes
                ],
                "no_longer_managed": list(item.unmanaged),
            }
            for item in found.differences
        ],
    }
    return json.dumps(data, indent=2, ensure_ascii=False)
