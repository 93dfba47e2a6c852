"""The steps of a plan with what belongs to each, found once for all of them: plans may have tens of thousands."""

from collections import defaultdict
from collections.abc import Iterator

from alb_reconcile.cli.render.plan import replacement_words
from alb_reconcile.model.address import Address
from alb_reconcile.model.plan import Plan, Step


class Halves:
    """By step the others that are part of it, such as the deletion of what it replaces."""

    def __init__(self, plan: Plan) -> None:
        self._parts: dict[str, list[Step]] = defaultdict(list)
        self._early: set[str] = set()
        seen: set[str] = set()
        for step in plan.steps:
            if step.part_of is not None:
                self._parts[step.part_of].append(step)
                if step.part_of not in seen:
                    self._early.add(step.part_of)
            seen.add(step.key)

    def remark(self, step: Step) -> str:
        """What is said beside a step's address."""
        if step.action == "replace":
            return replacement_words(step, is_old_first=step.key in self._early)
        return step.reason

    def also_deletes(self, step: Step) -> list[Address]:
        """What AWS deletes with it."""
        return [address for part in (step, *self._parts.get(step.key, ())) for address in part.also_deletes]

    def said(self, step: Step) -> Iterator[str]:
        """What it waits for and what it does to those who are served, each once."""
        parts = [step, *self._parts.get(step.key, ())]
        yield from dict.fromkeys(f"waits until {wait}" for part in parts for wait in part.waits)
        yield from dict.fromkeys(effect for part in parts for effect in part.effects)
