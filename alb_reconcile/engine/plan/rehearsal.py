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

NOBODYS: Final = "for a moment no listener, rule or record has it"
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
    return 0 if step.action == "delete" or step.phase == "late" else 2 if step.action == "update" else 1


def _moving_first(step: Step) -> int:
    return 0 if step.action == "update" and not step.phase else 1 if step.action == "delete" else 2


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
    for step in _in_order(plan, rank):
        if groups := _awaited(plan, step):
            world, waiting = _passed(world.after(waiting), groups), []
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
        return NOBODYS
    known = {shut.reason for shut in before.barred}
    shuts = [shut for shut in now.barred if shut.reason not in known]
    was = {reach.group: reach for reach in before.reaches}
    filled = {reach.group for reach in then.reaches if reach.healthy + reach.coming}
    for reach in now.reaches:
        if not reach.healthy and reach.group in filled and (reach.group not in was or was[reach.group].healthy):
            shuts += reach.lost
            if reach.group not in was and not reach.lost:
                return "the target group that gets its requests has no healthy target"
    return "; ".join(shut.text for shut in join(shuts))


def _awaited(plan: Plan, step: Step) -> set[str]:
    """The target groups that must have healthy targets before a step, by id."""
    shift = step.detail(TakeOver).shift if isinstance(step.details, TakeOver) else step.detail(Shift)
    return {str(bind(wanted.group, plan.ids)) for wanted in (*shift.awaits, *shift.hopes)}


def _in_order(plan: Plan, rank: Callable[[Step], int]) -> Iterator[Step]:
    """The steps in an order that keeps their needs; of those that may come next, the one of the lowest rank."""
    steps = {step.key: step for step in plan.steps}
    left = {key: sum(need in steps for need in step.needs) for key, step in steps.items()}
    users: dict[str, list[str]] = {key: [] for key in steps}
    for key, step in steps.items():
        for need in step.needs:
            if need in users:
                users[need].append(key)
    places = {key: number for number, key in enumerate(steps)}
    ready: list[tuple[int, int, str]] = [
        (rank(steps[key]), places[key], key) for key, count in left.items() if not count
    ]
    ready.sort()
    while ready:
        _, _, key = heappop(ready)
        yield steps[key]
        for user in users[key]:
            left[user] -= 1
            if not left[user]:
                heappush(ready, (rank(steps[user]), places[user], user))
