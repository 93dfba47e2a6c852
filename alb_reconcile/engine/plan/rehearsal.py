"""Rehearses a plan on values: whether every door that answers stays open on the way, in whichever order its steps come."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from heapq import heappop, heappush
from typing import Final

from alb_reconcile.engine.doors import Asked, describe_door
from alb_reconcile.engine.plan.closures import Closure
from alb_reconcile.engine.safety import Safety, is_held, shift_of
from alb_reconcile.engine.world import COMING, World
from alb_reconcile.kinds.registration import Registration
from alb_reconcile.model.errors import PlanError
from alb_reconcile.model.plan import Act, Plan, Step
from alb_reconcile.model.resource import Observed, bind
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
    return list({closure.text: closure for closure in gaps_by_door(plan).values()}.values())


def gaps_by_door(plan: Plan) -> dict[Asked, Closure]:
    """The same by door."""
    safety = _safety_of(plan)
    found: dict[Asked, Closure] = {}
    for rank in ORDERS if safety.kept else ():
        rehearsal = _Rehearsal(plan, safety, rank, is_held)
        rehearsal.run()
        for asked, closure in rehearsal.gaps:
            found.setdefault(asked, closure)
    return found


def find_waits(plan: Plan) -> set[tuple[str, str]]:
    """The steps that are safe only after another one, as the keys of both. Raises PlanError for one that waits for what waits for it."""
    safety = _safety_of(plan)
    found: set[tuple[str, str]] = set()
    for rank in ORDERS if safety.kept else ():
        rehearsal = _Rehearsal(plan, safety, rank, _may_shut)
        rehearsal.run()
        rehearsal.check_end()
        found |= rehearsal.waits
    return found


def _safety_of(plan: Plan) -> Safety:
    return Safety.of(plan if any(map(_may_shut, plan.steps)) else replace(plan, live=()))


class _Rehearsal:
    """One way through a plan. New targets have passed their checks where the run's gate waits for them, never before. A step that may wait
    comes when it is safe, if there is such a moment."""

    def __init__(
        self, plan: Plan, safety: Safety, rank: Callable[[Step], int], may_wait: Callable[[Step], bool]
    ) -> None:
        self.may_wait = may_wait
        self.plan, self.safety, self.order = plan, safety, _Order(plan, rank)
        self.world, self._waiting = World(plan.live), list[Step]()
        self.gaps: list[tuple[Asked, Closure]] = []
        self.waits: set[tuple[str, str]] = set()

    def run(self) -> None:
        """Carry out all steps that can be."""
        while (step := self.order.next()) is not None:
            awaited, hoped = _awaited(self.plan, step)
            if awaited or self.may_wait(step):
                self._catch_up()
            if self._lacking(awaited):
                self.order.put_off(step)
                continue
            if is_held(step):
                coming = {
                    item.id for items in self.world.targets.values() for item, _ in items if item.status == COMING
                }
                self.world = _passed(self.world, awaited.keys() | hoped | coming)
            if self.may_wait(step) and _may_shut(step) and not self.order.is_last and any(self._shut_by(step)):
                self.order.put_off(step, is_unsafe=True)
                continue
            self._do(step)

    def _lacking(self, awaited: Mapping[str, int]) -> list[str]:
        """The groups that have fewer targets than must be healthy in them."""
        return [group for group, enough in awaited.items() if len(self.world.targets.get(group, ())) < enough]

    def check_end(self) -> None:
        """Raises PlanError if a step waits for targets that come only after it."""
        steps = self.order.steps
        for step in (steps[key] for key in self.order.later):
            for group in self._lacking(_awaited(self.plan, step)[0]):
                coming = [
                    other
                    for other in steps.values()
                    if self.order.left[other.key] and str(getattr(other.state, "target_group", "")) == group
                ]
                if coming:
                    name = self.plan.names.get(group, group)
                    raise PlanError(
                        f"{step.address} waits until {name} has enough healthy targets, and {coming[0].address} comes only after it; make the "
                        "changes in two steps: first turn the requests, then change the instances, or the other way round"
                    )

    def _do(self, step: Step) -> None:
        held = [other for other in self.order.unsafe if other is not step] if _may_shut(step) else []
        held = [other for other in held if any(self._shut_by(other))]
        self.order.done(step)
        self._waiting.append(step)
        if step.detail(Register).is_checked:
            self._catch_up()
            self.world = _passed(self.world, {str(step.address)})
        if _may_shut(step):
            self._catch_up()
            self.waits |= {(other.key, step.key) for other in held if not any(self._shut_by(other))}
            for asked, text in self.safety.unanswered(self.world):
                place, (door, _) = step.desired.at() if step.desired else str(step.address), self.safety.kept[asked]
                words = f"{place}: {describe_door(door)} answers before and after this plan, and not on the way: {text}"
                self.gaps.append((asked, Closure(words, frozenset([step.key]))))

    def _catch_up(self) -> None:
        self.world, self._waiting = self.world.after(self._waiting), []

    def _shut_by(self, step: Step) -> Iterator[object]:
        return self.safety.unanswered(self.world.after([step]))


def _may_shut(step: Step) -> bool:
    """Whether a step may shut a way. Of targets that leave, most ask AWS themselves how many stay (`kinds._health`)."""
    is_unguarded = step.action == "delete" and step.address.kind == "registration" and not step.detail(Deregister).least
    return is_unguarded or (step.address.kind in _WAYS and (step.action != "create" or step.act is not Act.PREPARE))


def _passed(world: World, which: Collection[str]) -> World:
    """The world in which these targets have passed their checks, or all those of these groups, as far as they are checked."""

    def has_passed(item: Observed, state: Registration) -> bool:
        return str(state.target_group) in world.checked and not {item.id, str(state.target_group)}.isdisjoint(which)

    return world.turned("healthy", has_passed) if which else world


def _awaited(plan: Plan, step: Step) -> tuple[dict[str, int], set[str]]:
    """How many healthy targets groups must have before a step, by id, and the groups that are waited for as long as they may."""
    shift = shift_of(step)
    awaited = {str(bind(item.group, plan.ids)): max(item.enough, 1) for item in shift.awaits if item.healthy}
    return awaited, {str(bind(item.group, plan.ids)) for item in shift.hopes if item.healthy}


class _Order:
    """The steps in an order that keeps their needs: of those that may come next, the one of the lowest rank.

    A step that can't come yet is put off until another one is done. If nothing else can be done, one that isn't safe is forced. A run would end
    there, as it would with one that waits for targets: what answers stays.
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
        self.unsafe: list[Step] = []
        """Those of them that wouldn't be safe yet."""
        self.is_last = False
        """Whether nothing else can be done."""
        self.ready: list[tuple[int, int, str]] = []
        for key, count in self.left.items():
            if not count:
                self._add(key)

    def _add(self, key: str) -> None:
        heappush(self.ready, (self.rank(self.steps[key]), self.places[key], key))

    def next(self) -> Step | None:
        """The next step; None if there is none, or each waits for targets."""
        if not self.ready and self.unsafe:
            self.is_last = True
            return self.unsafe.pop(0)
        return self.steps[heappop(self.ready)[2]] if self.ready else None

    def put_off(self, step: Step, *, is_unsafe: bool = False) -> None:
        """It can't come yet."""
        if is_unsafe:
            self.unsafe.append(step)
        else:
            self.later.append(step.key)

    def done(self, step: Step) -> None:
        """What needs it may come next, and what was put off may be tried again."""
        for user in self.users[step.key]:
            self.left[user] -= 1
            if not self.left[user]:
                self._add(user)
        for key in (*self.later, *(other.key for other in self.unsafe)):
            self._add(key)
        self.later, self.unsafe, self.is_last = [], [], False
