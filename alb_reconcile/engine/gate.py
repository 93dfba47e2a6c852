"""Holds a step that moves requests or takes something away while some requests wouldn't be answered after it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from alb_reconcile.aws.polling import Watch
from alb_reconcile.engine.doors import Door, describe_door, find_doors
from alb_reconcile.engine.plan.rehearsal import gaps_by_door
from alb_reconcile.engine.safety import Asked, Safety, by_asked, shift_of
from alb_reconcile.engine.world import World
from alb_reconcile.kinds._health import read_health
from alb_reconcile.kinds._targets import target_name
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.record import Record
from alb_reconcile.kinds.registration import Registration
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.errors import RefusedError
from alb_reconcile.model.plan import Act, Plan, Step
from alb_reconcile.model.resource import Observed, bind

_PATIENCE: Final = 180.0
"""Seconds for which targets may be unhealthy that a step needs: a read may be old, and one that was healthy may come back."""


class Gate:
    """The world that a run has made so far of what its plan has read, with the health that AWS shows.

    Targets that leave ask AWS themselves, which is stricter: how many others are healthy (`kinds._health.keep_capacity`).
    """

    def __init__(self, plan: Plan) -> None:
        self.safety = Safety.of(plan).without(gaps_by_door(plan))
        self._world = World(plan.live)
        self._done: list[Step] = []

    def done(self, step: Step) -> None:
        """A step has ended well."""
        self._done.append(step)

    async def hold(self, run: Run, step: Step) -> None:
        """Wait until a step is safe. Raises RefusedError, with what wouldn't be answered, if it isn't any more; WaitError after a while."""
        if step.act is Act.PREPARE or not self.safety.kept or _asks_itself(step):
            return
        self._world, self._done = self._world.after(self._done), []
        now, then = self._world, self._world.after([step])
        doors, after = by_asked(find_doors(now)), by_asked(find_doors(then))
        changed = {asked for asked in self.safety.kept if _way(doors, asked) != _way(after, asked)}
        groups = {group for asked in changed for part in (doors, after) for group in _behind(part, asked)}
        if not changed:
            return

        async def look(_: set[str]) -> Mapping[str, Any]:
            shown = await self._read(run, groups, now)
            return {step.key: (_as_shown(run, now, shown), _as_shown(run, then, shown))}

        def check(worlds: tuple[World, World] | None) -> str:
            before, lost = (dict(self.safety.unanswered(world, changed)) for world in worlds or ())
            for asked in lost.keys() - before.keys():
                told = f"{describe_door(self.safety.kept[asked][0])} wouldn't be answered: {lost[asked]}"
                if not groups:
                    raise RefusedError(f"{told}; run again")
                return f"requests to be answered after this step (now {told})"
            return ""

        await Watch(run.aws, look).until(step.key, check, _PATIENCE, run.say)

    async def _read(self, run: Run, groups: Iterable[str], world: World) -> dict[str, dict[str, Any]]:
        """The health of these groups' targets (`read_health`), by the groups' names in a world."""
        names = sorted(group for group in groups if world.get(group) is not None)
        found = await asyncio.gather(*(read_health(run, _known(run, name)) for name in names))
        return dict(zip(names, found, strict=True))


def _as_shown(run: Run, world: World, health: Mapping[str, Mapping[str, Any]]) -> World:
    """The world with that health."""

    def shown(item: Observed) -> Observed:
        state = item.state
        targets = health.get(str(state.target_group), {}) if isinstance(state, Registration) else {}
        name = target_name(_known(run, state.target), state.port) if isinstance(state, Registration) else ""
        is_read = isinstance(state, Registration) and str(state.target_group) in health
        return replace(item, status=targets[name]["State"] if name in targets else "unused") if is_read else item

    found = World(map(shown, world.items.values()))
    found.gone, found.left = world.gone, world.left
    return found


def _known(run: Run, ref: Ref) -> str:
    """The id of something that this run may have made, by its name in a world."""
    made = {str(address): known for address, known in run.ids.items()}
    return str(bind(ref, run.ids)) if isinstance(ref, Address) else made.get(ref, ref)


def _asks_itself(step: Step) -> bool:
    """Whether a step waits for the health of targets by itself, or ends one."""
    state = step.state or (step.observed.state if step.observed else None)
    shift = shift_of(step)
    return bool(shift.awaits or shift.hopes) or (state is not None and state.is_target)


def _way(doors: Mapping[Asked, Door], asked: Asked) -> object:
    door = doors.get(asked)
    return door and (door.balancer, door.barred, door.reaches)


def _behind(doors: Mapping[Asked, Door], asked: Asked) -> Iterator[str]:
    """The groups that get a door's requests; of a name, those of its load balancer."""
    door = doors.get(asked)
    if door is not None:
        is_name = isinstance(door.item.state, Record)
        for other in doors.values() if is_name else (door,):
            if other.balancer == door.balancer:
                yield from (reach.group for reach in other.reaches)
