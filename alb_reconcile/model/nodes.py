"""Values of a document with their places in it: what a spec is before it becomes plain data, and how messages write a path."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from alb_reconcile.model.secrets import hide
from alb_reconcile.model.text import printable

Path = tuple["str | int", ...]
Scalar = str | int | float | bool | None


@dataclass(slots=True)
class Node:
    """A value of a document and its place (line and column from 1).

    `value` is a dict of nodes, a list of nodes or a scalar. `keys` holds the places of a mapping's keys.
    `size` counts the nodes below with aliases expanded (a long text for several), `depth` their levels. `template` is the text before variables were
    filled in, and empty where none were: such a text may still become a number or a boolean where the schema wants one; `unmerged` a mapping that lacks what `<<` was to give it.
    """

    value: dict[str, Node] | list[Node] | Scalar
    line: int
    column: int
    keys: dict[str, tuple[int, int]] = field(default_factory=dict)
    size: int = 1
    depth: int = 0
    template: str = ""
    unmerged: bool = False


def render_path(path: Path) -> str:
    """`security_groups.web.ingress[0].port`, and keys that no name could be in quotes."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            word = part if re.fullmatch(r"[A-Za-z0-9_.-]{1,80}", part) else shorten(part)
            text += f".{word}" if text else word
    return text


def shorten(value: object, limit: int = 60) -> str:
    """A value as an error quotes it: on one line, and not longer than a user would read."""
    word = str(value).lower() if isinstance(value, bool) else repr(value)
    text = printable(hide(value if isinstance(value, str) else word)[: limit * 2])
    return f'"{text[:limit]}…"' if len(text) > limit else f'"{text}"'
