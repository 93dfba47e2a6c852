"""The `sync` section of a spec: which differences an unattended run corrects, and which it leaves to a person."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

Care = Literal["correct", "report", "ignore"]
DEFAULTS: Final[Mapping[str, Care]] = {
    "create": "correct",
    "update": "correct",
    "replace": "report",
    "delete": "report",
}


@dataclass(frozen=True)
class DriftPolicy:
    """The care for differences: `care` has a word for each action, and for kinds and addresses that have their own. `sightings`: how many
    reads have to show a difference before it is corrected."""

    care: Mapping[str, Care] = field(default_factory=lambda: dict(DEFAULTS))
    sightings: int = 1

    def of(self, names: Iterable[str], action: str) -> Care:
        """What is done about a difference: the word for the first of its names that has one counts, then the word for the action."""
        return self.care.get(self.key(names, action), "report")

    def key(self, names: Iterable[str], action: str) -> str:
        """The key in `care` that decides about a difference: a name, or the action."""
        return next((name for name in names if name in self.care), action)
