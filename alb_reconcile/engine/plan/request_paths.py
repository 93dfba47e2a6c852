"""Finds which resources lead requests to which: from names, listeners and rules down to instances, subnets and gateways."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.decisions import Decisions, named_ids
from alb_reconcile.model.resource import Properties, field_names, references
from alb_reconcile.model.service import Frontend


class Leads:
    """Which resources each resource leads requests to. Resources have names: an id, or the address of a resource that is to be made.

    A resource leads to the resources that it refers to, and a whole to its parts: a subnet to its routes, a load balancer to its listeners.
    A part doesn't lead back to its whole. A security group's rules lead to no other resource. A security group that rules name leads to
    those rules, since they let its members in.
    """

    def __init__(self, states: Mapping[str, Properties]) -> None:
        self.states = states
        self._ports: dict[tuple[Ref, int], str] = {
            (state.load_balancer, state.port): name for name, state in states.items() if isinstance(state, Frontend)
        }
        self.below: dict[str, set[str]] = defaultdict(set)
        self.upper: dict[str, set[str]] = defaultdict(set)
        self.own: dict[str, set[str]] = {}
        """The names that each resource leads to, without its parts. A listener also leads to what its load balancer leads to, since its
        clients come through the load balancer."""
        for name, state in states.items():
            lower = self.referred(state)
            if isinstance(state, Frontend):
                lower = lower | self.referred(states.get(str(state.load_balancer)))
            self.own[name] = lower
            self.below[name] |= lower
            for other in () if state.leads_on else self._named(state):
                self.below[other].add(name)
            for whole in _names(getattr(state, _whole_of(state), None)):
                self.below[whole].add(name)
        for name, lower in self.below.items():
            for other in lower:
                self.upper[other].add(name)

    @property
    def listeners(self) -> set[str]:
        """The names of the listeners."""
        return {*self._ports.values()}

    def referred(self, state: Properties | None) -> set[str]:
        """The names that these properties refer to, except the whole that they are a part of."""
        if state is None or not state.leads_on:
            return set()
        found = self._named(state)
        redirect = dict(action_of(state).redirect)
        if isinstance(state, Frontend) and redirect and "host" not in redirect:
            port = redirect.get("port", "")
            other = self._ports.get((state.load_balancer, int(port) if port.isdigit() else state.port))
            found |= {other} if other else set()
        return found

    def _named(self, state: Properties) -> set[str]:
        whole = _whole_of(state)
        values = (getattr(state, name) for name in field_names(type(state)) if name != whole)
        return {name for value in values for name in _names(value)} & self.states.keys()

    def needed(self, names: Iterable[str]) -> set[str]:
        """These names, and all names that they lead to, directly or not, except targets: no single target is needed, since others serve."""
        found = self.behind(names)
        return found - self.targets(found)

    def targets(self, names: Iterable[str]) -> set[str]:
        """The targets among these names."""
        return {name for name in names if name in self.states and self.states[name].is_target}

    def behind(self, names: Iterable[str]) -> set[str]:
        """These names, and all names that they lead to, directly or not."""
        return closure(names, lambda name: self.below.get(name, ()))

    def above(self, names: Iterable[str]) -> set[str]:
        """These names, and all names that lead to them, directly or not."""
        return closure(names, lambda name: self.upper.get(name, ()))


def as_it_is(decisions: Decisions) -> Leads:
    """The leads between resources as they are now."""
    return Leads({item.id: item.state for item in decisions.live})


def as_desired(decisions: Decisions) -> Leads:
    """The leads between resources as the spec wants them, with others' resources."""
    known = {item.found.id for item in decisions.desired.values() if item.found} | decisions.to_delete.keys()
    states = {item.id: item.state for item in decisions.live if item.id not in known}
    for address, item in decisions.desired.items():
        states[str(decisions.ids.get(address, address))] = item.state
    return Leads(states)


def _whole_of(state: Properties) -> str:
    return state.part_of or state.parent or ""


def _names(value: object) -> set[str]:
    if isinstance(value, str):
        return {value}
    if not value or isinstance(value, int):
        return set()
    if isinstance(value, Address):
        return {str(value)}
    return {*filter(None, (text for text in named_ids(value) if isinstance(text, str))), *map(str, references(value))}


def closure(names: Iterable[str], more: Callable[[str], Iterable[str]]) -> set[str]:
    """These names, and all names that are reached from them by `more`, directly or not."""
    found: set[str] = set()
    left = [*names]
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += more(name)
    return found
