"""Rehearses a plan on values: whether every door that answers stays open on the way, in whichever order its steps come."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from heapq import heappop, heappush
from typing import Final

from alb_reconcile.engine.doors import Door, describe_door, find_doors, join
from alb_reconcile.engine.plan.closures import Closure, by_asked
from alb_reconcile.engine.world import COMING, World
from alb_reconcile.model.plan import Plan, Step
from alb_reconcile.model.resource import bind
from alb_reconcile.model.steps import Register, Shift, TakeOver

NOBODYS: Final = "for a moment no"
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
"""The kinds whose steps open and shut ways. How many targets leave at a time, each step asks AWS itself (`kinds._health`)."""


def _taking_first(step: Step) -> int:
    return 0 if step.takes_away else 2 if step.action == "update" else 1


def _moving_first(step: Step) -> int:
    return 0 if step.action == "update" and not (step.attaches or step.takes_away) else 1 if step.action == "delete" else 2


def _making_first(step: Step) -> int:
    return 0 if step.action in ("create", "replace") else 1 if step.action == "update" else 2


ORDERS: Final = (_taking_first, _moving_first, _making_first)
"""What comes as early as the plan's edges allow, in turn: what takes away, what moves requests, what makes something."""


def find_gaps(plan: Plan) -> list[Closure]:
    """The doors that answer before the plan and after it, and wouldn't in between: each once, with the steps that bring it about."""
    if not any(step.address.kind in _WAYS and step.action != "create" for step in plan.steps):
        return []
    before = World(plan.live)
    first = {asked: door for asked, door in by_asked(find_doors(before)).items() if door.answers}
    last = by_asked(find_doors(before.after(plan.steps).turned(COMING, lambda item, _: item.status != "healthy")))
    kept = {asked: (door, last[asked]) for asked, door in first.items() if asked in last and last[asked].answers}
    found: dict[tuple[object, ...], Closure] = {}
    for rank in ORDERS if kept else ():
        for asked, closure in _rehearse(plan, before, kept, rank):
            found.setdefault(asked, closure)
    return list(found.values())


def _rehearse(
    plan: Plan, world: World, kept: dict[tuple[object, ...], tuple[Door, Door]], rank: Callable[[Step], int]
) -> Iterator[tuple[tuple[object, ...], Closure]]:
    waiting: list[Step] = []
    order = _Order(plan, rank)
    while (step := order.next()) is not None:
        awaited, hoped = _awaited(plan, step)
        if awaited or hoped:
            world, waiting = world.after(waiting), []
            if not all(world.targets.get(group) for group in awaited):
                order.put_off(step)
                continue
            world = _passed(world, awaited | hoped)
        order.done(step)
        waiting.append(step)
        if step.detail(Register).is_checked:
            world, waiting = _passed(world.after(waiting), {str(step.address)}), []
        if step.address.kind in _WAYS and step.action != "create":
            world, waiting = world.after(waiting), []
            doors = by_asked(find_doors(world))
            for asked, (door, then) in kept.items():
                if text := _why_shut(door, doors.get(asked), then):
                    place = step.desired.at() if step.desired else str(step.address)
                    words = (
                        f"{place}: {describe_door(door)} answers before and after this plan, and not on the way: {text}"
                    )
                    yield asked, Closure(words, frozenset([step.key]))


def _passed(world: World, which: Collection[str]) -> World:
    """The world in which these targets have passed their checks, or all those of these groups."""
    return world.turned("healthy", lambda item, state: item.id in which or str(state.target_group) in which)


def _why_shut(before: Door, now: Door | None, then: Door) -> str:
    """Why a door doesn't answer that did, and will; empty if it does, or only lacks targets that it lacks before or after, too."""
    if now is None:
        return f"{NOBODYS} {before.item.address.kind} has it"
    known = {shut.reason for shut in before.barred}
    shuts = [shut for shut in now.barred if shut.reason not in known]
    was = {reach.group: reach for reach in before.reaches}
    filled = {reach.group for reach in then.reaches if reach.count}
    for reach in now.reaches if before.reaches else ():  # what answered by itself had no target to lose
        if not reach.healthy and reach.group in filled and (reach.group not in was or was[reach.group].healthy):
            shuts += reach.lost
            if reach.group not in was and not reach.lost:
                return "the target group that gets its requests has no healthy target"
    return "; ".join(shut.text for shut in join(shuts))


def _awaited(plan: Plan, step: Step) -> tuple[set[str], set[str]]:
    """The target groups that must have healthy targets before a step, by id, and those that are waited for as long as they may."""
    shift = step.detail(TakeOver).shift if isinstance(step.details, TakeOver) else step.detail(Shift)
    awaited, hoped = (
        {str(bind(item.group, plan.ids)) for item in part if item.healthy} for part in (shift.awaits, shift.hopes)
    )
    return awaited, hoped


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
        self.ready: list[tuple[int, int, str]] = []
        for key, count in self.left.items():
            if not count:
                self._add(key)

    def _add(self, key: str) -> None:
        heappush(self.ready, (self.rank(self.steps[key]), self.places[key], key))

    def next(self) -> Step | None:
        """The next step; None if there is none, or each waits for a gate."""
        return self.steps[heappop(self.ready)[2]] if self.ready else None

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
