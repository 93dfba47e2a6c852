"""What a spec says of the runs over it, `policy` and `sync`: checked, and as values."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final

from alb_reconcile.kinds import load_kinds
from alb_reconcile.model.drift_policy import DEFAULTS, Care, DriftPolicy
from alb_reconcile.model.policy import Policy, Window, zone_of
from alb_reconcile.spec.outline import Outline
from alb_reconcile.spec.schema import SECTIONS

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CARES: Final[tuple[Care, ...]] = ("correct", "report", "ignore")


def check(outline: Outline) -> None:
    """Report windows that can't be, and what `sync` names in vain or twice."""
    check_policy(outline, "policy")
    if "sync" not in outline.data:
        return
    known = {*DEFAULTS, *load_kinds(), *addresses_of(outline)}
    first: dict[str, Care] = {}
    for care in _CARES:
        for path, name in outline.texts("sync", care, ...):
            if name not in known:
                outline.error(path, _unknown(name, known))
            elif name in first:
                outline.error(path, f"{name} is also under {first[name]}; keep one of them")
            first.setdefault(name, care)


def check_policy(outline: Outline, *policy: str) -> None:
    """Report windows that can't be, in the policy at a path of the document."""
    for path, window in outline.mappings(*policy, "windows", ...):
        if "time_zone" in window:
            try:
                zone_of(window["time_zone"])
            except ValueError as error:
                outline.error((*path, "time_zone"), str(error))
        refused = outline.given(path).keys() - window.keys()
        if window.get("from", "00:00") == window.get("to", "24:00") and not refused:
            key = "to" if "to" in window else "from"
            outline.error(
                (*path, key), "is also when it begins, so it has no length; for the whole day leave out from and to"
            )


def _unknown(name: str, known: set[str]) -> str:
    near = get_close_matches(name, sorted(known)[:2000], 1, 0.6)
    if near:
        return f'there is no "{name}"; did you mean {near[0]}?'
    return f'there is no "{name}"; name an action ({", ".join(DEFAULTS)}), a kind such as listener, or an address of this file'


def addresses_of(outline: Outline) -> Iterator[str]:
    """The addresses of a document: of instances the entry's, and each member's."""
    for section, kind in SECTIONS.items():
        for name, entry in outline.entries(section).items():
            yield f"{kind}.{name}"
            if kind == "instance":
                count: Any = entry.get("count", 1)
                yield from (f"instance.{name}-{number}" for number in range(1, count + 1 if type(count) is int else 1))
            if kind == "security_group":
                yield f"security_group_rules.{name}"
    for path, _ in outline.listeners:
        yield f"listener.{path[1]}/{path[3]}"
    for path, _ in outline.rules:
        yield f"rule.{path[1]}/{path[3]}/{path[5]}"


def policy_of(entry: Mapping[str, Any]) -> Policy:
    """The policy that valid data describes."""
    touched = entry.get("max_touched")
    return Policy(
        max_deletions=entry.get("max_deletions"),
        max_replacements=entry.get("max_replacements"),
        max_touched=None if touched is None else int(touched.rstrip("%")),
        never_delete=frozenset(entry.get("never_delete", ())),
        calendars=(tuple(map(_window, entry["windows"])),) if "windows" in entry else (),
    )


def _window(entry: Mapping[str, Any]) -> Window:
    return Window(
        days=frozenset(map(_DAYS.index, entry.get("days", _DAYS))),
        start=_minutes(entry.get("from", "00:00")),
        end=_minutes(entry.get("to", "24:00")),
        time_zone=entry.get("time_zone", "UTC"),
    )


def _minutes(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def drift_policy_of(entry: Mapping[str, Any]) -> DriftPolicy:
    """The correction that valid data describes; actions that it doesn't name keep their defaults."""
    said = {item: care for care in _CARES for item in entry.get(care, ())}
    return DriftPolicy(care={**DEFAULTS, **said}, sightings=entry.get("sightings", 1))
