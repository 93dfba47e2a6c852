"""`sync:` names actions, kinds and addresses that there are, each of them once."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, Final

from alb_reconcile.kinds import load_kinds
from alb_reconcile.spec.outline import Outline
from alb_reconcile.spec.schema import SECTIONS

_ACTIONS: Final = ("create", "update", "replace", "delete")
_KINDS: Final = tuple(load_kinds())


def check(outline: Outline) -> None:
    """Report what names nothing, and what is named twice."""
    entry = outline.data.get("sync")
    if not isinstance(entry, dict):
        return
    known = {*_ACTIONS, *_KINDS, *_addresses(outline)}
    first: dict[str, str] = {}
    for care in ("correct", "report", "ignore"):
        names = entry.get(care)
        for number, name in enumerate(names if isinstance(names, list) else ()):
            if not isinstance(name, str):
                continue  # the schema has refused it
            path = ("sync", care, number)
            if name not in known:
                outline.error(path, _unknown(name, known))
            elif name in first:
                outline.error(path, f"{name} is also under {first[name]}; keep one of them")
            first.setdefault(name, care)


def _unknown(name: str, known: set[str]) -> str:
    near = get_close_matches(name, sorted(known)[:2000], 1, 0.6)
    if near:
        return f'there is no "{name}"; did you mean {near[0]}?'
    return f'there is no "{name}"; name an action ({", ".join(_ACTIONS)}), a kind such as listener, or an address of this file'


def _addresses(outline: Outline) -> Iterator[str]:
    for section, kind in SECTIONS.items():
        for name, entry in outline.entries(section).items():
            yield f"{kind}.{name}"
            if kind == "instance":
                count: Any = entry.get("count", 1)
                yield from (f"instance.{name}-{number}" for number in range(1, count + 1 if type(count) is int else 1))
            if kind == "security_group":
                yield f"security_group_rules.{name}"
    for item in outline.listeners:
        yield f"listener.{item.load_balancer}/{item.path[3]}"
    for item in outline.rules:
        yield f"rule.{item.load_balancer}/{item.path[3]}/{item.path[5]}"
