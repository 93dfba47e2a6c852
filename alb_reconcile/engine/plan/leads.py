"""Which resources lead requests to which: from names, listeners and rules down to instances, subnets and gateways."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from alb_reconcile.engine.plan.decide import Decisions, named_ids
from alb_reconcile.kinds.listener import Listener
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.address import Address
from alb_reconcile.model.resource import Properties, bind, each_of, field_names, references


class Leads:
    """Resources by name (an id, or the address of what is to be made), and what each leads to.

    A resource leads to what it refers to, and a whole to its parts: a subnet to its routes, a load balancer to its listeners. A part
    doesn't lead back to its whole, and the rules of a security group lead nowhere: they only name others.
    """

    def __init__(self, states: Mapping[str, Properties]) -> None:
        self.states = states
        self.below: dict[str, set[str]] = defaultdict(set)
        self._above: dict[str, set[str]] = {}
        ports = {(state.load_balancer, state.port): name for name, state in states.items() if isinstance(state, Listener)}
        for name, state in states.items():
            self.below[name] |= self.referred(state)
            for whole in _names(getattr(state, _whole_of(state), None)) if _whole_of(state) else ():
                self.below[whole].add(name)
            if isinstance(state, Listener):  # its clients come in by way of its load balancer
                balancer = states.get(str(state.load_balancer))
                self.below[name] |= self.referred(balancer) if balancer else set()
                redirect = dict(action_of(state).redirect)
                if redirect and "host" not in redirect:
                    port = redirect.get("port", str(state.port))
                    self.below[name] |= {ports[key] for key in [(state.load_balancer, int(port) if port.isdigit() else 0)] if key in ports}

    def referred(self, state: Properties | None) -> set[str]:
        """What these properties refer to, but for the whole that they are a part of."""
        if state is None or not state.leads_on:
            return set()
        whole = _whole_of(state)
        values = (getattr(state, field) for field in field_names(type(state)) if field != whole)
        return {name for value in values for name in _names(value)} & self.states.keys()

    def under(self, names: Iterable[str]) -> set[str]:
        """These, and all that they lead to, but for targets and what is behind them: no target is needed, as others serve."""
        return {name for name in _closure(names, lambda name: () if self._is_target(name) else self.below.get(name, ())) if not self._is_target(name)}

    def behind(self, names: Iterable[str]) -> set[str]:
        """These, and all that they lead to, by way of targets, too."""
        return _closure(names, lambda name: self.below.get(name, ()))

    def above(self, names: Iterable[str]) -> set[str]:
        """These, and all that lead there."""
        if not self._above:
            found: dict[str, set[str]] = defaultdict(set)
            for upper, lower in self.below.items():
                for name in lower:
                    found[name].add(upper)
            self._above = found
        return _closure(names, lambda name: self._above.get(name, ()))

    def _is_target(self, name: str) -> bool:
        state = self.states.get(name)
        return state is not None and state.is_target


def as_it_is(decisions: Decisions) -> Leads:
    """What leads where now."""
    return Leads({item.id: item.state for item in decisions.live})


def as_desired(decisions: Decisions) -> Leads:
    """What is to lead where: what the spec wants, and what others have in it."""
    states: dict[str, Properties] = {}
    known = {item.found.id for item in decisions.desired.values() if item.found} | decisions.to_delete.keys()
    states |= {item.id: item.state for item in decisions.live if item.id not in known}
    states |= {
        str(decisions.ids.get(address, address)): bind(item.state, decisions.ids) for address, item in decisions.desired.items()
    }
    return Leads(states)


def _whole_of(state: Properties) -> str:
    return state.part_of or state.parent or ""


def _names(value: object) -> set[str]:
    if isinstance(value, Address):
        return {str(value)}
    return {text for text in named_ids(value) if isinstance(text, str)} | {str(address) for address in references(value)}


def _closure(names: Iterable[str], more: object) -> set[str]:
    found: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += more(name)
    return found
