"""Prepares a stack's resources for drawing: state, planned action, references, and how requests are distributed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from alb_reconcile.engine.stack import StackPlan
from alb_reconcile.kinds import is_in_order
from alb_reconcile.kinds.display import show
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.address import Address
from alb_reconcile.model.resource import Observed, Properties, field_names, references, texts
from alb_reconcile.model.secrets import hide
from alb_reconcile.model.service import Balancer, Entrance
from alb_reconcile.model.text import printable

WORDS: Final = {"create": "+ created", "update": "~ updated", "replace": "-/+ replaced", "delete": "- deleted"}
"""The plan's action on a resource in words, so that a colour doesn't say it alone."""


@dataclass
class Thing:
    """A resource: as the plan makes it, else as it is, or as the spec wants it."""

    address: Address
    state: Properties
    found: Observed | None = None
    action: str = ""
    """The plan's action on the resource; empty for none."""
    is_strange: bool = False
    """Whether the resource belongs to another owner, inside a resource of the stack."""

    @property
    def status(self) -> str:
        """The resource's state, in AWS's word if there is one."""
        return (printable(self.found.status) or "present") if self.found else "not there yet"

    @property
    def is_well(self) -> bool:
        """Whether the resource is in order, or is still to be created."""
        return self.found is None or is_in_order(self.found)


class Share(NamedTuple):
    """A group that gets requests, and its share of them (0 to 1)."""

    group: Address | str
    part: float


class Things:
    """All resources of a plan, by address: web-2 before web-10."""

    def __init__(self, planned: StackPlan) -> None:
        self.planned, self.plan = planned, planned.plan
        found = [item for item in planned.discovery.resources if not item.is_gone]
        self.names = {item.id: item.address for item in found}
        things = {address: Thing(address, wish.state) for address, wish in self.plan.desired.items()}
        for item in found:
            is_strange = item.owner != self.plan.stack and item.address not in self.plan.desired
            thing = things.setdefault(item.address, Thing(item.address, item.state, is_strange=is_strange))
            if thing.found is None or self.plan.ids.get(item.address) == item.id:  # of two, the one that stays
                thing.found, thing.state = item, item.state
        for step in self.plan.steps:
            if step.part_of is None and (state := step.state or (step.observed and step.observed.state)):
                thing = things.setdefault(step.address, Thing(step.address, state))
                thing.state = step.state or thing.state
                thing.action = step.action if step.changes or not thing.action else thing.action
            for address in step.also_deletes:
                if address in things:
                    things[address].action = "delete"
        self.by_address: Mapping[Address, Thing] = {key: things[key] for key in sorted(things, key=_in_order)}

    def __iter__(self) -> Iterator[Thing]:
        return iter(self.by_address.values())

    def refers(self, value: object) -> Iterator[Address | str]:
        """The references in a property: addresses of the stack's resources, and ids of others' resources that were looked up."""
        named: list[Address | str] = [*references(value), *texts(value)]
        for item in named:
            key = self.key(item)
            if key in self.by_address if isinstance(key, Address) else key in self.planned.discovery.foreign:
                yield key

    def key(self, reference: Address | str) -> Address | str:
        """The address of the resource that a reference names, or the resource's id if it isn't the stack's."""
        return reference if isinstance(reference, Address) else self.names.get(reference, reference)

    def get(self, key: Address | str) -> Thing | None:
        """The resource at an address; None for the id of a resource that isn't the stack's."""
        return self.by_address.get(key) if isinstance(key, Address) else None

    def action(self, key: Address | str) -> str:
        """The plan's action on the resource at an address; empty for none."""
        thing = self.get(key)
        return thing.action if thing else ""

    def parent(self, thing: Thing) -> Thing | None:
        """The resource with which AWS deletes a thing, if that is the stack's."""
        return self.get(self.key(getattr(thing.state, thing.state.parent))) if thing.state.parent else None

    def whole(self, thing: Thing) -> Thing:
        """The resource with which a thing is drawn: its parent, unless the thing decides about requests itself."""
        parent = None if thing.state.action_field else self.parent(thing)
        return self.whole(parent) if parent else thing

    def decides(self, thing: Thing) -> str:
        """What a thing says of its requests: its DNS name, its port, its conditions, and its answer if it doesn't forward them."""
        state, found = thing.state, thing.found
        if isinstance(state, Balancer):
            return printable(found.detail(Entrance).dns_name) if found else ""
        shown = [name for name in field_names(type(state)) if name in state.moves and name != state.action_field]
        values = {name: value for name in shown if (value := getattr(state, name))}
        told = [f"{name} {self.show(value)}" for name, value in values.items() if not any(self.refers(value))]
        return ", ".join([*told, *self.answer(thing)]) if state.action_field else ""

    def answer(self, thing: Thing) -> Iterator[str]:
        """What a listener or rule does with requests before it forwards them, or instead."""
        action = action_of(thing.state)
        if action.authentication:
            yield printable(action.authentication.type)
        if action.fixed_response and not action.unsupported:  # the response's text may be long
            yield f"fixed response {dict(action.fixed_response).get('status_code', '')}"
        elif thing.state.action_field and not action.forward:
            yield self.show(replace(action, authentication=None))

    def shares(self, thing: Thing) -> Iterator[Share]:
        """The groups to which a listener or rule forwards."""
        forward = action_of(thing.state).forward
        whole = sum(item.weight for item in forward)
        for item in forward:
            part = 1.0 if len(forward) == 1 else item.weight / whole if whole else 0.0
            yield Share(self.key(item.target_group), part)

    def show(self, value: Any) -> str:
        """A property's value as it may be shown."""
        return printable(hide(show(self.plan.redact(value), self.plan.names)))


def _in_order(address: Address) -> tuple[str, tuple[tuple[int, str], ...]]:
    parts = re.findall(r"([0-9]{1,9})|([^0-9]+)", address.name)
    return address.kind, tuple((int(number or 0), text) for number, text in parts)
