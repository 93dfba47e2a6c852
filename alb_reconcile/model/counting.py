"""Counts the resources of a plan, a run or a record by action, each resource once. All counts and limits use this module."""

from collections.abc import Iterable, Sequence
from typing import Final, Protocol, TypeVar

ACTIONS: Final = ("create", "update", "replace", "delete")
_DECIDES: Final = ("replace", "delete", "create", "update")
"""Of several steps at one resource, whose action it is counted under: the first of these."""


class Counted(Protocol):
    """A step of a plan, or its record."""

    @property
    def key(self) -> str:
        """A word, a colon and the resource; all steps at one resource have the same after the colon."""

    @property
    def action(self) -> str:
        """Of `ACTIONS`."""

    @property
    def also_deletes(self) -> Sequence[object]:
        """What AWS deletes with it, without a step of its own."""


_S = TypeVar("_S", bound=Counted)


def by_resource(steps: Iterable[_S]) -> list[list[_S]]:
    """The steps at each resource: both halves of a replacement, both steps of a change that is made in two."""
    found: dict[str, list[_S]] = {}
    for step in steps:
        found.setdefault(step.key.partition(":")[2], []).append(step)
    return list(found.values())


def count_resources(resources: Iterable[Sequence[Counted]]) -> dict[str, int]:
    """How many resources there are of each action, with what is deleted along with them. `resources` are as of `by_resource`."""
    counts = dict.fromkeys(ACTIONS, 0)
    for steps in resources:
        actions = {step.action for step in steps}
        counts[next(action for action in _DECIDES if action in actions)] += 1
        counts["delete"] += sum(len(step.also_deletes) for step in steps)
    return counts


def total(steps: Iterable[Counted]) -> int:
    """How many resources some steps are about."""
    return sum(count_resources(by_resource(steps)).values())
