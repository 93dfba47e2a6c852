"""Holds a plan while it is being made: steps by key, edges between them, and indexes to find them by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from itertools import chain

from alb_reconcile.engine.plan.request_paths import closure
from alb_reconcile.engine.world import runs_after
from alb_reconcile.model.address import Address
from alb_reconcile.model.decisions import Decisions, named_ids
from alb_reconcile.model.discovery import Discovery
from alb_reconcile.model.plan import Need, Step
from alb_reconcile.model.resource import Observed, Properties, each_of, stops
from alb_reconcile.model.service import Member, Permissions, Pool, Router, ServedBy, Server
from alb_reconcile.model.steps import Details

MAKING = ("create", "replace", "update")
_STRONGEST = (Need.DONE, Need.ANNOUNCED, Need.MADE, Need.ORDER)


def is_stopped_by(step: Step) -> bool:
    """Whether an update stops an instance, permanently or temporarily."""
    return step.desired is not None and (is_switched_off(step) or stops(step.changes, type(step.desired.state)))


def is_switched_off(step: Step) -> bool:
    """Whether an update stops an instance permanently."""
    return runs_after(step) is False


class Graph:
    """Steps by key, and edges between them."""

    def __init__(self, decisions: Decisions, discovery: Discovery, *, destroy: bool) -> None:
        self.decisions = decisions
        self.discovery = discovery
        self.destroy = destroy
        self.steps: dict[str, Step] = {}
        self.edges: dict[str, dict[str, Need]] = defaultdict(dict)
        """The steps that each step follows, with the kind of need for each; all by key."""
        self.implied: dict[str, str] = {}
        """Resources that AWS deletes together with another one: the key of the step that deletes that one, by the id of the resource."""
        self.rooms: list[tuple[str, str]] = []
        """Steps that give a slot to a resource, each with the step by which another resource gives the slot up."""
        self.standby: dict[str, int] = {}
        """The old target groups that stand by after the plan, by ARN, and for how many seconds."""
        self.used = set(discovery.used)
        """The ids of what a version uses that stands by, now or after the plan. It loses nothing meanwhile."""
        self.early: set[str] = set()
        """The steps that delete or change a resource before its successor exists."""

    def add(self, step: Step) -> None:
        """Add a step."""
        self.steps[step.key] = step
        self._forget()

    def drop(self, key: str) -> None:
        """Leave a step out."""
        del self.steps[key]
        self._forget()

    def _forget(self) -> None:
        """Drop the indexes; the next use makes them from the steps."""
        for name in ("makers", "removers", "deleted"):
            self.__dict__.pop(name, None)

    def specify(self, key: str, details: Details) -> None:
        """Set the details of a step."""
        self.steps[key] = replace(self.steps[key], details=details)

    def pause(self, key: str, seconds: int, until: str) -> None:
        """Let a step pause before it begins; of several pauses the longest counts."""
        if seconds > self.steps[key].pause[0]:
            self.steps[key] = replace(self.steps[key], pause=(seconds, until))

    def say(self, key: str, *, waits: str = "", effects: str = "") -> None:
        """Add to a step what the plan says about it."""
        step = self.steps[key]
        more_waits, more_effects = filter(None, [waits]), filter(None, [effects])
        self.steps[key] = replace(step, waits=(*step.waits, *more_waits), effects=(*step.effects, *more_effects))

    def after(self, later: str | None, earlier: str | None, how: Need = Need.DONE) -> None:
        """Add an edge: `later` follows `earlier`. Does nothing if one of them doesn't exist. Of two kinds of need the stronger one
        counts."""
        if later is None or earlier is None or later == earlier or later not in self.steps or earlier not in self.steps:
            return
        known = self.edges[later].get(earlier, how)
        self.edges[later][earlier] = min(known, how, key=_STRONGEST.index)

    def rather_after(self, later: str | None, earlier: str | None) -> None:
        """Add an edge, unless the earlier step already waits for the later one."""
        if later and earlier and later not in self.before(earlier):
            self.after(later, earlier, Need.ORDER)

    def before(self, key: str) -> set[str]:
        """The keys of all steps that a step follows, directly or indirectly."""
        return closure(self.edges.get(key, ()), lambda other: self.edges.get(other, ()))

    def behind(self, keys: Iterable[str]) -> set[str]:
        """The keys of all steps that follow one of these, directly or indirectly."""
        followers: dict[str, list[str]] = defaultdict(list)
        for later, edges in self.edges.items():
            for earlier in edges:
                followers[earlier].append(later)
        return closure(chain.from_iterable(followers[key] for key in keys), followers.__getitem__)

    @cached_property
    def makers(self) -> dict[Address, str]:
        """The step that makes or changes the resource at an address, by address."""
        return {
            step.address: key
            for key, step in self.steps.items()
            if step.action in MAKING
            and step.desired is not None
            and not (step.attaches or (step.action == "update" and step.takes_away))
        }

    @cached_property
    def addresses(self) -> dict[str, Address]:
        """The addresses of the resources that aren't deleted, by id."""
        return {known: address for address, known in self.decisions.ids.items()}

    @cached_property
    def groups(self) -> dict[str, Observed]:
        """The existing target groups, by ARN."""
        return {item.id: item for item in self.decisions.live if isinstance(item.state, Pool)}

    @cached_property
    def removers(self) -> dict[str, str]:
        """The step that deletes a resource, by the resource's id; if AWS deletes the resource together with another one, that one's
        step."""
        own = {step.id: key for key, step in self.steps.items() if step.action == "delete" and step.id}
        return {**self.implied, **own}

    @cached_property
    def deleted(self) -> set[str]:
        """The ids of all resources that are deleted."""
        return set(self.removers)

    @cached_property
    def registered(self) -> dict[str, list[Observed]]:
        """The registered targets that aren't draining, by instance id."""
        found: dict[str, list[Observed]] = defaultdict(list)
        for item, state in each_of(self.decisions.live, Member):
            if not item.is_leaving:
                found[str(state.target)].append(item)
        return found

    def of(self, part: type[Properties], *actions: str) -> list[Step]:
        """The steps of resources that play a part in the service (`model.service`)."""
        return [step for step in self.steps.values() if step.action in actions and step.plays(part)]

    def of_kind(self, kind: str, *actions: str) -> list[Step]:
        """The steps of a kind, by its name."""
        return [step for step in self.steps.values() if step.address.kind == kind and step.action in actions]

    def forwarding(self, *actions: str) -> list[Step]:
        """The steps of listeners and of rules."""
        return self.of(Router, *actions)

    def drop_implied(self) -> None:
        """Leave out the deletes that AWS makes with another one: it deletes a listener with its load balancer."""
        going = {step.id: key for key, step in self.steps.items() if step.action == "delete" and step.id}
        tangled = self._tangled_groups(going)
        stopped = {step.id for step in self.of(Server, "update") if not self.destroy and is_stopped_by(step)}
        for key, step in list(self.steps.items()):
            found = step.observed
            parent = found.parent_id if found and step.action == "delete" else None
            if (
                found is None
                or parent is None
                or parent not in going
                or parent in tangled
                or found.state.outlives_parent
                or (isinstance(found.state, Member) and (found.state.target in stopped or not self._is_cut_off(parent)))
            ):
                continue
            self.implied[found.id] = going[parent]
            self.drop(key)
        for key, target in list(self.implied.items()):
            while target not in self.steps:  # a rule with its listener, a listener with its load balancer
                target = self.implied[str(target.rpartition("@")[2])]
            self.implied[key] = target
        self._forget()

    def _is_cut_off(self, target_group: str) -> bool:
        """Whether no target of a group needs to drain, since every load balancer in front of the group is deleted as well."""
        going = {step.id for step in self.steps.values() if step.action == "delete"}
        balancers = [item.detail(ServedBy).load_balancers for item in self.decisions.live if item.id == target_group]
        return self.destroy or all(going.issuperset(part) for part in balancers)

    def _tangled_groups(self, going: dict[str, str]) -> set[str]:
        """Security groups that are deleted and name each other in a circle: their rules must be revoked first."""
        names = {
            str(state.security_group): {
                text for text in named_ids(state) if text in going and text != state.security_group
            }
            for _, state in each_of(self.decisions.live, Permissions)
            if state.security_group in going
        }
        try:
            tuple(TopologicalSorter(names).static_order())
        except CycleError:
            return set(names)
        return set()
