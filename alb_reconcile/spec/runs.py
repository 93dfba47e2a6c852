"""What a spec says of the runs over it: `policy` and `sync`, from checked data to values."""

from collections.abc import Mapping
from typing import Any, Final

from alb_reconcile.model.drift_policy import DEFAULTS, Care, DriftPolicy
from alb_reconcile.model.policy import Policy, Window

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CARES: Final[tuple[Care, ...]] = ("correct", "report", "ignore")


def policy_of(entry: Mapping[str, Any]) -> Policy:
    """The policy that valid data describes."""
    touched = entry.get("max_touched")
    return Policy(
        max_deletions=entry.get("max_deletions"),
        max_replacements=entry.get("max_replacements"),
        max_touched=None if touched is None else int(touched.rstrip("%")),
        never_delete=frozenset(entry.get("never_delete", ())),
        calendars=(tuple(_window(item) for item in entry["windows"]),) if "windows" in entry else (),
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
