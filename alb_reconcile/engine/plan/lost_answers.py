"""Finds the requests that are answered before a plan's steps and wouldn't be after them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from alb_reconcile.engine.answers import Answers
from alb_reconcile.engine.applied_tags import spec_digest
from alb_reconcile.engine.doors import Asked, Door, Reach, Shut, describe_door, find_doors, speaks_http1
from alb_reconcile.engine.safety import ALONE, serves_in
from alb_reconcile.engine.world import COMING, World
from alb_reconcile.engine.zones import target_zone
from alb_reconcile.kinds._health import is_unasked
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.address import Address
from alb_reconcile.model.plan import Plan, Step
from alb_reconcile.model.resource import Observed
from alb_reconcile.model.service import Balancer, DnsName, Frontend, RoutingRule


class Closure(NamedTuple):
    """Requests that would no longer be answered, in words, with the place in the spec; and the keys of the steps that cause it."""

    text: str
    keys: frozenset[str]
    is_emptied: bool = False
    """Whether the cause is a target group without a healthy target, or without one in a zone with a node that asks no other zone."""


def find_closures(plan: Plan, steps: Iterable[Step]) -> list[Closure]:
    """The doors that answer now and wouldn't after those steps of a plan.

    Four sorts of doors are left out:
    - doors of a load balancer that is deleted, since its deletion is counted itself;
    - rules that get other conditions, as the user has written;
    - rules, if the same target groups answer their requests by another rule;
    - doors of a listener that was moved by hand to another port, and returns to the port that was applied.
    """
    steps = tuple(steps)
    before = World(plan.live)
    doors, after = (list(find_doors(before)), _expected(plan, steps, before)) if steps else ([], before)
    answers = Answers(doors, going=after.gone)
    answering = {asked: door for asked, door in answers.find(doors).items() if _answers(door)}
    if not answering:
        return []
    found = _Comparison(plan, steps, before, after, answers).closures(answering)
    return list({closure.text: closure for closure in found}.values())


def find_shrunk(plan: Plan) -> Iterator[str]:
    """The listeners and rules that have far fewer healthy targets for their requests after a change of target groups or weights, in
    words."""
    turning = {
        step.id
        for step in plan.steps
        if step.action == "update" and not (step.attaches or step.takes_away) and _turns(step)
    }
    before = World(plan.live)
    now = [door for door in find_doors(before) if door.item.id in turning and door.healthy] if turning else []
    after = {door.item.id: door for door in find_doors(_expected(plan, plan.steps, before))} if now else {}
    for door in now:
        then = after.get(door.item.id)
        if then and then.count and _capacity(then) < _MUCH_FEWER * _capacity(door):
            names = ", ".join(sorted({str(plan.names.get(item.group, item.group)) for item in then.reaches}))
            yield (
                f"{door.item.address} has {door.healthy} healthy targets now, and {then.count} after this plan; "
                f"min_healthy: {round(_capacity(door))} in {names} would refuse that"
            )


_MUCH_FEWER = 0.8
"""A change counts if the share of targets that is left is below this. A change from 90 % on one group and 10 % on another to all on one
group of the same size leaves nine tenths."""


def _capacity(door: Door) -> float:
    """How many equally busy targets could take the door's requests, if each gets as many as the busiest target does by the weights."""
    parts = action_of(door.item.state).receiving
    total = sum(part.weight for part in parts)
    counts = {item.group: item.count for item in door.reaches}
    shares = {str(part.target_group): part.weight / total if total else 1 / len(parts) for part in parts}
    return min((counts[group] / share for group, share in shares.items() if share), default=0)


def _turns(step: Step) -> bool:
    """Whether a step lets a listener or rule forward to other target groups, or with other weights."""
    found = step.observed.state if step.observed else None
    before, after = action_of(found).receiving, action_of(step.state).receiving
    return before != after


def _answers(door: Door) -> bool:
    """Whether clients get an answer now. A rule counts only if it forwards: a redirect or a fixed response needs no targets."""
    return door.answers and (bool(door.reaches) or not isinstance(door.item.state, RoutingRule))


def _expected(plan: Plan, steps: Iterable[Step], before: World) -> World:
    """The resources after those steps. Targets are expected to become healthy if AWS is still checking them, or doesn't know their health,
    or the spec declares them: an unhealthy one may be repaired."""
    changes = any(step.plays(Balancer) and step.action != "delete" for step in plan.steps)

    def is_expected(item: Observed, _: object) -> bool:
        is_unchecked = is_unasked(item.reason, item.description) or (changes and item.reason == "Target.NotInUse")
        return item.status != "healthy" and (item.status == "initial" or item.address in plan.desired or is_unchecked)

    return before.after(steps).turned(COMING, is_expected)


class _Comparison:
    """Compares the doors before and after some steps of a plan."""

    def __init__(self, plan: Plan, steps: tuple[Step, ...], before: World, after: World, answers: Answers) -> None:
        self.plan, self.steps, self.before, self.after = plan, steps, before, after
        doors = list(find_doors(self.after))
        self.by_asked = answers.find(doors)
        self.by_item = {door.item.id: door for door in doors}

    def closures(self, answering: Mapping[Asked, Door]) -> Iterator[Closure]:
        """The closures of all doors that answer now."""
        told: set[object] = set()
        for asked, door in answering.items():
            is_name = isinstance(door.item.state, DnsName)
            told_of = {asked[:2], *((door.balancer,) if asked in self.by_asked else ())}
            if door.balancer in self.after.gone or (is_name and not told.isdisjoint(told_of)):
                continue  # its load balancer's deletion, its other doors, or the name's other type, is reported
            for closure in self._compare(door, self.by_asked.get(asked)):
                told |= {door.balancer, asked[:2]}
                yield closure

    def _compare(self, door: Door, then: Door | None) -> Iterator[Closure]:
        rule = isinstance(door.item.state, RoutingRule)
        if then is None:
            yield from self._gone(self._own_door(door))
        elif shut := _new(door.barred, then.barred) or _new(
            door.narrow, (item for item in then.narrow if item.what in door.versions)
        ):
            yield from () if rule else (self._close(door, *shut),)
        elif rule and door.item.id not in self.by_item and self._is_left(door, then):
            text = "it would be deleted, so that other rules or the default action of its listener get its requests"
            yield self._close(door, Shut(text, frozenset([door.item.id])))
        elif dark := self._dark(door, then):
            yield from dark
        elif door.reaches and not speaks_http1(self.after, then) and speaks_http1(self.before, door):
            names = ", ".join(self._names(then))
            who = "may get 464" if door.asked[1] == "HTTPS" else "get 464"
            by = frozenset([door.item.id, *(item.group for item in then.reaches)])
            yield self._close(
                door, Shut(f"clients of HTTP/1.1 {who} from {names}, whose protocol_version is another", by)
            )

    def _own_door(self, door: Door) -> Door:
        """The door of a rule's listener, which has the rule's protocol and port; any other door itself."""
        state = door.item.state
        listener = self.before.get(state.listener) if isinstance(state, RoutingRule) else None
        return replace(door, item=listener, asked=door.asked[:3]) if listener else door

    def _dark(self, door: Door, then: Door) -> list[Closure]:
        """The closures by groups without healthy targets, if targets answer the door's requests now."""
        other = then if then.item.id != door.item.id and isinstance(then.item.state, RoutingRule) else None
        return [part for reach in then.reaches if door.reaches for part in self._unanswered(door, reach, other)]

    def _is_left(self, door: Door, then: Door) -> bool:
        """Whether the requests of a deleted rule would get to another target group, and not by a rule that the plan makes or changes."""
        names = {then.item.id, str(then.item.address)}
        is_meant = any(step.id in names or str(step.address) in names for step in self.steps)
        then, is_rule = self._followed(then), isinstance(then.item.state, RoutingRule)
        is_same = set(self._names(door)) <= set(self._names(then)) and then.answers
        return not is_same and not (is_rule and is_meant)

    def _followed(self, found: Door) -> Door:
        """The door itself; for a listener that redirects to another port of its load balancer, the door of that port."""
        told = dict(action_of(found.item.state).redirect)
        if not told or "host" in told:
            return found
        balancer, protocol, number = found.asked[:3]
        port = told.get("port", str(number))
        return self.by_asked.get((balancer, told.get("protocol", protocol), int(port) if port.isdigit() else 0), found)

    def _gone(self, door: Door) -> Iterator[Closure]:
        """The closure of a listener or a record that is deleted, or of a listener that gets another port, unless it returns to the port
        that was applied."""
        found, then = door.item, self.by_item.get(door.item.id) or self.by_item.get(str(door.item.address))
        text, path = "it would be deleted", ""
        if isinstance(found.state, DnsName) and self._leads_on(found.state):
            return  # the user has let the name lead elsewhere
        if then is not None and isinstance(found.state, Frontend) and isinstance(then.item.state, Frontend):
            before, after = (str(state.load_balancer) for state in (found.state, then.item.state))
            path = (
                (found.state.parent or "")
                if before != after
                else "port"
                if found.state.port != then.item.state.port
                else "protocol"
            )
            text = f"its {path} would be {getattr(then.item.state, path)} instead of {getattr(found.state, path)}"
            wanted = self.plan.desired.get(found.address)
            if wanted and spec_digest(found) == wanted.spec_digest:
                return
        yield self._close(door, Shut(text, frozenset([found.id])), path=path)

    def _unanswered(self, door: Door, reach: Reach, other: Door | None) -> Iterator[Closure]:
        """The closures by a group that gets requests and has no target to answer them. `other` is the rule that would take the requests."""
        was = next((item for item in door.reaches if item.group == reach.group), None)
        is_dark = not reach.count and reach.is_known and (was is None or was.healthy > 0)
        if reach.count:
            yield from self._empty_zones(door, reach)
        if not is_dark or reach.group in self.after.gone:
            return  # a forward to a deleted group is refused by another check
        if reach.lost:  # a target that was blocked before and is healthy for AWS can be reached: only new reasons count
            if shuts := _new(was.lost if was else (), reach.lost):
                yield self._close(door, *shuts, by=other)
            return
        name = self.plan.names.get(reach.group) or Address.parse(reach.group)
        there = self.before.targets.get(reach.group, ())
        leaving = [item.id for item, _ in there if item.id in self.after.gone]
        wanted = self.plan.desired.get(name)
        if leaving or (was is None and wanted is not None and wanted.lifecycle.members):  # else others register them
            what = "target, so that they are answered with 503" if len(there) == len(leaving) else "healthy target"
            text = f"{name} would get requests and have no {what}"
            yield Closure(text, self._keys(frozenset(leaving or [door.item.id])), is_emptied=True)

    def _empty_zones(self, door: Door, reach: Reach) -> Iterator[Closure]:
        """The closures in zones with a node that answers now and would no longer reach a target."""
        name, there = self.plan.names.get(reach.group) or reach.group, self.before.targets.get(reach.group, ())
        for zone, part in reach.zones.items():
            if part.count or not serves_in(door, reach.group, zone):
                continue
            if part.lost:
                yield self._close(door, *part.lost)
                continue
            near = [item.id for item, state in there if target_zone(self.before, item, state) == zone]
            by = frozenset(known for known in near if known in self.after.gone) or frozenset(
                [reach.group, door.item.id]
            )
            yield Closure(f"{name} would have no healthy target in {zone}, {ALONE}", self._keys(by), is_emptied=True)

    def _leads_on(self, record: DnsName) -> bool:
        """Whether the name still has a record of that type; or, if it loses its AAAA record, an A record, which clients then use."""
        types = (record.type, "A") if record.type == "AAAA" else (record.type,)
        states = (item.state for item in self.after.items.values())
        return any(
            isinstance(state, DnsName)
            and (state.zone, state.name) == (record.zone, record.name)
            and state.type in types
            for state in states
        )

    def _close(self, door: Door, *shuts: Shut, path: str = "", by: Door | None = None) -> Closure:
        keys = self._keys(frozenset().union(*(shut.by for shut in shuts)))
        keys, why = self._decisive(door, keys), "; ".join(shut.text for shut in shuts)
        if by is not None:
            keys, why = (
                self._keys(frozenset([by.item.id])) or keys,
                f"{by.item.address} would take its requests, and answers none: {why}",
            )
        step = next((step for step in self.steps if step.key in keys and step.desired), None)
        place = self._place_of(step, path) if step and step.desired else self._place_before(door.item)
        return Closure(f"{place}: {describe_door(door)} answers now, and wouldn't after this plan: {why}", keys)

    def _decisive(self, door: Door, keys: frozenset[str]) -> frozenset[str]:
        """The steps without each of which the door would answer; all steps if no single one decides."""
        if len(keys) > _MOST_KEYS:
            return keys
        taking = {step.key for step in self.steps if step.key in keys and step.action in ("update", "delete")}
        found, keys = set(), frozenset(taking) or keys
        for key in keys if len(keys) > 1 else ():
            world = _expected(self.plan, (step for step in self.steps if step.key != key), self.before)
            then = next((item for item in find_doors(world) if item.asked == door.asked), None)
            if then and then.answers and not _new(door.barred, then.barred):
                found.add(key)
        return frozenset(found) or keys

    def _place_of(self, step: Step, path: str) -> str:
        """The place in the spec of the change that a step makes."""
        paths = [path, *(change.path for change in step.changes)]
        return step.desired.at(next(filter(None, paths), "")) if step.desired else ""

    def _place_before(self, item: Observed | None) -> str:
        """The place in the spec of the nearest declared entry around a resource without an entry of its own."""
        while item is not None:
            if item.address in self.plan.desired:
                return self.plan.desired[item.address].at()
            item = self.before.get(item.parent_id)
        return next((wanted.file for wanted in self.plan.desired.values()), "SPEC")

    def _keys(self, ids: frozenset[str]) -> frozenset[str]:
        """The keys of the steps on those resources, and on resources that are made in their place."""
        return frozenset(
            step.key for step in self.steps if step.id in ids or (step.action != "delete" and str(step.address) in ids)
        )

    def _names(self, door: Door) -> list[str]:
        return [str(self.plan.names.get(item.group, item.group)) for item in door.reaches]


_MOST_KEYS: Final = 8
"""The most steps that are tried one by one: each needs all doors to be computed again."""


def _new(before: Iterable[Shut], after: Iterable[Shut]) -> list[Shut]:
    known = {shut.reason for shut in before}
    return [shut for shut in after if shut.reason not in known]
