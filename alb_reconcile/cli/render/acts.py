"""Sorts the steps of a plan for display: under the three parts of a run, with what is waited for between the parts."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

from alb_reconcile.engine.plan.zero_downtime.costs import DRAINED, longest
from alb_reconcile.model.address import Address
from alb_reconcile.model.counting import by_resource, count_resources
from alb_reconcile.model.plan import Act, Plan, Step
from alb_reconcile.model.resource import Rollout
from alb_reconcile.model.service import Server

_NUMBERS: Final = {act: number for number, act in enumerate(Act, start=1)}
_HEALTHY: Final = "healthy"
"""The beginning of a target's wait after it has joined its group (`costs`)."""
_MOST: Final = 3
"""The most different waits that are shown between two parts; with more, the steps show their own."""


class ActPart:
    """Steps that are shown together, in the plan's order. Both halves of a replacement are one entry if both are in the part."""

    def __init__(self, steps: Sequence[Step], number: str = "", name: str = "") -> None:
        self.steps, self.number, self.name = steps, number, name
        """The part's number and name. A part without a name is the whole plan, which has no headings."""
        self.awaited: list[str] = []
        """What is waited for before the part, in words."""
        self.takes = (0, 0)
        """How long the part takes if there are other parts, in seconds, from and to."""
        self.keys = {step.key for step in steps}
        self._waits = {step.key: step.waits for step in steps}
        self._others: dict[str, list[Step]] = defaultdict(list)
        self._early: set[str] = set()
        self.entries: list[Step] = []
        """The steps that are shown as entries of their own."""
        seen: set[str] = set()
        for step in steps:
            if step.part_of is None or step.part_of not in self.keys:
                self.entries.append(step)
            else:
                self._others[step.part_of].append(step)
                self._early |= {step.part_of} - seen
            seen.add(step.key)

    @property
    def counts(self) -> str:
        """The number of resources for each action, in words."""
        counts = count_resources(by_resource(self.steps))
        old = sum(step.part_of is not None for step in self.entries)
        words = ", ".join(f"{number} to {action}" for action, number in counts.items() if number)
        return words + (f" ({f'{old} of them ' * (old < counts['delete'])}replaced)" if old else "")

    def measure(self) -> None:
        """Calculate how long the part usually takes."""
        own = [
            replace(step, needs={key: step.needs[key] for key in self.keys & step.needs.keys()}) for step in self.steps
        ]
        least = longest(own, lambda step: step.seconds + step.takes[0])
        self.takes = least, longest(own, lambda step: step.seconds + step.takes[1])

    def remark(self, step: Step) -> str:
        """The remark next to a step's address."""
        if step.action != "replace":
            return step.reason
        early = step.key in self._early
        order = "the old one is deleted first" if early else "created before the old one is deleted"
        return f"{order} ({step.reason})" if step.reason and not step.changes else order

    def also_deletes(self, step: Step) -> list[Address]:
        """The resources that AWS deletes with a step's resource."""
        return [address for half in self._halves(step) for address in half.also_deletes]

    def said(self, step: Step) -> Iterator[str]:
        """What a step waits for and how it affects served requests, each text once."""
        halves = self._halves(step)
        yield from dict.fromkeys(f"waits until {wait}" for half in halves for wait in self._waits[half.key])
        yield from dict.fromkeys(effect for half in halves for effect in half.effects)

    def _halves(self, step: Step) -> tuple[Step, ...]:
        return step, *self._others.get(step.key, ())

    def leave_out(self, told: Sequence[tuple[str, str]]) -> None:
        """Don't repeat at the steps what a line between the parts says of all of them."""
        keys = {key for key, _ in told}
        common = {text for _, text in told if {key for key, other in told if other == text} == keys}
        for key in keys:
            self._waits[key] = tuple(wait for wait in self._waits[key] if wait not in common)


def read_in_acts(plan: Plan) -> list[ActPart]:
    """The parts of a plan in their order; one part without a name if all steps belong to one act. No step needs a step of a later part."""
    if len({step.act for step in plan.steps}) < 2:
        return [ActPart(plan.steps)]
    turns = _in_turns(plan)
    parts = [
        ActPart(
            [step for step in plan.steps if step.act is act and step.key not in turns], str(number), act.capitalize()
        )
        for act, number in _NUMBERS.items()
    ]
    parts.insert(1, _turns([step for step in plan.steps if step.key in turns]))
    found = [part for part in parts if part.steps]
    for part in found if found[1:] else ():
        part.measure()
    for before, after in pairwise(found):
        if before is not parts[1] and after is not parts[1]:
            _wait_between(plan, before, after)
    return found


def _wait_between(plan: Plan, before: ActPart, after: ActPart) -> None:
    needed = set(after.keys)
    for step in reversed(plan.steps):
        needed.update(step.needs if step.key in needed else ())
    joining = [
        (step.key, text)
        for step in before.steps
        for text in step.waits
        if step.key in needed and text.startswith(_HEALTHY)
    ]
    opening = [
        (step.key, text)
        for step in after.steps
        for text in step.waits
        if after.keys.isdisjoint(step.needs) and not text.startswith((_HEALTHY, DRAINED))
    ]
    counts = Counter(text for _, text in joining)
    joined = [f"{count} new target{'s are' if count > 1 else ' is'} {text}" for text, count in counts.items()]
    after.awaited = [*joined, *dict.fromkeys(text for _, text in opening)]
    if len(after.awaited) > _MOST:
        after.awaited = []
        return
    before.leave_out(joining)
    after.leave_out(opening)


def _in_turns(plan: Plan) -> set[str]:
    """The keys of the steps that are in another order than the acts show: a new resource waits for the end of an old one, as in the rounds
    of a roll, or where only one can exist. Includes the steps between them, and the other halves of replacements."""
    numbers = {step.key: _NUMBERS[step.act] for step in plan.steps}
    found = {
        key
        for step in plan.steps
        for need in step.needs
        if numbers[need] > numbers[step.key]
        for key in (step.key, need)
    }
    size = 0
    while size < len(found):  # steps before these that need one of them, or after these that one of them needs
        size = len(found)
        for step in plan.steps:
            pair = {key for key in (step.key, step.part_of) if key in numbers}
            if not found.isdisjoint(pair) or (step.act is Act.PREPARE and not found.isdisjoint(step.needs)):
                found |= pair
            if step.key in found:
                found.update(key for key in step.needs if numbers[key] > 1)
    return found


def _turns(steps: Sequence[Step]) -> ActPart:
    acts = [act for act in Act if any(step.act is act for step in steps)]
    going = {step.key for step in steps if step.act is Act.CLEAN_UP}
    paced = [step for step in steps if step.act is Act.PREPARE and not going.isdisjoint(step.needs)]
    rounds = {_pace(step) for step in paced if step.plays(Server)}
    pace = f" in rounds of {' or '.join(map(str, sorted(rounds)))}" if rounds else " by turns"
    name = " and ".join(acts).replace(" and ", ", ", len(acts) - 2).capitalize()
    return ActPart(steps, "+".join(str(_NUMBERS[act]) for act in acts), name + pace)


def _pace(step: Step) -> int:
    """How many instances are changed at a time."""
    rollout = step.desired.lifecycle.rollout if step.desired else Rollout()
    return rollout.max_surge if step.action == "replace" and rollout.max_surge else max(rollout.max_unavailable, 1)
