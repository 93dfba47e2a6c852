"""Holds the one safety rule: each sort of requests that was answered, and will be, is answered at every moment in between.

A plan is rehearsed by the rule on values (`engine.plan.rehearsal`), and a run checks the rule on what AWS shows before each step that moves
requests or takes something away (`engine.gate`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from alb_reconcile.engine.answers import Answers
from alb_reconcile.engine.doors import Asked, Door, Reach, describe_door, find_doors, join
from alb_reconcile.engine.world import COMING, World
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.address import Address
from alb_reconcile.model.plan import Act, Plan, Step
from alb_reconcile.model.resource import bind, each_of
from alb_reconcile.model.service import Member
from alb_reconcile.model.steps import Deregister, Shift, TakeOver

MISSING: Final = "for a moment no"
ELSEWHERE: Final = "would answer in its place"


@dataclass(frozen=True)
class Safety:
    """The requests that are answered both before and after a plan, with the doors that answer them, and the number of healthy targets that
    each group needs while it gets requests: one if the plan doesn't say it, and none if `max_unavailable` lets all be missing."""

    answers: Answers
    kept: Mapping[Asked, tuple[Door, Door]]
    least: Mapping[str, int]
    spare: Mapping[str, int]
    """How many targets may be missing by `max_unavailable`, for each group that gets no requests after the plan."""
    names: Mapping[str, Address]
    """The address of each resource, by id, so that a group and its successor count as the same answer."""

    @classmethod
    def of(cls, plan: Plan) -> Safety:
        """The safety of a plan, as if all of its targets became healthy except those that fail now."""
        before = World(plan.live)
        after = before.after(plan.steps).turned(COMING, lambda item, _: item.status not in ("healthy", "unhealthy"))
        now, then = list(find_doors(before)), list(find_doors(after))
        answers = Answers(now, then)
        first = {asked: door for asked, door in answers.find(now).items() if door.answers}
        last = answers.find(then) if first else {}
        kept = {asked: (door, last[asked]) for asked, door in first.items() if asked in last and last[asked].answers}
        least: dict[str, list[int]] = defaultdict(list)
        for step in plan.steps if kept else ():
            if (count := step.detail(Deregister).least) is not None and step.observed:
                least[str(step.observed.parent_id)].append(count)
            for wanted in shift_of(step).awaits:
                least[str(bind(wanted.group, plan.ids))].append(wanted.enough)
        spare: dict[str, int] = defaultdict(int)
        used = {reach.group for door in last.values() for reach in door.reaches}
        for _, registered in each_of(plan.live, Member) if kept else ():
            address, group = plan.names.get(str(registered.target)), str(registered.target_group)
            if group not in used:
                entry = plan.desired.get(address) if address else None
                spare[group] = max(spare[group], entry.lifecycle.rollout.max_unavailable if entry else 0)
        return cls(answers, kept, {group: min(counts) for group, counts in least.items()}, spare, plan.names)

    def without(self, doors: Container[Asked]) -> Safety:
        """The same safety without these requests."""
        kept = {asked: both for asked, both in self.kept.items() if asked not in doors}
        return replace(self, kept=kept)

    def find(self, world: World) -> Mapping[Asked, Door]:
        """The door that answers each sort of requests in a world."""
        return self.answers.find(find_doors(world)) if self.kept else {}

    def unanswered(self, world: World, only: Container[Asked] | None = None) -> Iterator[tuple[Asked, str]]:
        """The requests (among `only`) that aren't answered in a world, or are answered by other groups than before and after; and why, in
        words. A lack that a door has before or after the plan as well doesn't count."""
        now = self.find(world)
        for asked, (first, last) in self.kept.items():
            if (only is None or asked in only) and (text := self._why_shut(first, now.get(asked), last)):
                yield asked, text

    def _answer(self, door: Door) -> frozenset[object]:
        """The answer that a door's requests get: the groups, or the load balancer's own action."""
        groups = frozenset(str(self.names.get(reach.group, reach.group)) for reach in door.reaches)
        return groups or frozenset([replace(action_of(door.item.state), forward=())])

    def _why_shut(self, before: Door, now: Door | None, then: Door) -> str:
        if now is None:
            return f"{MISSING} {before.item.address.kind} has it"
        if (
            now.reaches == before.reaches
            and now.barred == before.barred
            and now.item.id == before.item.id
            and now.reaches
        ):
            return ""
        elsewhere = self._answer(now) - self._answer(before) - self._answer(then)
        if elsewhere and (now.reaches or now.item.id != then.item.id):
            return f"{describe_door(now)} {ELSEWHERE}"
        known = {shut.reason for shut in before.barred}
        shuts = [shut for shut in now.barred if shut.reason not in known]
        was = {reach.group: reach.healthy for reach in before.reaches}
        filled = {reach.group: reach.count for reach in then.reaches}
        for reach in now.reaches if before.reaches else ():  # a door that didn't forward had no target to lose
            least, most = self.least.get(reach.group, 1), was.get(reach.group, filled.get(reach.group, 0))
            if reach.group in filled:
                most = min(most, filled.get(reach.group, 0))
            else:  # the group is emptied only after its requests have moved away
                least = max(most - self.spare[reach.group] if reach.group in self.spare else least, 1)
            if reach.healthy < min(least, most):
                shuts += reach.lost
                if not reach.lost:
                    few = f"only {reach.healthy} healthy targets" if reach.healthy else "no healthy target"
                    return f"the target group that gets its requests has {few}"
            for zone in _emptied(before, reach, then) if least else ():
                shuts += reach.zones[zone].lost
                if not reach.zones[zone].lost:
                    text = f"the target group that gets its requests has no healthy target in {zone}"
                    return f"{text}, {ALONE}"
        return "; ".join(shut.text for shut in join(shuts))


ALONE: Final = "whose node asks no other zone (cross-zone load balancing is off)"


def serves_in(door: Door, group: str, zone: str) -> bool:
    """Whether a door's node in a zone reaches a healthy target of a group; if the door doesn't forward to the group, of any group."""
    reaches = [reach for reach in door.reaches if reach.group == group] or door.reaches
    return any(zone in reach.zones and reach.zones[zone].healthy for reach in reaches)


def keeps_zone(before: Door, group: str, zone: str, then: Door) -> bool:
    """Whether a group needs a healthy target in a zone as long as its load balancer has a node there: if it has one before the plan, and
    also after it, unless by then the node is gone or the group gets no requests."""
    last = [reach.zones[zone] for reach in then.reaches if reach.group == group and zone in reach.zones]
    return serves_in(before, group, zone) and all(reach.count for reach in last)


def _emptied(before: Door, now: Reach, then: Door) -> list[str]:
    """The zones in which a group needs a healthy target and has none."""
    empty = [zone for zone, reach in now.zones.items() if not reach.healthy]
    return [zone for zone in empty if keeps_zone(before, now.group, zone, then)]


def shift_of(step: Step) -> Shift:
    """The targets that a step waits for before it moves requests."""
    return step.detail(TakeOver).shift if isinstance(step.details, TakeOver) else step.detail(Shift)


def is_held(step: Step) -> bool:
    """Whether a run checks the rule before a step: the step moves requests or takes something away, and isn't a target's. The
    deregistration of a target from a group that gets requests itself asks AWS how many others are healthy
    (`kinds._health.keep_capacity`); other steps of targets follow the plan's order."""
    state = step.state or (step.observed.state if step.observed else None)
    return step.act is not Act.PREPARE and not (state is not None and state.is_target)
