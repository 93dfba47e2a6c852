"""Decides the cause of each difference: the account has moved away from the spec (drift), or the spec was changed since it was applied."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Literal

from alb_reconcile.engine.applied_tags import find_anchors, find_lost, spec_digest
from alb_reconcile.engine.apply import Outcome
from alb_reconcile.engine.plan.planner import POINT_THERE, made_anew
from alb_reconcile.engine.stack import StackPlan
from alb_reconcile.model import tags
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.address import Address
from alb_reconcile.model.decisions import DUPLICATE, named_ids
from alb_reconcile.model.discovery import Discovery
from alb_reconcile.model.plan import Need, Plan, Step
from alb_reconcile.model.resource import Desired, Observed, each_of, references
from alb_reconcile.model.service import Member, dns_names
from alb_reconcile.model.steps import Deregister, SetPriorities, Shift, TakeOver

Cause = Literal["drift", "spec"]
_MAKING: Final = ("create", "replace")


def find_causes(planned: StackPlan) -> dict[str, Cause]:
    """The cause of each step, by key.

    An entry's resource carries a digest of the entry as it was applied: while the spec says the same, a difference is drift. A missing
    resource has no tags; its absence is drift if the other resources' tags know its entry as the spec says it now. Where no tag tells,
    the cause is the spec, as for all steps of a stack that is being destroyed, or that has no resources.
    """
    plan, judge = planned.plan, _Judge(planned)
    if judge.is_over:
        return {step.key: "spec" for step in plan.steps}
    causes: dict[str, Cause] = {step.key: judge.judge(step) for step in plan.steps}
    while more := [step.key for step in plan.steps if causes[step.key] == "drift" and judge.follows(step, causes)]:
        causes |= dict.fromkeys(more, "spec")
    return causes


def find_said(planned: StackPlan) -> set[str]:
    """The spec that was applied, as the tags of the stack's resources say; empty where no resource tells."""
    live = _own(planned.plan.stack, planned.discovery)
    return {item.tags.get(tags.APPLIED, "") for item in find_anchors(live)}


def is_applied(planned: StackPlan) -> bool:
    """Whether the resources' tags say that the whole spec was applied, as it is now."""
    whole = tags.spec_digest_of(planned.plan.desired)
    return any(said.partition(" ")[0] == whole for said in find_said(planned))


def is_ending(stack: str, discovery: Discovery) -> bool:
    """Whether a destroy of the stack was begun."""
    return any(item.tags.get(tags.APPLIED) == tags.DESTROYING for item in _own(stack, discovery))


def is_absent(planned: StackPlan) -> bool:
    """Whether the stack has no resources."""
    return not _own(planned.plan.stack, planned.discovery)


def new_names(
    plan: Plan, outcomes: Iterable[Outcome], found: StackPlan | None, *, was_there: bool = False
) -> dict[str, str]:
    """A remark for each load balancer that was created again, by step key: its new DNS name, if a read has seen it since. `was_there`
    is as for `made_anew`."""
    names = dns_names(found.discovery.resources) if found else {}
    done = {item.step.key for item in outcomes if item.how == "done"}
    return {
        step.key: f"another DNS name than before, {names.get(step.address, 'which status shows')}: {POINT_THERE}"
        for step in made_anew(plan.steps, plan.live, was_there=was_there)
        if step.key in done
    }


def _own(stack: str, discovery: Discovery) -> list[Observed]:
    return [item for item in discovery.resources if item.owner == stack and item.state.service and not item.is_gone]


class _Judge:
    def __init__(self, planned: StackPlan) -> None:
        self.plan = plan = planned.plan
        self.desired = desired = plan.desired
        self.live = {item.id: item for item in _own(plan.stack, planned.discovery)}
        self.by_address: dict[Address, Observed] = {}
        for item in self.live.values():
            if plan.ids.get(item.address, item.id) == item.id:
                self.by_address.setdefault(item.address, item)
        self.is_over = not self.live or is_ending(planned.plan.stack, planned.discovery)
        self.applied = find_said(planned)
        asked = {str(part.target_group) for item in plan.live for part in action_of(item.state).receiving}
        self.emptied = asked - {str(state.target_group) for _, state in each_of(plan.live, Member)}
        self.lost = find_lost(plan.stack, desired, planned.discovery)
        self.whole = tags.spec_digest_of(desired)
        self.makers = {step.address: step.key for step in plan.steps if step.action in _MAKING}
        self.removers = {step.id: step.key for step in plan.steps if step.id and step.action in ("delete", "replace")}
        self.users: dict[str, list[str]] = defaultdict(list)
        for step in plan.steps:
            for key in step.needs.keys() - step.needing(Need.ORDER):
                self.users[key].append(step.key)
        self.joins: dict[Address, list[str]] = defaultdict(list)
        for step in plan.steps:
            state = step.desired.state if step.desired else step.observed.state if step.observed else None
            if isinstance(state, Member):
                group = plan.names.get(str(state.target_group), state.target_group)
                if isinstance(group, Address):
                    self.joins[group].append(step.key)
        self.members: dict[Address, list[Desired]] = defaultdict(list)
        for _, registration in each_of(desired.values(), Member):
            group, target = registration.target_group, registration.target
            member = desired.get(target) if isinstance(target, Address) else None
            if isinstance(group, Address) and member is not None:
                self.members[group].append(member)

    def judge(self, step: Step) -> Cause:
        """The cause of a step, by the tags alone."""
        if step.part_of is not None or step.action == "delete":
            return self._why_it_goes(step)
        wanted = step.desired
        if wanted is None:  # the order of a listener's rules
            return self._of_order(step)
        if step.observed is not None and wanted.carrier is None:
            return self._compare(wanted, step.observed)
        carrier = wanted.carrier or wanted.address
        found = self.by_address.get(carrier)
        if wanted.carrier is not None and found is not None:
            return "drift" if self._is_missed(wanted, found) else self._compare(self.desired[carrier], found)
        return self._why_it_is_missing(self.desired[carrier])

    def _compare(self, wanted: Desired, found: Observed) -> Cause:
        return "drift" if spec_digest(found) == wanted.spec_digest else "spec"

    def _is_missed(self, wanted: Desired, group: Observed) -> bool:
        """Whether a target was in the group, whatever the target's entry says now: other instances of the entry are in the group on the
        same port, or the group gets requests and has no targets."""
        if isinstance(wanted.state, Member) and group.id in self.emptied:
            return True
        state, member = wanted.state, self.desired.get(_target_of(wanted))
        if not isinstance(state, Member) or member is None or member.lifecycle.group is None:
            return False
        known = {
            item.id
            for address, item in self.by_address.items()
            if address in self.desired and self.desired[address].lifecycle.group == member.lifecycle.group
        }
        return any(
            there.target_group == group.id and there.target in known and there.port == state.port
            for _, there in each_of(self.plan.live, Member)
        )

    def _why_it_is_missing(self, wanted: Desired) -> Cause:
        return "drift" if wanted.address in self.lost else "spec"

    def _is_as_applied(self, wanted: Desired) -> bool:
        """Whether an entry was applied as the spec says it now, by the tags of the other resources."""
        return any(tag.partition(" ")[0] == self.whole or tags.is_known_in(tag, wanted) for tag in self.applied)

    def _why_it_goes(self, step: Step) -> Cause:
        found = step.observed
        if found is None:
            return "drift"
        if step.reason == DUPLICATE:
            # an unfinished or abandoned roll has left this resource, or a person has copied the other one
            is_finished = {tag.partition(" ")[0] for tag in self.applied} == {self.whole}
            entry = self.desired[found.address]  # a resource without tags of its own counts as drift
            return "spec" if not is_finished else "drift" if entry.carrier else self._compare(entry, found)
        if found.owner == self.plan.stack and found.state.service:
            wanted = self.desired.get(found.address)
            return self._compare(wanted, found) if wanted else "spec"
        # a member, or another's resource: whether it may be there is decided by the entry that it is in
        parent = self.live.get(found.parent_id or "")
        wanted = self.desired.get(parent.address) if parent else None
        if wanted is None or parent is None:
            return "drift"
        # what an adoption has found there is no drift
        return "drift" if self._compare(wanted, parent) == "drift" and self._is_as_applied(wanted) else "spec"

    def _of_order(self, step: Step) -> Cause:
        """The cause of a step that changes the order of rules: the spec, if the entry of one of the rules has changed."""
        for arn, _ in step.detail(SetPriorities).priorities:
            found = self.live.get(arn)
            wanted = self.desired.get(found.address) if found else None
            if found and (wanted is None or self._compare(wanted, found) == "spec"):
                return "spec"
        return "drift"

    def follows(self, step: Step, causes: Mapping[str, Cause]) -> bool:
        """Whether a step is there only because of another step that the spec wants, or waits for a health limit that a changed spec
        sets."""
        before: list[str | None] = []
        if step.part_of is not None:
            before.append(step.part_of)
        if step.desired is not None:
            before += [self.makers.get(address) for address in references(step.desired.state)]
        if step.action in ("delete", "replace") and step.observed is not None:
            before += [self.removers.get(text) for text in named_ids(step.observed.state)]
        if step.attaches:  # a group is attached for the listener or rule that is going to forward to it
            before += self.users[step.key]
        if any(key is not None and key != step.key and causes.get(key) == "spec" for key in before):
            return True
        return any(self._is_guarded_anew(group, causes) for group in self._guards(step))

    def _guards(self, step: Step) -> Iterator[Address]:
        """The target groups that a step waits for to be healthy."""
        shift = step.detail(TakeOver).shift if isinstance(step.details, TakeOver) else step.detail(Shift)
        groups = [wanted.group for wanted in (*shift.awaits, *shift.hopes)]
        if (
            step.detail(Deregister).least is not None
            and step.observed is not None
            and isinstance(step.observed.state, Member)
        ):
            groups.append(step.observed.state.target_group)
        for group in groups:
            address = self.plan.names.get(str(group), group)
            if isinstance(address, Address):
                yield address

    def _is_guarded_anew(self, group: Address, causes: Mapping[str, Cause]) -> bool:
        """Whether a spec that isn't applied decides how many healthy targets a group must have."""
        if self._is_moved(group):
            return True
        if any(causes[key] == "spec" for key in self.joins[group]):  # fewer targets, or more, than were applied
            return True
        return any(
            wanted.lifecycle.rollout.max_unavailable and self._is_moved(wanted.address)
            for wanted in self.members[group]
        )

    def _is_moved(self, address: Address) -> bool:
        wanted, found = self.desired.get(address), self.by_address.get(address)
        return wanted is not None and found is not None and self._compare(wanted, found) == "spec"


def _target_of(wanted: Desired) -> Address:
    """The instance of the spec that a target is; for anything but a target, its own address."""
    found = wanted.state.target if isinstance(wanted.state, Member) else None
    return found if isinstance(found, Address) else wanted.address
