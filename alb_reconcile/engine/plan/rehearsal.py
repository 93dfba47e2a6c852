"""Rehearses a plan on values, in several orders of its steps, to find out whether every door that answers stays open on the way."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Final

from alb_reconcile.engine.answers import describe_sort
from alb_reconcile.engine.doors import Asked, Door, describe_door
from alb_reconcile.engine.safety import Safety, is_held, shift_of
from alb_reconcile.engine.world import COMING, World
from alb_reconcile.engine.zones import is_zonal, target_zone
from alb_reconcile.model.errors import PlanError
from alb_reconcile.model.plan import Act, Plan, Step
from alb_reconcile.model.resource import Observed, bind
from alb_reconcile.model.service import (
    Balancer,
    DnsName,
    Gateway,
    Member,
    Permissions,
    Pool,
    Router,
    Routes,
    RoutingRule,
    group_of,
)
from alb_reconcile.model.steps import Register

_WAYS: Final = (Router, DnsName, Balancer, Permissions, Routes, Gateway)
"""The parts in the service that can open or shut a way for requests."""
_OPENING: Final = (*_WAYS, Member, Pool)
"""The parts in the service that can open a way again."""


def _is_way(step: Step) -> bool:
    return step.sets_order or step.plays(*_WAYS)


def _taking_first(step: Step) -> int:
    return 0 if step.takes_away else 2 if step.action == "update" else 1


def _moving_first(step: Step) -> int:
    return (
        0 if step.action == "update" and not (step.attaches or step.takes_away) else 1 if step.action == "delete" else 2
    )


def _making_first(step: Step) -> int:
    return 0 if step.action in ("create", "replace") else 1 if step.action == "update" else 2


def _last_first(step: Step) -> int:
    """The same rank as `_moving_first`; with this function `_Order` takes steps of equal rank from the end of the plan."""
    return _moving_first(step)


_Place = tuple[str, str | None]
"""A group, and a zone or `_WHOLE`; the zone is None where it isn't known."""
_WHOLE: Final = ""
_Rank = Callable[[Step], int]
ORDERS: Final = (_taking_first, _moving_first, _making_first)
"""The ranks of the orders that are rehearsed: as early as the plan's edges allow, come steps that take something away, steps that move
requests, or steps that make something."""


@dataclass
class Gap:
    """A door that answers before and after a plan, but not all the time in between: why, in words, and the steps that shut and open it."""

    door: Door
    text: str
    begin: Step
    end: Step | None = None
    """None if no single step opens the door again."""


def find_gaps(plan: Plan) -> list[Gap]:
    """The gaps of the doors that answer before and after the plan: each text once, with the steps that cause it."""
    return list({gap.text: gap for gap in gaps_by_door(plan).values()}.values())


def gaps_by_door(plan: Plan) -> dict[Asked, Gap]:
    """The gaps of a plan, by door."""
    known = _last.get("plan")
    if known and known[0] is plan.steps and known[1] is plan.live:
        return known[2]
    found: dict[Asked, Gap] = {}
    for rehearsal in _rehearse(plan, is_held, ORDERS):
        for asked, gap in rehearsal.gaps.items():
            found.setdefault(asked, gap)
    _last["plan"] = (plan.steps, plan.live, found)
    return found


_last: dict[str, tuple[tuple[Step, ...], tuple[Observed, ...], dict[Asked, Gap]]] = {}
"""A cache of the last plan's steps, resources and gaps, since a command asks several times about one plan. Threads may share it."""


def find_waits(plan: Plan) -> set[tuple[str, str]]:
    """The steps that are safe only after another step, as the keys of both. Raises PlanError if a step waits for targets that come after
    it."""
    found: set[tuple[str, str]] = set()
    for rehearsal in _rehearse(plan, may_shut, (*ORDERS, _last_first), repairs=True):
        rehearsal.check_end()
        found |= rehearsal.waits
    return found


def _rehearse(
    plan: Plan, may_wait: Callable[[Step], bool], orders: Iterable[_Rank], *, repairs: bool = False
) -> Iterator[_Rehearsal]:
    """The plan's rehearsals, one in each order. One that `repairs` adds no order for the number of targets that stay: a pass that orders
    these wrongly is refused, and not mended."""
    if not any(map(may_shut, plan.steps)):
        return
    safety = Safety.of(plan)
    for rank in orders if safety.kept else ():
        rehearsal = _Rehearsal(plan, safety, _Order(plan, rank), _Counts(plan, safety, repairs=repairs), may_wait)
        rehearsal.run()
        yield rehearsal


class _Rehearsal:
    """A rehearsal of a plan in one order. New targets have passed their checks only after a step has waited for them. A step that may wait
    is put off until it is safe, if it becomes safe."""

    def __init__(
        self, plan: Plan, safety: Safety, order: _Order, counts: _Counts, may_wait: Callable[[Step], bool]
    ) -> None:
        self.plan, self.safety, self.order, self.counts, self.may_wait = plan, safety, order, counts, may_wait
        self.world, self._waiting = World(plan.live), list[Step]()
        self._checked = set[str]()
        """New targets that have passed the checks for which their own steps wait."""
        self._ahead: tuple[Step, World, dict[Asked, str]] | None = None
        self.gaps: dict[Asked, Gap] = {}
        self.waits: set[tuple[str, str]] = set()

    def run(self) -> None:
        """Carry out all steps that can be carried out."""
        while (step := self.order.next()) is not None:
            awaited, hoped = _awaited(self.plan, step)
            too_few = self.counts.are_too_few(step)
            if self.safety.to_keep(step) and not too_few:
                self._do(step, is_risky=False)
                continue
            if awaited or is_held(step) or self.may_wait(step) or too_few:
                self._catch_up()
            if self._lacking(awaited):
                self.order.put_off(step)
                continue
            if is_held(step) or too_few:
                coming = {
                    item.id
                    for items in self.world.targets.values()
                    for item, _ in items
                    if item.status in (COMING, "initial")  # the run waits for these as well
                }
                self.world = _passed(self.world, awaited.keys() | hoped | coming)
            is_asked = too_few or (self.may_wait(step) and may_shut(step))
            if is_asked and self._look_ahead(step) and not self.order.is_last:
                self.order.put_off(step, is_unsafe=True)
            else:
                self._do(step, is_risky=may_shut(step))

    def _lacking(self, awaited: Mapping[str, int]) -> list[str]:
        """The groups with fewer targets than must be healthy."""
        return [group for group, enough in awaited.items() if len(self.world.targets.get(group, ())) < enough]

    def check_end(self) -> None:
        """Raise PlanError if a step waits for targets that come only after it."""
        steps = self.order.steps
        for step in (steps[key] for key in self.order.later):
            for group in self._lacking(_awaited(self.plan, step)[0]):
                coming = [
                    other for other in steps.values() if self.order.left[other.key] and group_of(other.state) == group
                ]
                if coming:
                    name = self.plan.names.get(group, group)
                    raise PlanError(
                        f"{step.address} waits until {name} has enough healthy targets, and {coming[0].address} comes only after it; make the "
                        "changes in two steps: first turn the requests, then change the instances, or the other way round"
                    )

    def _do(self, step: Step, *, is_risky: bool) -> None:
        held = [other for other in self.order.unsafe if other is not step and self._shut_by(other)] if is_risky else []
        self.order.done(step)
        self.counts.done(step)
        self._waiting.append(step)
        if step.detail(Register).is_checked:
            self._checked.add(str(step.address))
        is_shut = any(gap.end is None for gap in self.gaps.values())
        if is_risky or (is_shut and (step.sets_order or step.plays(*_OPENING))):
            ahead, self._ahead = self._ahead, None
            if ahead and ahead[0] is step:
                self.world, self._waiting = ahead[1], []
            else:
                self._catch_up()
            told = ahead[2] if ahead and ahead[0] is step else self._told(self.world)
            self.waits |= {(other.key, step.key) for other in held if not self._shut_by(other)}
            self._note(step, told)

    def _look_ahead(self, step: Step) -> bool:
        """Whether a step would shut a door now. The result is kept until the step is done."""
        world = self.world.after([step])
        self._ahead = (step, world, self._told(world))
        return bool(self._ahead[2])

    def _note(self, step: Step, told: Mapping[Asked, str]) -> None:
        """Note the doors that a step has shut, and those that it has opened again."""
        for asked in self.gaps.keys() - told.keys():
            self.gaps[asked].end = self.gaps[asked].end or step
        for asked in told.keys() - self.gaps.keys():
            place, (door, _) = step.desired.at() if step.desired else str(step.address), self.safety.kept[asked]
            which = (
                f", for {sort},"
                if not isinstance(door.item.state, RoutingRule) and (sort := describe_sort(asked))
                else ""
            )
            words = f"{place}: {describe_door(door)}{which} answers before and after this plan, and not on the way"
            self.gaps[asked] = Gap(door, f"{words}: {told[asked]}", step)

    def _catch_up(self) -> None:
        self.world, self._waiting = _passed(self.world.after(self._waiting), self._checked), []

    def _shut_by(self, step: Step) -> bool:
        return bool(self._told(self.world.after([step])))

    def _told(self, world: World) -> dict[Asked, str]:
        return {asked: lack.text for asked, lack in self.safety.lacks(world).items()}


def may_shut(step: Step) -> bool:
    """Whether a step may shut a way for requests."""
    if step.plays(Member):
        return step.action == "delete"
    if step.action == "create":
        return _is_way(step) and step.act is not Act.PREPARE
    return _is_way(step) or is_zonal(step.state)


def _passed(world: World, which: Collection[str]) -> World:
    """The world in which these targets, or all targets of these groups, have passed their checks, if their groups are checked."""

    def has_passed(item: Observed, state: Member) -> bool:
        return str(state.target_group) in world.checked and not {item.id, str(state.target_group)}.isdisjoint(which)

    return world.turned("healthy", has_passed) if which else world


def _awaited(plan: Plan, step: Step) -> tuple[dict[str, int], set[str]]:
    """How many healthy targets groups must have before a step, by id; and the groups for which the step waits only while their targets may
    become healthy."""
    shift = shift_of(step)
    awaited = {str(bind(item.group, plan.ids)): max(item.enough, 1) for item in shift.awaits if item.healthy}
    return awaited, {str(bind(item.group, plan.ids)) for item in shift.hopes if item.healthy}


class _Counts:
    """Counts the targets of each group, and of each zone of a group where every zone needs one, that answer or may soon. So no world is
    copied for each target that leaves: only where too few may stay is the rule itself asked."""

    def __init__(self, plan: Plan, safety: Safety, *, repairs: bool) -> None:
        before, self.safety, self.repairs = World(plan.live), safety, repairs
        self.able: dict[_Place, set[str]] = defaultdict(set)
        self.places: dict[str, tuple[_Place, ...]] = {}
        """The places of each target: its group as a whole, and its zone there."""
        zonal = {item.id for item in plan.live if is_zonal(item.state)}
        zonal |= {str(step.id) for step in plan.steps if step.action == "update" and is_zonal(step.state)}
        for world in (before, before.after(plan.steps)):
            for group in (name for name, least in safety.leaving.items() if least):
                for item, state in world.targets.get(group, ()):
                    zones = [(group, target_zone(world, item, state))] if group in zonal else []
                    self.places[item.id] = ((group, _WHOLE), *zones)
                    self._note(item.id, is_able=world is before and item.status in ("healthy", "initial"))

    def are_too_few(self, step: Step) -> bool:
        """Whether fewer targets than must stay may be left when a healthy target leaves. A target of an unknown zone may be any zone's
        last."""
        own, least = str(step.id), self.safety.to_keep(step)
        if not least or not step.observed or step.observed.status != "healthy":
            return False
        numbers = {_WHOLE: 0 if self.repairs else least}
        return any(
            zone is None or len(self.able[group, zone] - {own}) < numbers.get(zone, 1)
            for group, zone in self.places[own]
        )

    def done(self, step: Step) -> None:
        """Note that a step has registered or deregistered a target."""
        if step.plays(Member):
            self._note(str(step.id if step.action == "delete" else step.address), is_able=step.action != "delete")

    def _note(self, name: str, *, is_able: bool) -> None:
        for place in self.places.get(name, ()):
            (self.able[place].add if is_able else self.able[place].discard)(name)


class _Order:
    """Gives the steps in an order that follows their needs: of the steps that may come next, always the one with the lowest rank.

    A step that can't be done yet is put off until another one is done. If no other step can be done, an unsafe one is done all the same; a
    run would end there, as it would at a step that waits for targets, and the doors that answer would stay.
    """

    def __init__(self, plan: Plan, rank: _Rank) -> None:
        self.steps, self.rank = {step.key: step for step in plan.steps}, rank
        self.places = {key: -number if rank is _last_first else number for number, key in enumerate(self.steps)}
        self.left = {key: sum(need in self.steps for need in step.needs) for key, step in self.steps.items()}
        self.users: dict[str, list[str]] = {key: [] for key in self.steps}
        for key, step in self.steps.items():
            for need in step.needs:
                if need in self.users:
                    self.users[need].append(key)
        self.later: list[str] = []
        self.unsafe: list[Step] = []
        """The steps that were put off because they wouldn't be safe yet."""
        self.is_last = False
        """Whether no other step can be done."""
        self.ready: list[tuple[int, int, str]] = []
        for key, count in self.left.items():
            if not count:
                self._add(key)

    def _add(self, key: str) -> None:
        heappush(self.ready, (self.rank(self.steps[key]), self.places[key], key))

    def next(self) -> Step | None:
        """The next step; None if there is none, or all wait for targets."""
        if not self.ready and self.unsafe:
            self.is_last = True
            return self.unsafe.pop(0)
        return self.steps[heappop(self.ready)[2]] if self.ready else None

    def put_off(self, step: Step, *, is_unsafe: bool = False) -> None:
        """Put off a step that can't be done yet."""
        if is_unsafe:
            self.unsafe.append(step)
        else:
            self.later.append(step.key)

    def done(self, step: Step) -> None:
        """Note that a step is done: steps that need it may come next, and steps that were put off are tried again."""
        for user in self.users[step.key]:
            self.left[user] -= 1
            if not self.left[user]:
                self._add(user)
        for key in (*self.later, *(other.key for other in self.unsafe)):
            self._add(key)
        self.later, self.unsafe, self.is_last = [], [], False
