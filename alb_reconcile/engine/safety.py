"""Holds the one safety rule: each sort of requests that was answered, and will be, is answered at every moment in between.

A plan is rehearsed by the rule on values (`engine.plan.rehearsal`), and a run checks the rule on what AWS shows before each step that moves
requests or takes something away (`engine.gate`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final, NamedTuple

from alb_reconcile.engine.answers import Answers
from alb_reconcile.engine.doors import Asked, Door, Reach, describe_door, find_doors, join
from alb_reconcile.engine.needs import Needed, needs
from alb_reconcile.engine.world import COMING, World
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.plan import Act, Plan, Step
from alb_reconcile.model.resource import bind, each_of
from alb_reconcile.model.service import Member
from alb_reconcile.model.steps import Shift, TakeOver

MISSING: Final = "for a moment no"
ELSEWHERE: Final = "would answer in its place"


class Lack(NamedTuple):
    """Why requests wouldn't be answered, in words; and the share of them that wouldn't be, from above 0 to 1: how much the healthy targets
    lack of the number that their groups need, on average over the groups."""

    text: str
    share: Fraction = Fraction(1)


@dataclass(frozen=True)
class Safety:
    """The requests that are answered both before and after a plan, with the doors that answer them, and the numbers of healthy targets by
    which the rule judges."""

    answers: Answers
    kept: Mapping[Asked, tuple[Door, Door]]
    needs: Mapping[Ref, Needed]
    """What the spec says of each group that gets a door's requests before and after the plan."""
    turning: Mapping[str, int]
    """Of a group to which requests turn, how many must be healthy: as many as serve now in the groups that lose them (`Shift`), but no more
    than `leaving` if targets leave it as well; if no step says it, one."""
    leaving: Mapping[str, int]
    """How many targets must stay healthy while others leave, for each group that gets requests before or after the plan."""
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
        answers = Answers(now, then, going=after.gone)
        first = {asked: door for asked, door in answers.find(now).items() if door.answers}
        last = answers.find(then) if first else {}
        kept = {asked: (door, last[asked]) for asked, door in first.items() if asked in last and last[asked].answers}
        turning: dict[str, list[int]] = defaultdict(list)
        for step in plan.steps if kept else ():
            for wanted in shift_of(step).awaits:
                turning[str(bind(wanted.group, plan.ids))].append(wanted.enough)
        spare: dict[str, int] = defaultdict(int)
        used = {reach.group for door in last.values() for reach in door.reaches}
        for _, registered in each_of(plan.live, Member) if kept else ():
            address, group = plan.names.get(str(registered.target)), str(registered.target_group)
            if group not in used:
                entry = plan.desired.get(address) if address else None
                spare[group] = max(spare[group], entry.lifecycle.rollout.max_unavailable if entry else 0)
        declared = {address: item for address, item in plan.desired.items() if address not in plan.resting}
        known = needs(declared, plan.ids)
        able = Counter(
            state.target_group for item, state in each_of(plan.live, Member) if item.status in ("healthy", "initial")
        )
        leaving = {group: known.get(group, Needed()).to_keep(able[group]) for group in _asked(plan, after)}
        for step in plan.steps if turning else ():
            if step.action == "delete" and step.plays(Member) and step.observed:
                group = str(step.observed.parent_id)
                turning.get(group, []).append(leaving.get(group, 0))
        least = {group: min(counts) for group, counts in turning.items()}
        return cls(answers, kept, known, least, leaving, spare, plan.names)

    def without(self, doors: Container[Asked]) -> Safety:
        """The same safety without these requests."""
        kept = {asked: both for asked, both in self.kept.items() if asked not in doors}
        return replace(self, kept=kept)

    def find(self, world: World) -> Mapping[Asked, Door]:
        """The door that answers each sort of requests in a world."""
        return self.answers.find(find_doors(world)) if self.kept else {}

    def to_keep(self, step: Step) -> int:
        """How many other healthy targets must be in a target's group when a step takes the target out of the group; 0 if it may leave at
        any time."""
        group = step.observed.parent_id if step.plays(Member) and step.action == "delete" and step.observed else None
        return self.leaving.get(str(group), 0)

    def lacks(self, world: World, only: Container[Asked] | None = None) -> dict[Asked, Lack]:
        """What the requests (among `only`) lack that aren't answered in a world, or are answered by other groups than before and after. A
        lack that a door has before or after the plan as well doesn't count."""
        now = self.find(world)
        found = (
            (asked, self._find_lack(first, now.get(asked), last))
            for asked, (first, last) in self.kept.items()
            if only is None or asked in only
        )
        return {asked: lack for asked, lack in found if lack}

    def _answer(self, door: Door) -> frozenset[object]:
        """The answer that a door's requests get: the groups, or the load balancer's own action."""
        groups = frozenset(str(self.names.get(reach.group, reach.group)) for reach in door.reaches)
        return groups or frozenset([replace(action_of(door.item.state), forward=())])

    def _find_lack(self, before: Door, now: Door | None, then: Door) -> Lack | None:
        if now is None:
            return Lack(f"{MISSING} {before.item.address.kind} has it")
        if (
            now.reaches == before.reaches
            and now.barred == before.barred
            and now.item.id == before.item.id
            and now.reaches
        ):
            return None
        elsewhere = self._answer(now) - self._answer(before) - self._answer(then)
        if elsewhere and (now.reaches or now.item.id != then.item.id):
            return Lack(f"{describe_door(now)} {ELSEWHERE}")
        known = {shut.reason for shut in before.barred}
        shuts = [shut for shut in now.barred if shut.reason not in known]
        shares, texts = [Fraction(bool(shuts))], list[str]()
        was = {reach.group: reach.healthy for reach in before.reaches}
        filled = {reach.group: reach.count for reach in then.reaches}
        for reach in now.reaches if before.reaches else ():  # a door that didn't forward had no target to lose
            least, most = self._least(reach.group, was), was.get(reach.group, filled.get(reach.group, 0))
            if reach.group in filled:
                most = min(most, filled.get(reach.group, 0))
            else:  # the group is emptied only after its requests have moved away
                least = max(most - self.spare[reach.group] if reach.group in self.spare else least, 1)
            needed = min(least, most)
            missing = Fraction(needed - reach.healthy, needed) if reach.healthy < needed else Fraction(0)
            if missing:
                shuts += reach.lost
                if not reach.lost:
                    few = f"only {reach.healthy} healthy targets" if reach.healthy else "no healthy target"
                    texts.append(f"the target group that gets its requests has {few}")
            empty = _emptied(before, reach, then) if least else []
            for zone in empty:
                shuts += reach.zones[zone].lost
                if not reach.zones[zone].lost:
                    text = f"the target group that gets its requests has no healthy target in {zone}"
                    texts.append(f"{text}, {ALONE}")
            shares.append(max(missing, Fraction(len(empty), len(reach.zones) or 1)) / len(now.reaches))
        text = next(iter(texts), "; ".join(shut.text for shut in join(shuts)))
        return Lack(text, min(sum(shares, Fraction(0)), Fraction(1))) if text else None

    def _least(self, group: str, was: Container[str]) -> int:
        """How many healthy targets a group needs by the spec if the door's requests got there before, and else by the step that turns them
        there."""
        if group in self.turning or group not in was:
            return self.turning.get(group, 1)
        return self.needs[group].least if group in self.needs else 1


def _asked(plan: Plan, after: World) -> set[str]:
    """The existing groups that get requests: now, from listeners and rules that stay, or after the plan."""
    stay = (action_of(item.state) for item in plan.live if item.id not in after.gone)
    then = (bind(action_of(item.state), plan.ids) for item in plan.desired.values() if item.state.action_field)
    return {str(part.target_group) for action in (*stay, *then) for part in action.receiving} - after.gone


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
    """Whether a run's gate checks the rule before a step: the step moves requests or takes something away, and isn't a target's. Before a
    target leaves, its kind asks AWS itself for the number that the rule says (`kinds._health.keep_capacity`); other steps of targets follow
    the plan's order."""
    state = step.state or (step.observed.state if step.observed else None)
    return step.act is not Act.PREPARE and not (state is not None and state.is_target)
