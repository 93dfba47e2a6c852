"""The steps, and parts of steps, that a plan is made without, since they wait for a person."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from alb_reconcile.model.plan import Step


class HeldPart(NamedTuple):
    """The part of a step that waits: the properties that the step `changes` stay as they were found. `reason` is empty if the part isn't
    reported."""

    step: Step
    reason: str
    cause: str


@dataclass(frozen=True)
class Waiting:
    """Replacements and parts of updates that wait, and steps that depend on them."""

    parts: tuple[HeldPart, ...] = ()
    dependents: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """Why a dependent step waits, too: by the id of its resource, or its address if it doesn't exist, and by the cause of a step."""

    @property
    def paths(self) -> dict[str, frozenset[str]]:
        """The paths of the properties that stay as they are found, by id."""
        steps = [part.step for part in self.parts]
        return {step.id: frozenset(item.path for item in step.changes) for step in steps if step.id and step.changes}
