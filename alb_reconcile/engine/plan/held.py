"""What a plan is made without, since it waits for a person."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from alb_reconcile.model.plan import Step


class HeldPart(NamedTuple):
    """A step as far as it waits: what it `changes` stays as it is found. `reason` is empty if it isn't reported."""

    step: Step
    reason: str
    cause: str


@dataclass(frozen=True)
class Waiting:
    """Replacements, and parts of updates; and what makes no sense without them."""

    parts: tuple[HeldPart, ...] = ()
    dependents: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """By a resource's id, or its address if it isn't there, and the cause of a step: why that waits, too."""

    @property
    def paths(self) -> dict[str, frozenset[str]]:
        """By id, the paths of the properties that stay as they are found."""
        steps = [part.step for part in self.parts]
        return {step.id: frozenset(item.path for item in step.changes) for step in steps if step.id and step.changes}
