"""Holds a step that moves requests or takes something away until all requests that were answered would be answered after it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Container, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, Final

from alb_reconcile.aws.polling import WaitError, Watch
from alb_reconcile.engine.doors import Asked, Door, describe_door, find_doors
from alb_reconcile.engine.plan.rehearsal import gaps_by_door
from alb_reconcile.engine.safety import Lack, Safety, is_held, keeps_zone, shift_of
from alb_reconcile.engine.world import World
from alb_reconcile.engine.zones import is_zonal, target_zone
from alb_reconcile.kinds import waits
from alb_reconcile.kinds._health import Hope, is_to_grow, may_serve, read_health
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.known_targets import Staying
from alb_reconcile.model.errors import RefusedError
from alb_reconcile.model.plan import Act, Plan, Step
from alb_reconcile.model.resource import Observed, bind
from alb_reconcile.model.service import DnsName, Member
from alb_reconcile.model.steps import HEALTH_TIMEOUT

_Health = Mapping[str, Mapping[str, Any]]
_HEALTHY: Final[Mapping[str, str]] = {"State": "healthy"}


class Gate:
    """Holds the steps of a run. It knows the world that the run has made so far, and reads the targets' health from AWS.

    The gate doesn't hold steps of targets: if a target's group gets requests, its deregistration itself asks AWS how many other targets
    are healthy (`kinds._health.keep_capacity`). The gate says how many those must be, and in which zone one of them.
    """

    def __init__(self, plan: Plan) -> None:
        self.safety = Safety.of(plan).without(gaps_by_door(plan))
        self._plan, self._world = plan, World(plan.live)
        self._done: list[Step] = []
        instances = (item.lifecycle for item in plan.desired.values() if item.lifecycle.group)
        self._timeout = max((item.rollout.health_timeout for item in instances), default=HEALTH_TIMEOUT)
        """The most seconds that a step waits while targets that it needs fail their checks; their load balancer may also be new."""

    def done(self, step: Step) -> None:
        """Note that a step is done."""
        self._done.append(step)

    async def hold(self, run: Run, step: Step) -> None:
        """Wait until a step is safe. Raises RefusedError, with the requests that wouldn't be answered, as soon as the step can't become
        safe; WaitError after a time-out."""
        if self.safety.to_keep(step):
            run.targets.staying[str(step.id)] = self._staying(step)
        if not self.safety.kept:
            return
        if not is_held(step) or not self._changed(step)[2]:
            return
        began, hope, awaited = run.aws.now(), Hope(run), self._awaited(step)

        async def look(_: set[str]) -> Mapping[str, Any]:
            now, then, changed = self._changed(step)  # other steps of the run continue meanwhile
            now, then = _passed(now, awaited), _passed(then, awaited)
            made = {str(address): known for address, known in run.ids.items()}
            names = {
                name: made.get(name, name)
                for world in (now, then)
                for asked, door in self.safety.find(world).items()
                if asked in changed
                for name in _behind(world, door)
                if name not in awaited
            }
            found = await asyncio.gather(*(read_health(run, group) for group in names.values()))
            health = dict(zip(names, found, strict=True))
            had = self._lacks(now, health, made, changed)
            lost = _growing(self._lacks(then, health, made, changed), had)
            able = {name: may_serve(run, group, health[name]) for name, group in names.items()}
            best = {name: dict.fromkeys(targets, _HEALTHY) for name, targets in able.items()}
            never = _growing(self._lacks(then, best, made, lost.keys()), had)
            states = {item["State"] for targets in able.values() for item in targets.values()}
            return {step.key: (never or lost, bool(never), names.values(), states - {"healthy"} == {"unhealthy"})}

        def check(shown: tuple[Mapping[Asked, str], bool, Collection[str], bool]) -> str:
            lost, is_hopeless, groups, are_ill = shown
            for asked, text in lost.items():
                told = f"{describe_door(self.safety.kept[asked][0])} wouldn't be answered: {text}"
                moving = any(other.act is Act.MOVE for other in run.others.coming())
                if not groups and not moving:
                    raise RefusedError(f"{told}; run again")
                if hope.is_lost(groups, enough=moving or not is_hopeless):
                    raise RefusedError(f"{told}, and no step of this run changes that; run again")
                told, waited = f"requests to be answered after this step (now {told})", run.aws.now() - began
                if are_ill and waited >= self._timeout and not is_to_grow(run, groups):
                    raise WaitError(f"waited {waited:.0f} s for: {told}")
                return told
            return ""

        await Watch(run.aws, look).until(step.key, check, max(self._timeout, waits.BALANCER_ACTIVE), run.say)

    def _lacks(
        self, world: World, health: _Health, made: Mapping[str, str], only: Collection[Asked]
    ) -> Mapping[Asked, Lack]:
        return self.safety.lacks(_as_shown(world, health, made), only)

    @cached_property
    def _end(self) -> World:
        """The world after the plan."""
        return World(self._plan.live).after(self._plan.steps)

    def _awaited(self, step: Step) -> set[str]:
        """The groups with targets for which a step itself waits. Groups that need a healthy target in each zone aren't among them, since
        the step waits only for a number of targets."""
        shift = shift_of(step)
        names = {str(bind(item.group, self._plan.ids)) for item in (*shift.awaits, *shift.hopes)}
        return {name for name in names if not (group := self._end.get(name)) or not is_zonal(group.state)}

    def _staying(self, step: Step) -> Staying:
        """The targets that must stay healthy when a target leaves: how many, and those of its zone if the safety rule needs one there."""
        going, world, least = step.observed, self._now(), self.safety.to_keep(step)
        group = world.get(going.parent_id) if going else None
        if not least or not going or not group or not isinstance(going.state, Member) or not is_zonal(group.state):
            return Staying(least)
        zone = target_zone(world, going, going.state)
        asking = [
            both
            for both in self.safety.kept.values()
            for door in both
            if any(reach.group == group.id for reach in door.reaches)
        ]
        if zone is None or not any(keeps_zone(door, group.id, zone, then) for door, then in asking):
            return Staying(least)
        there = ((part, *target) for part in (world, self._end) for target in part.targets.get(group.id, ()))
        near = {item.id for part, item, state in there if target_zone(part, item, state) in (zone, None)}
        return Staying(least, zone, frozenset(near - {going.id}))

    def _now(self) -> World:
        self._world, self._done = self._world.after(self._done), []
        return self._world

    def _changed(self, step: Step) -> tuple[World, World, set[Asked]]:
        """The worlds before and after a step, and the doors that the step changes."""
        now = self._now()
        then = now.after([step])
        before, after = (self.safety.find(world) for world in (now, then))
        return now, then, {asked for asked in self.safety.kept if _way(before, asked) != _way(after, asked)}


def _growing(lacks: Mapping[Asked, Lack], had: Mapping[Asked, Lack]) -> dict[Asked, str]:
    """The requests of which a larger share isn't answered than it was, and why. A lack that doesn't grow is no reason to hold a step."""
    return {asked: lack.text for asked, lack in lacks.items() if asked not in had or lack.share > had[asked].share}


def _as_shown(world: World, health: _Health, made: Mapping[str, str]) -> World:
    """The world with this health of targets, by group. `made` has the ids of resources that the run has made, by their names in a
    world."""

    def shown(item: Observed) -> Observed:
        if not isinstance(item.state, Member) or str(item.state.target_group) not in health:
            return item
        # a target that is registered by address has that as its key: `kinds._health.target_key`
        target = health[str(item.state.target_group)].get(made.get(item.id, item.id).partition("|")[2], {})
        return replace(item, status=target.get("State", "unused"))

    found = World(map(shown, world.items.values()))
    found.gone, found.left, found.guests = world.gone, world.left, world.guests
    return found


def _way(doors: Mapping[Asked, Door], asked: Asked) -> object:
    door = doors.get(asked)
    return door and (door.item.id, door.balancer, door.barred, door.reaches)


def _behind(world: World, door: Door) -> Iterator[str]:
    """The known groups that get a door's requests; for a DNS name, the groups of its load balancer."""
    doors = find_doors(world) if isinstance(door.item.state, DnsName) else (door,)
    for other in doors:
        if other.balancer == door.balancer:
            yield from (reach.group for reach in other.reaches if reach.is_known)


def _passed(world: World, groups: Container[str]) -> World:
    return world.turned("healthy", lambda _, state: str(state.target_group) in groups) if groups else world
