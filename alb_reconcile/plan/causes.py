"""Whether it is the account that has moved away from the spec (drift), or the spec from what was applied last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from alb_reconcile import tags
from alb_reconcile.kind import references
from alb_reconcile.plan.decide import DUPLICATE, named_ids

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alb_reconcile.discover import Discovery
    from alb_reconcile.kind import Desired, Observed
    from alb_reconcile.plan.model import Plan, Step
    from alb_reconcile.values import Address

Cause = Literal["drift", "spec"]
_MAKING: Final = ("create", "replace")


def find_causes(plan: Plan, desired: Mapping[Address, Desired], discovery: Discovery) -> dict[str, Cause]:
    """The cause of each step, by key.

    An entry's resource carries a digest of the entry as it was applied: while the spec says the same, a difference is
    drift. What is missing has no tags to tell; it is drift if the others carry the digest of the whole spec, or if the
    dead instance is still shown with that of its entry. Where nothing tells, it is the spec.
    """
    judge = _Judge(plan, desired, discovery)
    causes: dict[str, Cause] = {step.key: judge.judge(step) for step in plan.steps}
    while more := [
        step.key for step in plan.steps if causes[step.key] == "drift" and judge.follows(step, causes)
    ]:
        causes |= dict.fromkeys(more, "spec")
    return causes


class _Judge:
    def __init__(self, plan: Plan, desired: Mapping[Address, Desired], discovery: Discovery) -> None:
        self.plan, self.desired = plan, desired
        own = [item for item in discovery.resources if item.owner == plan.stack and item.state.service]
        self.graves = [item for item in own if item.is_gone]
        self.live = {item.id: item for item in own if not item.is_gone}
        self.by_address: dict[Address, Observed] = {}
        for item in self.live.values():
            if plan.ids.get(item.address, item.id) == item.id:
                self.by_address.setdefault(item.address, item)
        applied = tags.spec_digest_of(desired)
        self.is_applied = any(item.tags.get(tags.APPLIED) == applied for item in self.live.values())
        self.makers = {step.address: step.key for step in plan.steps if step.action in _MAKING}
        self.removers = {
            step.id: step.key for step in plan.steps if step.id and step.action in ("delete", "replace")
        }

    def judge(self, step: Step) -> Cause:
        """The cause, by the tags alone."""
        if step.part_of is not None or step.action == "delete":
            return self._why_it_goes(step)
        wish = step.desired
        if wish is None:  # the order of a listener's rules
            return self._of_order(step)
        if step.observed is not None and wish.carrier is None:
            return self._compare(wish, step.observed)
        carrier = wish.carrier or wish.address
        found = self.by_address.get(carrier)
        if wish.carrier is not None and found is not None:
            return self._compare(self.desired[carrier], found)
        return self._why_it_is_missing(self.desired[carrier])

    def _compare(self, wish: Desired, found: Observed) -> Cause:
        applied = found.tags.get(tags.SPEC, "").partition(" ")[0]
        return "drift" if applied == wish.spec_digest else "spec"

    def _why_it_is_missing(self, wish: Desired) -> Cause:
        ghost = any(
            item.address == wish.address and self._compare(wish, item) == "drift" for item in self.graves
        )
        return "drift" if self.is_applied or ghost else "spec"

    def _why_it_goes(self, step: Step) -> Cause:
        found = step.observed
        if found is None or step.reason == DUPLICATE:
            return "drift"
        if found.owner == self.plan.stack and found.state.service:
            wish = self.desired.get(found.address)
            return self._compare(wish, found) if wish else "spec"
        # a member, or a stranger: what says whether it may be there is the entry that it is in
        parent = self.live.get(str(getattr(found.state, found.state.parent))) if found.state.parent else None
        wish = self.desired.get(parent.address) if parent else None
        return self._compare(wish, parent) if wish and parent else "drift"

    def _of_order(self, step: Step) -> Cause:
        """Of rules that change places: one whose entry has changed makes it the spec's doing."""
        for arn, _ in step.notes.get("priorities", ()):
            found = self.live.get(arn)
            wish = self.desired.get(found.address) if found else None
            if found and (wish is None or self._compare(wish, found) == "spec"):
                return "spec"
        return "drift"

    def follows(self, step: Step, causes: Mapping[str, Cause]) -> bool:
        """Whether a step is only there because of another one, which the spec wants."""
        before: list[str | None] = []
        if step.part_of is not None:
            before.append(step.part_of)
        if step.desired is not None:
            before += [self.makers.get(address) for address in references(step.desired.state)]
        if step.action in ("delete", "replace") and step.observed is not None:
            before += [self.removers.get(text) for text in named_ids(step.observed.state)]
        return any(key is not None and key != step.key and causes.get(key) == "spec" for key in before)
