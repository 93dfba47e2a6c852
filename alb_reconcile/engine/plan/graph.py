"""A plan while it is being made: steps by key, edges between them, and indexes to find them by."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from alb_reconcile.engine.plan.decide import Decisions, named_ids
from alb_reconcile.kinds.registration import Registration
from alb_reconcile.kinds.security_group_rules import SecurityGroupRules
from alb_reconcile.kinds.target_group import ServedBy
from alb_reconcile.model.steps import TakeOver

if TYPE_CHECKING:
    from collections.abc import Iterable

    from alb_reconcile.model.address import Address
    from alb_reconcile.model.discovery import Discovery
    from alb_reconcile.model.plan import Step
    from alb_reconcile.model.resource import Observed, Properties
    from alb_reconcile.model.steps import Details

MAKING = ("create", "replace", "update")


class Graph:
    """Steps and edges. A soft edge gives way where it would close a cycle."""

    def __init__(self, decisions: Decisions, discovery: Discovery, *, destroy: bool) -> None:
        self.decisions = decisions
        self.discovery = discovery
        self.destroy = destroy
        self.steps: dict[str, Step] = {}
        self.edges: dict[str, set[str]] = defaultdict(set)
        self.soft: set[tuple[str, str]] = set()
        self.firm: set[tuple[str, str]] = set()
        """Edges for a better reason than good order."""
        self._index: dict[str, Any] = {}
        self.implied: dict[str, str] = {}
        """Deletes that AWS makes with another: the id of what goes, the key of the step that takes it along."""

    def add(self, step: Step) -> None:
        """Another step."""
        self.steps[step.key] = step
        self._index.clear()

    def drop(self, key: str) -> None:
        """Leave a step out."""
        del self.steps[key]
        self._index.clear()

    def specify(self, key: str, details: Details) -> None:
        """Say what is special about a step."""
        self.steps[key] = replace(self.steps[key], details=details)

    def say(self, key: str, *, waits: str = "", effects: str = "") -> None:
        """Tell the reader of the plan something about a step."""
        step = self.steps[key]
        self.steps[key] = replace(
            step,
            waits=(*step.waits, waits) if waits else step.waits,
            effects=(*step.effects, effects) if effects else step.effects,
        )

    def after(
        self, later: str | None, earlier: str | None, *, soft: bool = False, order: bool = False
    ) -> None:
        """An edge: `later` follows `earlier`, be it for mere good `order`. Nothing if one of them doesn't exist."""
        if (
            later is None
            or earlier is None
            or later == earlier
            or later not in self.steps
            or earlier not in self.steps
        ):
            return
        if soft and earlier not in self.edges[later]:
            self.soft.add((later, earlier))
        elif not soft:
            self.soft.discard((later, earlier))
        self.edges[later].add(earlier)
        if not order:
            self.firm.add((later, earlier))

    @property
    def makers(self) -> dict[Address, str]:
        """The step that makes or changes the resource at an address."""
        if "makers" not in self._index:
            self._index["makers"] = {
                step.address: key
                for key, step in self.steps.items()
                if step.action in MAKING and step.desired is not None and not step.phase
            }
        makers: dict[Address, str] = self._index["makers"]
        return makers

    @property
    def addresses(self) -> dict[str, Address]:
        """The addresses of what stays, by id."""
        if "addresses" not in self._index:
            self._index["addresses"] = {known: address for address, known in self.decisions.ids.items()}
        addresses: dict[str, Address] = self._index["addresses"]
        return addresses

    @property
    def groups(self) -> dict[str, Properties]:
        """The target groups that there are, by ARN."""
        if "groups" not in self._index:
            self._index["groups"] = {
                item.id: item.state for item in self.decisions.live if item.address.kind == "target_group"
            }
        groups: dict[str, Properties] = self._index["groups"]
        return groups

    @property
    def removers(self) -> dict[str, str]:
        """The step that deletes a physical resource, also where it goes with another."""
        if "removers" not in self._index:
            own = {step.id: key for key, step in self.steps.items() if step.action == "delete" and step.id}
            self._index["removers"] = {**self.implied, **own}
        removers: dict[str, str] = self._index["removers"]
        return removers

    @property
    def deleted(self) -> set[str]:
        """The ids of everything that goes."""
        if "deleted" not in self._index:
            self._index["deleted"] = set(self.removers)
        deleted: set[str] = self._index["deleted"]
        return deleted

    @property
    def registered(self) -> dict[str, list[Observed]]:
        """What is registered and not draining, by instance id."""
        if "registered" not in self._index:
            found: dict[str, list[Observed]] = defaultdict(list)
            for item in self.decisions.live:
                if isinstance(item.state, Registration) and not item.is_leaving:
                    found[str(item.state.target)].append(item)
            self._index["registered"] = found
        registered: dict[str, list[Observed]] = self._index["registered"]
        return registered

    def of_kind(self, kind: str, *actions: str) -> list[Step]:
        """The steps of a kind."""
        return [step for step in self.steps.values() if step.address.kind == kind and step.action in actions]

    def drop_implied(self) -> None:
        """Leave out the deletes that AWS makes with another one: a listener goes with its load balancer."""
        going = {step.id: key for key, step in self.steps.items() if step.action == "delete" and step.id}
        tangled = self._tangled_groups(going)
        for key, step in list(self.steps.items()):
            found = step.observed
            if step.action != "delete" or found is None or found.state.parent is None:
                continue
            parent = str(getattr(found.state, found.state.parent))
            if (
                parent not in going
                or parent in tangled
                or (isinstance(found.state, Registration) and not self._is_cut_off(parent))
            ):
                continue
            self.implied[found.id] = going[parent]
            self.drop(key)
        for key, target in list(self.implied.items()):
            while (
                target not in self.steps
            ):  # a rule goes with its listener, which goes with its load balancer
                target = self.implied[str(target.rpartition("@")[2])]
            self.implied[key] = target
        self._index.clear()
        if not self.destroy:
            self._tell_what_goes_along()

    def _tell_what_goes_along(self) -> None:
        along: dict[str, Counter[str]] = defaultdict(Counter)
        for item in self.decisions.live:
            if item.id in self.implied and item.state.service:
                along[self.implied[item.id]][item.address.kind] += 1
        for key, counts in along.items():
            words = [f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in sorted(counts.items())]
            self.say(key, effects=f"takes {' and '.join(words)} with it")

    def _is_cut_off(self, target_group: str) -> bool:
        """Whether nothing needs to drain: every load balancer in front of the group goes as well."""
        going = {step.id for step in self.steps.values() if step.action == "delete"}
        balancers = [
            item.detail(ServedBy).load_balancers for item in self.decisions.live if item.id == target_group
        ]
        return self.destroy or all(going.issuperset(part) for part in balancers)

    def _tangled_groups(self, going: dict[str, str]) -> set[str]:
        """Security groups that go and name each other in a circle: their rules have to be revoked first."""
        names = {
            str(item.state.security_group): {
                text for text in named_ids(item.state) if text in going and text != item.state.security_group
            }
            for item in self.decisions.live
            if isinstance(item.state, SecurityGroupRules) and item.state.security_group in going
        }
        try:
            tuple(TopologicalSorter(names).static_order())
        except CycleError:
            return set(names)
        return set()

    def cut(self, cycle: Iterable[str]) -> bool:
        """Open a cycle (each follows the next) at a soft edge. Returns whether there was one."""
        nodes = list(cycle)
        for one, other in pairwise(nodes):
            for edge in ((one, other), (other, one)):
                if edge in self.soft and edge[1] in self.edges[edge[0]]:
                    self.edges[edge[0]].discard(edge[1])
                    self.soft.discard(edge)
                    takeover = self.steps[edge[0]].detail(TakeOver)
                    if edge[1] in takeover.takers:  # it goes first, so there is nothing to wait for
                        self.specify(edge[0], replace(takeover, shift=replace(takeover.shift, awaits=())))
                    return True
        return False
