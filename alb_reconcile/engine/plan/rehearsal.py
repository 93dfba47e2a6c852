"""Rehearses a plan on values: whether every door that answers stays open on the way, in whichever order its steps come."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Final

from alb_reconcile.engine.doors import Door, describe_door
from alb_reconcile.engine.safety import Asked, Safety, is_held, shift_of
from alb_reconcile.engine.world import COMING, World
from alb_reconcile.engine.zones import is_zonal, target_zone
from alb_reconcile.model.plan import Plan, Step
from alb_reconcile.model.resource import bind
from alb_reconcile.model.steps import Deregister, Register

_WAYS: Final = frozenset(
    {
        "listener",
        "rule",
        "rule_priorities",
        "record",
        "load_balancer",
        "security_group_rules",
        "route_table",
        "internet_gateway",
    }
)
"""The kinds whose steps open and shut ways."""
_OPENING: Final = _WAYS | {"registration", "target_group"}
"""The kinds whose steps may open a way that is shut, too."""


def _taking_first(step: Step) -> int:
    return 0 if step.takes_away else 2 if step.action == "update" else 1


def _moving_first(step: Step) -> int:
    return (
        0 if step.action == "update" and not (step.attaches or step.takes_away) else 1 if step.action == "delete" else 2
    )


def _making_first(step: Step) -> int:
    return 0 if step.action in ("create", "replace") else 1 if step.action == "update" else 2


ORDERS: Final = (_taking_first, _moving_first, _making_first)
"""What comes as early as the plan's edges allow, in turn: what takes away, what moves requests, what makes something."""


@dataclass
class Gap:
    """A door that answers before a plan and after it, and not in between: why, in words, and the steps that shut it and open it again."""

    door: Door
    text: str
    begin: Step
    end: Step | None = None
    """None where it opens with no step in particular."""


def find_gaps(plan: Plan) -> list[Gap]:
    """The doors that answer before the plan and after it, and wouldn't in between: each once, with the steps that bring it about."""
    return list(gaps_by_door(plan).values())


def gaps_by_door(plan: Plan) -> dict[Asked, Gap]:
    """The same by door."""
    zonal = {item.id for item in plan.live if is_zonal(item.state)}
    zonal |= {str(step.id) for step in plan.steps if step.action == "update" and is_zonal(step.state)}
    if not any(_may_shut(step) or _asks_zones(step, zonal) for step in plan.steps):
        return {}
    safety = Safety.of(plan)
    found: dict[Asked, Gap] = {}
    for rank in ORDERS if safety.kept else ():
        for asked, gap in _rehearse(plan, safety, rank, zonal):
            found.setdefault(asked, gap)
    return found


def _rehearse(
    plan: Plan, safety: Safety, rank: Callable[[Step], int], zonal: Collection[str]
) -> Iterator[tuple[Asked, Gap]]:
    world, waiting = World(plan.live), list[Step]()
    order = _Order(plan, rank)
    joining = {step.key for step in plan.steps if step.address.kind == "registration" and step.action != "delete"}
    found: dict[Asked, Gap] = {}
    checked = set[str]()  # new targets that have passed the checks for which their own steps wait
    zones = _Zones(plan, zonal)
    while (step := order.next() or order.next_put_off(zones.may_empty)) is not None:
        asks_zones = zones.may_empty(step)
        awaited, hoped = _awaited(plan, step)
        if awaited or hoped:
            world, waiting = _passed(world.after(waiting), checked), []
            if not all(world.targets.get(group) for group in awaited):
                order.put_off(step)
                continue
            world = _passed(world, awaited | hoped)
        if is_held(step) or asks_zones:
            # new targets have passed their checks where the run has waited for them, never before
            world, waiting = _passed(world.after(waiting), checked), []
            made = {item.id for items in world.targets.values() for item, _ in items if item.status == COMING}
            world = _passed(world, made)
            if joining and step.key not in order.forced and any(safety.unanswered(world.after([step]))):
                order.put_off(step)
                continue
        joining.discard(step.key)
        order.done(step)
        zones.done(step)
        waiting.append(step)
        if step.detail(Register).is_checked:
            checked.add(str(step.address))
        is_shut = any(gap.end is None for gap in found.values())
        if _may_shut(step) or asks_zones or (is_shut and step.address.kind in _OPENING):
            world, waiting = _passed(world.after(waiting), checked), []
            told = dict(safety.unanswered(world))
            for asked in found.keys() - told.keys():
                found[asked].end = found[asked].end or step
            for asked in told.keys() - found.keys():
                place, (door, _) = step.desired.at() if step.desired else str(step.address), safety.kept[asked]
                words = f"{place}: {describe_door(door)} answers before and after this plan, and not on the way"
                found[asked] = Gap(door, f"{words}: {told[asked]}", step)
                yield asked, found[asked]


def _may_shut(step: Step) -> bool:
    """Whether a step may shut a way. Of targets that leave, most ask AWS themselves how many stay (`kinds._health`)."""
    is_unguarded = step.action == "delete" and step.address.kind == "registration" and not step.detail(Deregister).least
    return is_unguarded or (step.action != "create" and (step.address.kind in _WAYS or is_zonal(step.state)))


def _asks_zones(step: Step, zonal: Collection[str]) -> bool:
    """Whether a target leaves a group of which each zone counts: a run holds it until another one in its zone is healthy."""
    group = step.observed.parent_id if step.observed and step.action == "delete" else None
    return group in zonal and bool(step.detail(Deregister).least)


def _passed(world: World, which: Collection[str]) -> World:
    """The world in which these targets have passed their checks, or all those of these groups."""
    return world.turned("healthy", lambda item, state: item.id in which or str(state.target_group) in which)


def _awaited(plan: Plan, step: Step) -> tuple[set[str], set[str]]:
    """The target groups that must have healthy targets before a step, by id, and those that are waited for as long as they may."""
    shift = shift_of(step)
    awaited, hoped = (
        {str(bind(item.group, plan.ids)) for item in part if item.healthy} for part in (shift.awaits, shift.hopes)
    )
    return awaited, hoped


class _Zones:
    """The targets of each zone that answer, or may soon: the rule is asked of a target that leaves only where it is the last one."""

    def __init__(self, plan: Plan, zonal: Collection[str]) -> None:
        before, self.zonal = World(plan.live), zonal
        self.places: dict[str, tuple[str, str | None]] = {}
        self.there: dict[tuple[str, str | None], set[str]] = defaultdict(set)
        for world in (before, before.after(plan.steps)) if zonal else ():
            for group in zonal:
                for item, state in world.targets.get(group, ()):
                    self.places[item.id] = place = (group, target_zone(world, item, state))
                    if world is before and item.status == "healthy":
                        self.there[place].add(item.id)

    def may_empty(self, step: Step) -> bool:
        """Whether a target leaves that may be the last one in its zone."""
        group, zone = self.places.get(str(step.id), ("", None))
        return _asks_zones(step, self.zonal) and (zone is None or self.there[group, zone] <= {str(step.id)})

    def done(self, step: Step) -> None:
        """A step has registered a target, or deregistered it."""
        name = str(step.id if step.action == "delete" else step.address)
        if name in self.places:
            there = self.there[self.places[name]]
            (there.discard if step.action == "delete" else there.add)(name)


class _Order:
    """The steps in an order that keeps their needs: of those that may come next, the one of the lowest rank.

    A step whose gate can't hold yet is put off until another one is done. If nothing else can be done, `apply` ends there: what answers stays.
    """

    def __init__(self, plan: Plan, rank: Callable[[Step], int]) -> None:
        self.steps, self.rank = {step.key: step for step in plan.steps}, rank
        self.places = {key: number for number, key in enumerate(self.steps)}
        self.left = {key: sum(need in self.steps for need in step.needs) for key, step in self.steps.items()}
        self.users: dict[str, list[str]] = {key: [] for key in self.steps}
        for key, step in self.steps.items():
            for need in step.needs:
                if need in self.users:
                    self.users[need].append(key)
        self.later: list[str] = []
        self.forced = set[str]()
        self.ready: list[tuple[int, int, str]] = []
        for key, count in self.left.items():
            if not count:
                self._add(key)

    def _add(self, key: str) -> None:
        heappush(self.ready, (self.rank(self.steps[key]), self.places[key], key))

    def next(self) -> Step | None:
        """The next step; None if there is none, or each waits for a gate."""
        return self.steps[heappop(self.ready)[2]] if self.ready else None

    def next_put_off(self, which: Callable[[Step], bool]) -> Step | None:
        """One of those that wait for a gate which never holds."""
        key = next((key for key in self.later if which(self.steps[key])), None)
        if key is None:
            return None
        self.later.remove(key)
        self.forced.add(key)
        return self.steps[key]

    def put_off(self, step: Step) -> None:
        """Its gate doesn't hold yet."""
        self.later.append(step.key)

    def done(self, step: Step) -> None:
        """What needs it may come next, and what was put off may be tried again."""
        for user in self.users[step.key]:
            self.left[user] -= 1
            if not self.left[user]:
                self._add(user)
        for key in self.later:
            self._add(key)
        self.later = []
