"""Counts the resources of a plan, a run or a record by action, each resource once. All counts and limits use this module."""

from collections.abc import Iterable, Sequence
from typing import Final, Protocol, TypeVar

ACTIONS: Final = ("create", "update", "replace", "delete")
_DECIDES: Final = ("replace", "delete", "create", "update")
"""Where several steps are at one resource, it is counted under the first of these actions that a step has."""


class Counted(Protocol):
    """A step of a plan, or its record."""

    @property
    def key(self) -> str:
        """A word, a colon and the resource; all steps at one resource have the same text after the colon."""

    @property
    def action(self) -> str:
        """One of `ACTIONS`."""

    @property
    def also_deletes(self) -> Sequence[object]:
        """The resources that AWS deletes with this step's resource, without steps of their own."""


_S = TypeVar("_S", bound=Counted)


def by_resource(steps: Iterable[_S]) -> list[list[_S]]:
    """The steps, grouped by resource: both halves of a replacement, both steps of a change that is made in two."""
    found: dict[str, list[_S]] = {}
    for step in steps:
        found.setdefault(step.key.partition(":")[2], []).append(step)
    return list(found.values())


def count_resources(resources: Iterable[Sequence[Counted]]) -> dict[str, int]:
    """The number of resources by action, with resources that are deleted along with others. `resources` come from `by_resource`."""
    counts = dict.fromkeys(ACTIONS, 0)
    for steps in resources:
        actions = {step.action for step in steps}
        counts[next(action for action in _DECIDES if action in actions)] += 1
        counts["delete"] += sum(len(step.also_deletes) for step in steps)
    return counts


def total(steps: Iterable[Counted]) -> int:
    """The number of resources that the steps change."""
    return sum(count_resources(by_resource(steps)).values())
