"""Models a stack's resources as values, and computes what a plan's steps make of them. Asks AWS nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.address import Ref
from alb_reconcile.model.plan import Step
from alb_reconcile.model.resource import Observed, Properties, field_names, stops, with_fields
from alb_reconcile.model.service import (
    ANYWHERE,
    Balancer,
    Frontend,
    Member,
    Permissions,
    Route,
    Routes,
    RoutingRule,
    Server,
)
from alb_reconcile.model.steps import HandOver, SetPriorities

COMING = "coming"
"""The status of a target that is expected to pass its checks, as a plan makes it or waits for it."""
OWN = "own"
"""The owner of a resource that a plan makes, in a world."""
UNUSED = "unused"
"""The status of a target that isn't checked."""
_MADE = ((Balancer, "active"), (Member, COMING), (Server, "running"))
"""The status of a resource that a step makes, by its part in the service."""


class World:
    """Resources by id. A resource that a plan makes has its address as its id until AWS gives it one."""

    def __init__(self, resources: Iterable[Observed]) -> None:
        self.items = {item.id: item for item in resources if not item.is_gone}
        self.gone: frozenset[str] = frozenset()
        """The ids of resources that steps have deleted."""
        self.left: Mapping[str, str] = {}
        """The subnets that no route table of the stack has any more, by id, with the id of the table that each was in."""
        self.guests: Mapping[str, frozenset[str]] = {}
        """The groups that steps have added at weight 0 to a listener or rule so that they are checked, by the id of the listener or rule.
        No client has a sticky session with these."""

    def get(self, ref: Ref | None) -> Observed | None:
        """The resource that a reference names; None if it isn't known."""
        return self.items.get(str(ref))

    def after(self, steps: Iterable[Step]) -> World:
        """The world after those steps."""
        found, gone, guests = dict(self.items), set(self.gone), dict(self.guests)
        members: dict[str, list[str]] = defaultdict(list)
        started: dict[Ref, bool] = {}
        for item in self.items.values():
            if item.parent_id:
                members[item.parent_id].append(item.id)
        for step in steps:
            if step.action == "delete":
                for known in _with_members(members, str(step.id)):
                    found.pop(known, None)
                    gone.add(known)
            elif step.attaches:
                guests[str(step.id)] = _groups(step.state)
            else:
                guests.pop(str(step.id), None)
                _take(found, step)
                if (runs := runs_after(step)) is not None:
                    started[str(step.id)] = runs
        world = World(
            replace(item, status=COMING if started[item.state.target] else UNUSED)
            if started and isinstance(item.state, Member) and item.id in self.items and item.state.target in started
            else item
            for item in found.values()
        )
        world.gone, world.guests = frozenset(gone), {host: groups for host, groups in guests.items() if host in found}
        world._change_checks(self.checked)
        tables = {subnet: item.id for subnet, (item, _) in self.tables.items()} | dict(self.left)
        world.left = {subnet: table for subnet, table in tables.items() if subnet not in world.tables}
        return world

    def _change_checks(self, before: frozenset[str]) -> None:
        """Change the status of targets when the checks of their group begin or end: AWS checks a group while a listener or rule forwards to
        it (ELB API Reference, TargetHealth)."""
        for group in before ^ self.checked:
            for item, _ in self.targets.get(group, ()):
                is_checked = group in self.checked
                if not is_checked or item.status == UNUSED:
                    self.items[item.id] = replace(item, status=COMING if is_checked else UNUSED)
        self.__dict__.pop("targets", None)

    def turned(self, status: str, which: Callable[[Observed, Member], bool]) -> World:
        """The same world, in which these targets have that status, unless they are draining."""
        world = World(
            replace(item, status=status)
            if isinstance(item.state, Member) and not item.is_leaving and which(item, item.state)
            else item
            for item in self.items.values()
        )
        world.gone, world.left, world.guests = self.gone, self.left, self.guests
        return world

    @cached_property
    def listeners(self) -> list[tuple[Observed, Frontend]]:
        """Every listener, with its properties."""
        return [(item, item.state) for item in self.items.values() if isinstance(item.state, Frontend)]

    @cached_property
    def checked(self) -> frozenset[str]:
        """The ids of the groups that listeners and rules forward to, with any weight."""
        hosts = (item.state for item in self.items.values() if item.state.action_field)
        return frozenset().union(*map(_groups, hosts), *self.guests.values())

    @cached_property
    def rules(self) -> dict[str, list[tuple[Observed, RoutingRule]]]:
        """The rules of each listener, by its id."""
        found: dict[str, list[tuple[Observed, RoutingRule]]] = defaultdict(list)
        for item in self.items.values():
            if isinstance(item.state, RoutingRule):
                found[str(item.state.listener)].append((item, item.state))
        return found

    @cached_property
    def targets(self) -> dict[str, list[tuple[Observed, Member]]]:
        """The targets of each group, by its id, without draining ones."""
        found: dict[str, list[tuple[Observed, Member]]] = defaultdict(list)
        for item in self.items.values():
            if isinstance(item.state, Member) and not item.is_leaving:
                found[str(item.state.target_group)].append((item, item.state))
        return found

    @cached_property
    def admissions(self) -> dict[str, tuple[Observed, Permissions]]:
        """The rules of each security group, by the group's id."""
        return {
            str(item.state.security_group): (item, item.state)
            for item in self.items.values()
            if isinstance(item.state, Permissions)
        }

    @cached_property
    def tables(self) -> dict[str, tuple[Observed, Routes]]:
        """The route table of each subnet, by the subnet's id."""
        return {
            str(subnet): (item, item.state)
            for item in self.items.values()
            if isinstance(item.state, Routes)
            for subnet in item.state.subnets or ()
        }

    def is_there(self, route: Route) -> bool:
        """Whether no step has deleted the resource that a route leads to."""
        return str(route.target) not in self.gone


def runs_after(step: Step) -> bool | None:
    """Whether an instance runs after a step that starts, restarts or stops it: its targets are checked anew then, or not at all. None for
    other steps."""
    if step.action != "update" or not step.plays(Server) or step.state is None:
        return None
    to = next((change.after for change in step.changes if change.path == "state"), None)
    return to != "stopped" if to or stops(step.changes, type(step.state)) else None


def _groups(state: Properties | None) -> frozenset[str]:
    return frozenset(str(part.target_group) for part in action_of(state).forward)


def _take(found: dict[str, Observed], step: Step) -> None:
    """Change `found`, resources by id, as a step does that creates or changes a resource."""
    if isinstance(step.details, SetPriorities):
        for arn, priority in step.details.priorities:
            if arn in found and isinstance(state := found[arn].state, RoutingRule):
                found[arn] = replace(found[arn], state=with_fields(state, priority=priority))
    elif step.state is None:
        return
    elif step.action == "update" and step.observed is not None:
        there = found.get(step.observed.id, step.observed)
        state = _merged(step.state, there.state)
        if isinstance(state, Routes) and isinstance(there.state, Routes):
            stay = step.detail(HandOver).moving.intersection(map(str, there.state.subnets or ()))
            state = with_fields(state, subnets=tuple(sorted({*(state.subnets or ()), *stay}, key=str)))
        found[there.id] = replace(there, state=state)
    else:
        made = step.state
        if isinstance(made, Permissions) and made.egress is None:  # EC2 CreateSecurityGroup
            made = with_fields(made, egress=ANYWHERE)
        status = next((word for part, word in _MADE if isinstance(made, part)), "")
        name = str(step.address)
        found[name] = Observed(step.address, name, made, {}, OWN, status)
    if isinstance(step.state, Routes):
        _take_over(found, step)


def _take_over(found: dict[str, Observed], step: Step) -> None:
    """Take a step's new subnets out of other route tables: a subnet has only the table that took it last (EC2
    ReplaceRouteTableAssociation)."""
    before = step.observed.state.subnets if step.observed and isinstance(step.observed.state, Routes) else ()
    now = step.state.subnets if isinstance(step.state, Routes) else ()
    taken = {str(item) for item in now or ()}.difference(map(str, before or ()))
    own = step.observed.id if step.action == "update" and step.observed else str(step.address)
    for known, item in found.items():
        if isinstance(item.state, Routes) and known != own and not taken.isdisjoint(map(str, item.state.subnets or ())):
            left = tuple(subnet for subnet in item.state.subnets or () if str(subnet) not in taken)
            found[known] = replace(item, state=with_fields(item.state, subnets=left))


def _merged(wanted: Properties, found: Properties) -> Properties:
    """The wanted properties. Fields that they don't manage, and unmanaged keys of mappings, stay as they were found."""
    kept: dict[str, Any] = {}
    for name in field_names(type(wanted)):
        value, there = getattr(wanted, name), getattr(found, name)
        if value is None:
            kept[name] = there
        elif isinstance(value, Mapping) and isinstance(there, Mapping):
            kept[name] = {**there, **value}
    return replace(wanted, **kept) if kept else wanted


def _with_members(members: Mapping[str, list[str]], known: str) -> Iterator[str]:
    """The ids of a resource, and of the resources that AWS deletes along with it."""
    yield known
    for member in members.get(known, ()):
        yield from _with_members(members, member)
