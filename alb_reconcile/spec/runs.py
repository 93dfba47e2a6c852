"""Reads and checks what a spec says of the runs over it, under `policy` and `sync`."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from alb_reconcile.kinds import by_section, load_kinds
from alb_reconcile.model.drift_policy import DEFAULTS, Care, DriftPolicy
from alb_reconcile.model.policy import Policy, Window, zone_of
from alb_reconcile.model.text import did_you_mean
from alb_reconcile.spec.outline import Outline

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CARES: Final[tuple[Care, ...]] = ("correct", "report", "ignore")


def check(outline: Outline) -> None:
    """Report windows that can't be, and names under `sync` that don't exist or are given twice."""
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
    choice = f"; name an action ({', '.join(DEFAULTS)}), a kind such as listener, or an address of this file"
    return f'there is no "{name}"{did_you_mean(name, sorted(known)[:2000]) or choice}'


def addresses_of(outline: Outline) -> Iterator[str]:
    """All addresses of a document's entries; of groups, also those of their members."""
    for kind in by_section().values():
        for path, entry in outline.all_of(kind.name):
            yield from map(str, kind.addresses_of("/".join(map(str, path[1::2])), entry))


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
    """The drift policy that valid data describes; actions that it doesn't name keep their defaults."""
    said = {item: care for care in _CARES for item in entry.get(care, ())}
    return DriftPolicy(care={**DEFAULTS, **said}, sightings=entry.get("sightings", 1))
