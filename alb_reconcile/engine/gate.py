"""Holds a step that moves requests or takes something away while some requests wouldn't be answered after it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from alb_reconcile.aws.polling import WaitError, Watch
from alb_reconcile.engine.doors import Door, describe_door, find_doors
from alb_reconcile.engine.plan.rehearsal import gaps_by_door
from alb_reconcile.engine.safety import Asked, Safety, by_asked, is_held
from alb_reconcile.engine.world import World
from alb_reconcile.kinds import waits
from alb_reconcile.kinds._health import Hope, is_to_grow, may_serve, read_health
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.instance import Instance
from alb_reconcile.kinds.record import Record
from alb_reconcile.kinds.registration import Registration
from alb_reconcile.model.errors import RefusedError
from alb_reconcile.model.plan import Act, Plan, Step
from alb_reconcile.model.resource import Observed
from alb_reconcile.model.steps import HEALTH_TIMEOUT

_NEW_BALANCER: Final = waits.BALANCER_ACTIVE
"""Seconds for which targets that a step needs may not have been checked yet: their load balancer may be new."""


@dataclass(frozen=True)
class _Look:
    """What wouldn't be answered after a step, in words; the groups that get the requests; whether it would, if all targets got healthy that
    may; and whether all that aren't healthy yet have failed their checks."""

    lost: str
    groups: Collection[str]
    may_be_answered: bool
    are_ill: bool


class Gate:
    """The world that a run has made so far of what its plan has read, with the health that AWS shows.

    Targets that leave ask AWS themselves, which is stricter: how many others are healthy (`kinds._health.keep_capacity`).
    """

    def __init__(self, plan: Plan) -> None:
        self.safety = Safety.of(plan).without(gaps_by_door(plan))
        self._world = World(plan.live)
        self._done: list[Step] = []
        instances = (item.lifecycle for item in plan.desired.values() if isinstance(item.state, Instance))
        self._timeout = max((item.rollout.health_timeout for item in instances), default=HEALTH_TIMEOUT)
        """Seconds for which targets that a step needs may fail their checks."""

    def done(self, step: Step) -> None:
        """A step has ended well."""
        self._done.append(step)

    async def hold(self, run: Run, step: Step) -> None:
        """Wait until a step is safe. Raises RefusedError, with what wouldn't be answered, as soon as it is certain that it won't be any
        more; WaitError after a while."""
        if not is_held(step) or not self.safety.kept or not self._changed(step)[2]:
            return
        began, hope = run.aws.now(), Hope(run)

        async def fetch(_: set[str]) -> Mapping[str, _Look]:
            return {step.key: await self._look(run, step)}

        def check(shown: _Look) -> str:
            if not shown.lost:
                return ""
            if not shown.groups:
                raise RefusedError(f"{shown.lost}; run again")
            coming = any(other.act is Act.MOVE for other in run.others.coming())
            if hope.is_lost(shown.groups, enough=shown.may_be_answered or coming):
                raise RefusedError(f"{shown.lost}, and no step of this run changes that; run again")
            told, waited = f"requests to be answered after this step (now {shown.lost})", run.aws.now() - began
            if shown.are_ill and waited >= self._timeout and not is_to_grow(run, shown.groups):
                raise WaitError(f"waited {waited:.0f} s for: {told}")
            return told

        await Watch(run.aws, fetch).until(step.key, check, max(self._timeout, _NEW_BALANCER), run.say)

    async def _look(self, run: Run, step: Step) -> _Look:
        now, then, changed = self._changed(step)  # other steps of the run go on meanwhile
        made = {str(address): known for address, known in run.ids.items()}
        groups = {
            name: made.get(name, name) for world in (now, then) for asked in changed for name in _behind(world, asked)
        }
        found = await asyncio.gather(*(read_health(run, group) for group in groups.values()))
        health = dict(zip(groups, found, strict=True))
        before, after = (dict(self.safety.unanswered(_as_shown(world, health, made), changed)) for world in (now, then))
        lost = {asked: text for asked, text in after.items() if asked not in before}
        if not lost:
            return _Look("", groups.values(), may_be_answered=True, are_ill=False)
        able = {name: may_serve(run, group, health[name]) for name, group in groups.items()}
        hoped = {name: {target: {"State": "healthy"} for target in targets} for name, targets in able.items()}
        never = dict(self.safety.unanswered(_as_shown(then, hoped, made), lost))
        asked, text = next(iter((never or lost).items()))
        states = {item["State"] for targets in able.values() for item in targets.values()} - {"healthy"}
        told = f"{describe_door(self.safety.kept[asked][0])} wouldn't be answered: {text}"
        return _Look(told, groups.values(), may_be_answered=not never, are_ill=states == {"unhealthy"})

    def _changed(self, step: Step) -> tuple[World, World, set[Asked]]:
        """The world before and after a step, and the doors that it changes."""
        self._world, self._done = self._world.after(self._done), []
        then = self._world.after([step])
        before, after = (by_asked(find_doors(world)) for world in (self._world, then))
        return self._world, then, {asked for asked in self.safety.kept if _way(before, asked) != _way(after, asked)}


def _as_shown(world: World, health: Mapping[str, Mapping[str, Any]], made: Mapping[str, str]) -> World:
    """The world with that health, by group. `made` has the ids of what the run has made, by its name in a world."""

    def shown(item: Observed) -> Observed:
        if not isinstance(item.state, Registration) or str(item.state.target_group) not in health:
            return item
        # by its address, if it is registered by address: `kinds._health.target_key`
        target = health[str(item.state.target_group)].get(made.get(item.id, item.id).partition("|")[2], {})
        return replace(item, status=target.get("State", "unused"))

    found = World(map(shown, world.items.values()))
    found.gone, found.left = world.gone, world.left
    return found


def _way(doors: Mapping[Asked, Door], asked: Asked) -> object:
    door = doors.get(asked)
    return door and (door.balancer, door.barred, door.reaches)


def _behind(world: World, asked: Asked) -> Iterator[str]:
    """The groups, as far as they are known, that get a door's requests; of a name, those of its load balancer."""
    doors = by_asked(find_doors(world))
    door = doors.get(asked)
    if door is not None:
        is_name = isinstance(door.item.state, Record)
        for other in doors.values() if is_name else (door,):
            if other.balancer == door.balancer:
                yield from (reach.group for reach in other.reaches if reach.is_known)
