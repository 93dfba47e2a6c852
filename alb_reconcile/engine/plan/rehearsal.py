"""Rehearses a plan on values: whether every door that answers stays open on the way, in whichever order its steps come."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from heapq import heappop, heappush
from typing import Final

from alb_reconcile.engine.doors import describe_door
from alb_reconcile.engine.plan.closures import Closure
from alb_reconcile.engine.safety import Asked, Safety, is_held, shift_of
from alb_reconcile.engine.world import COMING, World
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


def find_gaps(plan: Plan) -> list[Closure]:
    """The doors that answer before the plan and after it, and wouldn't in between: each once, with the steps that bring it about."""
    return list(gaps_by_door(plan).values())


def gaps_by_door(plan: Plan) -> dict[Asked, Closure]:
    """The same by door."""
    if not any(map(_may_shut, plan.steps)):
        return {}
    safety = Safety.of(plan)
    found: dict[Asked, Closure] = {}
    for rank in ORDERS if safety.kept else ():
        for asked, closure in _rehearse(plan, safety, rank):
            found.setdefault(asked, closure)
    return found


def _rehearse(plan: Plan, safety: Safety, rank: Callable[[Step], int]) -> Iterator[tuple[Asked, Closure]]:
    world, waiting = World(plan.live), list[Step]()
    order = _Order(plan, rank)
    joining = {step.key for step in plan.steps if step.address.kind == "registration" and step.action != "delete"}
    while (step := order.next()) is not None:
        awaited, hoped = _awaited(plan, step)
        if awaited or hoped:
            world, waiting = world.after(waiting), []
            if not all(world.targets.get(group) for group in awaited):
                order.put_off(step)
                continue
            world = _passed(world, awaited | hoped)
        if is_held(step):  # new targets have passed their checks where the run's gate has waited for them, never before
            world, waiting = world.after(waiting), []
            made = {item.id for items in world.targets.values() for item, _ in items if item.status == COMING}
            world = _passed(world, made)
            if joining and any(safety.unanswered(world.after([step]))):
                order.put_off(step)
                continue
        joining.discard(step.key)
        order.done(step)
        waiting.append(step)
        if step.detail(Register).is_checked:
            world, waiting = _passed(world.after(waiting), {str(step.address)}), []
        if _may_shut(step):
            world, waiting = world.after(waiting), []
            for asked, text in safety.unanswered(world):
                place, (door, _) = step.desired.at() if step.desired else str(step.address), safety.kept[asked]
                words = f"{place}: {describe_door(door)} answers before and after this plan, and not on the way: {text}"
                yield asked, Closure(words, frozenset([step.key]))


def _may_shut(step: Step) -> bool:
    """Whether a step may shut a way. Of targets that leave, most ask AWS themselves how many stay (`kinds._health`)."""
    is_unguarded = step.action == "delete" and step.address.kind == "registration" and not step.detail(Deregister).least
    return is_unguarded or (step.address.kind in _WAYS and step.action != "create")


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
