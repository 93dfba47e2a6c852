"""Finds the subnets that a plan leaves without their route table, or without their default route."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from alb_reconcile.model.address import Address
from alb_reconcile.model.plan import Plan, Step
from alb_reconcile.model.resource import Observed, bind, each_of
from alb_reconcile.model.service import Associations, Route, Routes

_DEFAULTS: Final = ("0.0.0.0/0", "::/0")


class CutOff(NamedTuple):
    """A subnet that loses its route table or a route (`loss`) by these steps. `place` is the place in the spec, or the address in the plan,
    that causes it; `advice` is how to avoid it."""

    subnet: str
    keys: frozenset[str]
    place: str
    loss: str
    advice: str


def find_cut_off(plan: Plan) -> Iterator[CutOff]:
    """All losses, also of others' subnets. A route that is a blackhole already is no loss."""
    ends = _Ends(plan)
    for found, before in each_of(plan.live, Routes):
        if found.owner != plan.stack:
            continue
        associations = found.detail(Associations)
        for subnet in associations.by_subnet:
            if (step := ends.leaves(found, before, subnet)) is not None:
                place = step.desired.at("subnets") if step.desired else str(found.address)
                yield CutOff(subnet, ends.keys(step), place, f"its route table {found.id}", "keep it there")
                continue
            for route in before.routes or ():
                if route.destination in _DEFAULTS and route not in associations.blackholes:
                    yield from ends.loses(found, subnet, route)


class _Ends:
    """Route tables as they are after a plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.going = {step.id: step for step in plan.steps if step.action == "delete" and step.id}
        # if a table has two updates, the second one decides
        self.changing = {step.address: step for step in plan.steps if step.action not in ("delete", "")}
        self.there = {item.id: state for item, state in each_of(plan.live, Routes)}
        self.takers = {
            str(bind(subnet, plan.ids)): address
            for address, item in plan.desired.items()
            if isinstance(item.state, Routes)
            for subnet in item.state.subnets or ()
        }

    def leaves(self, found: Observed, before: Routes, subnet: str) -> Step | None:
        """The step by which a subnet leaves a table; None if it stays, or another table takes the subnet."""
        if subnet in self.takers:
            return None
        if found.id in self.going:
            return self.going[found.id]
        step = self.changing.get(found.address)
        after = step.state.subnets if step and isinstance(step.state, Routes) else None
        return step if after is not None and subnet in (before.subnets or ()) and subnet not in after else None

    def loses(self, found: Observed, subnet: str, route: Route) -> Iterator[CutOff]:
        """The loss, if the table that a subnet has after the plan has no route to that destination."""
        taker = self.takers.get(subnet, found.address)
        step = self.changing.get(taker)
        after = next((item for item in self._routes(taker) if item.destination == route.destination), None)
        gateway = self.going.get(str(after.target)) if after else None
        if after and not gateway:
            return
        by = gateway or step
        if by is not None:
            place = by.desired.at("routes") if by.desired else str(by.address)
            keys = self.keys(by, self.going.get(str(route.target)))
            yield CutOff(subnet, keys, place, f"its route for {route.destination}", "keep the route")

    def _routes(self, table: Address) -> tuple[Route, ...]:
        step, there = self.changing.get(table), self.there.get(self.plan.ids.get(table, ""))
        wanted = step.state.routes if step and isinstance(step.state, Routes) else None
        return wanted if wanted is not None else (there.routes if there else None) or ()

    def keys(self, *steps: Step | None) -> frozenset[str]:
        """The keys of these steps, and of the replacements that they are part of."""
        return frozenset(key for step in steps if step for key in (step.key, step.part_of) if key)
