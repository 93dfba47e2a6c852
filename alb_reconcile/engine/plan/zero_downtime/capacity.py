"""Decides how many healthy targets must stay, or be there first, when requests move."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field, replace

from alb_reconcile.engine.needs import Needed, needs
from alb_reconcile.engine.plan.decide import rests
from alb_reconcile.engine.plan.graph import Graph
from alb_reconcile.engine.plan.zero_downtime.costs import group_of, healthy_targets, recovery_of
from alb_reconcile.engine.plan.zero_downtime.forwards import (
    forward_after,
    forward_before,
    group_address,
    receiving_groups,
    shares_of,
    started,
    taken_up,
    turned_to,
)
from alb_reconcile.engine.plan.zero_downtime.proofs import proofs_of
from alb_reconcile.engine.plan.zero_downtime.requests import Turns
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.actions import Forward
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.decisions import DUPLICATE
from alb_reconcile.model.errors import RefusedError
from alb_reconcile.model.plan import Step
from alb_reconcile.model.resource import Rollout, bind, each_of
from alb_reconcile.model.service import Balancer, DnsName, Frontend, Member, RoutingRule
from alb_reconcile.model.steps import HEALTH_TIMEOUT, Deregister, Register, Shift, TakeOver, Wanted


def guard_capacity(graph: Graph, turns: Turns) -> None:
    """Write into each step that moves requests how many targets must be healthy: when a target leaves a group, a forward gives a group a
    larger share, or a load balancer is deleted.

    Assumes the final set of steps. Guarantees that each deregistration from a group that gets requests, each forward that gives a group a
    larger share, and each deletion of a load balancer with successors has the number of healthy targets that there must be. The kinds wait
    for that number immediately before their call, whatever the plan has seen. Raises RefusedError for more targets than there can be.
    """
    minima = _Minima.of(graph)
    receiving = receiving_groups(graph)
    _guard_arrivals(graph, minima)
    _guard_new_rules(graph, minima, receiving, turns)
    _guard_takeovers(graph, minima)
    asked = (receiving | turned_to(graph)) - graph.deleted
    departures = [step for step in graph.of(Member, "delete") if group_of(step) in asked]
    _guard_departures(graph, minima, departures)
    handed_on = _handed_on(graph, minima)
    for step in graph.of(Member, "delete"):
        if group_of(step) in handed_on:
            graph.specify(step.key, replace(step.detail(Deregister), keeps_all=True))


def keeping_some(graph: Graph) -> set[str]:
    """The ids of the groups that keep at least one healthy target while other targets leave."""
    minima = _Minima.of(graph)
    return {str(group) for group in minima.healthy if minima.to_keep(str(group)) and minima.healthy[group]}


def is_down(graph: Graph, groups: Container[Ref]) -> bool:
    """Whether targets of these groups (by ARN) are unhealthy, and none is healthy or may be soon: then there is nothing to lose."""
    states = {item.status for item, state in each_of(graph.decisions.live, Member) if state.target_group in groups}
    return "unhealthy" in states and states.isdisjoint(("healthy", "initial"))


def rollout_of(graph: Graph, address: Address) -> Rollout:
    """The rollout settings of an instance."""
    decision = graph.decisions.desired.get(address)
    return decision.desired.lifecycle.rollout if decision else Rollout()


@dataclass
class _Minima:
    """Numbers of each target group, by its id if it has one: what the spec says (`needs`), targets that run, instances that are stopped
    (`asleep`), other targets that stay, existing ones (`there`), healthy ones, and ones still being checked (`initial`); and how long to
    wait."""

    graph: Graph
    needs: dict[Ref, Needed]
    running: dict[Ref, set[Address]] = field(default_factory=lambda: defaultdict(set))
    asleep: dict[Ref, list[Ref]] = field(default_factory=lambda: defaultdict(list))
    others: Counter[Ref] = field(default_factory=Counter)
    there: Counter[Ref] = field(default_factory=Counter)
    healthy: Counter[Ref] = field(default_factory=Counter)
    initial: Counter[Ref] = field(default_factory=Counter)
    timeout: dict[Ref, int] = field(default_factory=dict)

    @classmethod
    def of(cls, graph: Graph) -> _Minima:
        wanted = {address: item.desired for address, item in graph.decisions.desired.items()}
        found = cls(graph, needs(wanted, graph.decisions.ids))
        named: dict[Ref, set[str]] = defaultdict(set)
        for arn, item in graph.groups.items():
            named[item.address].add(arn)
        down = {address for address, groups in named.items() if is_down(graph, groups)}
        known = {decision.found.id for decision in graph.decisions.desired.values() if decision.found} | graph.deleted
        for item, registered in each_of(graph.decisions.live, Member):
            found.others[registered.target_group] += item.id not in known and not item.is_leaving
            found.there[registered.target_group] += not item.is_leaving
            found.healthy[registered.target_group] += item.status == "healthy"
            found.initial[registered.target_group] += item.status == "initial"
        for _, absent in each_of(graph.decisions.resting, Member):
            found.asleep[bind(absent.target_group, graph.decisions.ids)].append(absent.target)
        for decision in graph.decisions.desired.values():
            state = decision.desired.state
            if not isinstance(state, Member):
                continue
            group = bind(state.target_group, graph.decisions.ids)
            if rests(decision.desired, graph.decisions):
                found.asleep[group].append(state.target)
            else:
                found.running[group].add(decision.desired.address)
            if isinstance(state.target, Address):
                rollout = rollout_of(graph, state.target)
                found.timeout[group] = max(found.timeout.get(group, 0), rollout.health_timeout)
                maker = graph.makers.get(decision.desired.address)
                if maker:
                    how = graph.steps[maker].detail(Register)
                    min_ready = 0 if state.target_group in down else rollout.min_ready
                    paced = replace(how, health_timeout=rollout.health_timeout, min_ready=min_ready)
                    graph.specify(maker, paced)
        return found

    def by_spec(self, group: Ref) -> Needed:
        """What the spec says of a group."""
        return self.needs.get(group, Needed())

    def to_keep(self, group: str) -> int:
        """How many of a group's targets must stay healthy while others leave."""
        return self.by_spec(group).to_keep(self.healthy[group] + self.initial[group])

    def before_more(self, group: Ref, losing: Sequence[str]) -> Wanted:
        """How many healthy targets a group (by address, if the stack's) needs before it may be given a larger share of the requests.

        Unless the spec has a number, the group needs no more than are healthy, or may be soon, in the groups that lose their share, and
        none if those have no targets at all. A stopped instance, which `state: any` allows, isn't waited for, but counts as missing.
        """
        decision = self.graph.decisions.desired.get(group) if isinstance(group, Address) else None
        if decision is None:
            return Wanted(group, 1, 1)  # another stack's group
        own, known = decision.desired.lifecycle, bind(group, self.graph.decisions.ids)
        if (least := self.by_spec(known).min_healthy) is not None:
            return Wanted(group, least, least, frozenset(self.running[known]))
        able, declared = 1, 1
        if own.members:
            able = len(self.running[known])
            declared = able + len(self.asleep[known])
        targets = max(declared - self.by_spec(known).slack, 0)
        serve = sum(self.healthy[old] + self.initial[old] for old in losing)
        least = 1 if not losing or any(self.there[old] for old in losing) else 0
        enough = max(min(targets, serve), min(declared + self.others[known], least))
        return Wanted(group, max(min(targets, able), enough), enough, frozenset(self.running[known]))

    def serve(self, groups: Iterable[Ref]) -> bool:
        """Whether one of these groups (by ARN) has a healthy target, or may have one soon, or isn't the stack's."""
        return any(self.healthy[arn] + self.initial[arn] or arn not in self.graph.groups for arn in groups)

    def at_most(self, group: Ref) -> int | None:
        """How many healthy targets a group can have, if the spec declares its targets."""
        decision = self.graph.decisions.desired.get(group) if isinstance(group, Address) else None
        if decision is None or not decision.desired.lifecycle.members:
            return None
        known = bind(group, self.graph.decisions.ids)
        return len(self.running[known]) + self.others[known]

    def health_timeout(self, groups: Iterable[Ref]) -> int:
        """How long to wait for the slowest of these groups, in seconds."""
        known = (bind(group, self.graph.decisions.ids) for group in groups)
        return max((self.timeout[group] for group in known if group in self.timeout), default=HEALTH_TIMEOUT)


def _guard_departures(graph: Graph, minima: _Minima, departures: Iterable[Step]) -> None:
    if graph.destroy:
        return
    for step in departures:
        going = step.observed.state if step.observed else None
        if isinstance(going, Member):
            group = str(going.target_group)
            least, name = minima.to_keep(group), graph.addresses.get(group, group)
            keeps_all = least > 0 and not minima.by_spec(group).slack
            how = replace(step.detail(Deregister), least=least, keeps_all=keeps_all)
            graph.specify(step.key, replace(how, health_timeout=minima.health_timeout([group])))
            if minima.healthy[group] < minima.there[group]:
                now = f"{minima.healthy[group]} of {minima.there[group]} targets are healthy now"
                graph.say(step.key, effects=f"{name}: {now}")
            if going.outlives_parent or (
                step.observed and (step.observed.is_leaving or step.observed.status == "unused")
            ):
                continue  # the target gets no requests now, or is a function
            if least:
                serves = step.observed is not None and step.observed.status == "healthy"
                waits = step.reason == DUPLICATE and serves and minima.healthy[group] <= least
                then = ", so this waits until enough others are healthy" * waits
                graph.say(step.key, effects=f"{name} keeps {healthy_targets(least)}{then}")
            elif minima.healthy[group] + minima.initial[group]:
                graph.say(step.key, effects=f"{name} may be left without a healthy target")


def _guard_arrivals(graph: Graph, minima: _Minima) -> None:
    for step in graph.forwarding("update"):
        if not step.attaches and _forwarded(step):
            groups = taken_up(graph, step)
            serving = tuple(sorted({str(item.target_group) for item in forward_before(step)}))
            kept = {bind(group, graph.decisions.ids) for group in groups}
            losing = [str(group) for group in shares_of(forward_before(step)) if group not in kept]
            heirs = _heirs(graph, forward_before(step), forward_after(step))
            awaits = tuple(
                minima.before_more(group, [old for old in losing if heirs.get(old, group) == group]) for group in groups
            )
            if any(minima.healthy[group] for group in serving):
                _refuse_the_impossible(step, awaits, minima)
            shift = Shift(awaits=awaits, serving=serving, health_timeout=minima.health_timeout(groups))
            proofs = tuple(proofs_of(graph, step, groups))
            for proof in proofs:
                if proof.checks:
                    graph.say(
                        step.key,
                        waits=f"{proof.group} answers {len(proof.checks)} checks that no other request reaches",
                    )
            left = {str(part.target_group) for part in forward_before(step)}
            standby = tuple((known, seconds) for known, seconds in sorted(graph.standby.items()) if known in left)
            graph.specify(step.key, replace(shift, recovery=recovery_of(graph, groups), proofs=proofs, standby=standby))
            asked = {proof.group for proof in proofs}
            for made in graph.of(RoutingRule, "create"):  # which nothing asks
                if asked & {part.target_group for part in forward_after(made)}:
                    graph.rather_after(made.key, step.key)


def _heirs(graph: Graph, forward: tuple[Forward, ...], then: tuple[Forward, ...]) -> dict[str, Address]:
    """The replaced groups, by ARN, with the address of their replacement, if that takes over their whole share of the requests."""
    before, after = shares_of(forward), shares_of(then)
    names = {item.id: item.address for item in graph.decisions.live if item.id in before}
    had = {name: sum(before[old] for old in names if names[old] == name) for name in names.values()}
    return {old: name for old, name in names.items() if after.get(name, 0) >= had[name]}


def _refuse_the_impossible(step: Step, awaits: Iterable[Wanted], minima: _Minima) -> None:
    for group, _, enough, *_ in awaits:
        most = minima.at_most(group)
        if most is not None and most < enough:
            asleep = ", ".join(map(str, dict.fromkeys(minima.asleep[bind(group, minima.graph.decisions.ids)])))
            raise RefusedError(
                f"{step.address}: {group} can have {most} healthy targets at most, and needs {enough} before it gets requests that others "
                f"serve now; {f'start {asleep}, or ' * bool(asleep)}declare more targets for it"
            )


def _handed_on(graph: Graph, minima: _Minima) -> set[str]:
    """The replaced groups, by ARN, from which requests turn only to replacements with as many healthy targets: each listener or rule that
    sends requests to such a group now waits for as many as the spec declares, or as can be healthy now if these are fewer."""
    turns = {step.id: step for step in graph.forwarding("update") if not step.attaches and not step.takes_away}
    found: dict[str, set[bool]] = defaultdict(set)
    for item in graph.decisions.live:
        for group in {str(part.target_group) for part in action_of(item.state).receiving} & graph.deleted:
            step = turns.get(item.id)
            found[group].add(step is not None and _waits_for_all(graph, minima, step, group))
    return {group for group, all_wait in found.items() if all_wait == {True}}


def _waits_for_all(graph: Graph, minima: _Minima, step: Step, old: str) -> bool:
    heir = _heirs(graph, forward_before(step), forward_after(step)).get(old)
    awaited = next((wanted.enough for wanted in step.detail(Shift).awaits if wanted.group == heir), 0)
    group = bind(heir, graph.decisions.ids) if heir else ""
    least = min(minima.by_spec(group).least, minima.healthy[old] + minima.initial[old])
    return not minima.by_spec(group).slack and 0 < least <= awaited


def _guard_new_rules(graph: Graph, minima: _Minima, receiving: set[str], turns: Turns) -> None:
    """Set the numbers for listeners and rules that didn't forward before, and for rules with changed conditions. Such a step may forward to
    any group that the spec names, with one exception: if it takes requests over from listeners or rules that are deleted or changed, it
    waits for checked groups with too few healthy targets, and the plan is refused if too many of a group's instances are stopped. While
    others serve, the step waits for groups that get no requests yet, or that have no healthy target, but some that may be healthy soon."""
    coming = started(graph)
    now = {str(part.target_group) for item in graph.decisions.live for part in action_of(item.state).receiving}
    checked = {str(part.target_group) for item in graph.decisions.live for part in action_of(item.state).forward}
    for step in graph.steps.values():
        if step.attaches:
            checked.update(str(bind(item.target_group, graph.decisions.ids)) for item in action_of(step.state).forward)
    for step in [*graph.of(RoutingRule, "create", "update"), *graph.of(Frontend, "update")]:
        if step.attaches or step.takes_away:
            continue
        is_new = not _forwarded(step)
        groups = taken_up(graph, step) if is_new else shares_of(forward_after(step)) if turns.givers(step) else ()
        bound = {group: bind(group, graph.decisions.ids) for group in groups}
        known = {group: arn for group, arn in bound.items() if arn in checked}
        asleep = [group for group, arn in bound.items() if minima.asleep[arn]]
        idle = set(known.values()) - receiving if is_new else set()
        soon = {
            arn for group, arn in known.items() if group in coming or (minima.initial[arn] and not minima.healthy[arn])
        }
        hopes = [minima.before_more(group, ()) for group, arn in known.items() if arn in idle]
        hopes += [Wanted(group, 1, 1) for group, arn in known.items() if arn in soon - idle]
        how = replace(step.detail(Shift), health_timeout=minima.health_timeout(known))
        givers = turns.leaving(step)
        serving = {str(group) for found in givers for group in shares_of(action_of(found.state).forward)}
        if (known or asleep) and serving and not how.awaits and not serving & set(bound.values()):
            gone = [
                str(group)
                for found in givers
                if found.id in graph.deleted
                for group in shares_of(action_of(found.state).forward)
            ]
            awaits = tuple(minima.before_more(group, gone) for group, arn in known.items() if minima.there[arn])
            if any(minima.healthy[arn] for arn in serving):
                able = (minima.before_more(group, gone) for group in asleep)
                _refuse_the_impossible(step, (*awaits, *able), minima)
            how = replace(how, awaits=awaits, serving=tuple(sorted(serving)), recovery=recovery_of(graph, known))
            graph.specify(step.key, how)
        elif hopes and minima.serve(now):
            graph.specify(step.key, replace(how, hopes=tuple(hopes)))


def _forwarded(step: Step) -> bool:
    """Whether a step's listener or rule forwards already: then other groups serve the requests until the step."""
    return step.action == "update" and bool(forward_before(step))


def _guard_takeovers(graph: Graph, minima: _Minima) -> None:
    """Let a load balancer be deleted when the groups that take over from its own are healthy, unless it must be deleted first."""
    for step in graph.of(Balancer, "delete"):
        takeover = step.detail(TakeOver)
        if takeover.groups and takeover.takers <= graph.edges[step.key].keys():
            awaits = tuple(_awaited(graph, minima, step, takeover))
            shift = replace(takeover.shift, awaits=awaits, health_timeout=minima.health_timeout(takeover.groups))
            takeover = replace(takeover, shift=replace(shift, recovery=recovery_of(graph, takeover.groups)))
            graph.specify(step.key, takeover)
        for name in graph.of(DnsName, "update") if takeover.groups else ():  # a name is changed when the new one serves
            if name.observed and isinstance(name.observed.state, DnsName) and name.observed.state.alias == step.id:
                graph.specify(name.key, takeover)


def _awaited(graph: Graph, minima: _Minima, gone: Step, takeover: TakeOver) -> Iterable[Wanted]:
    """How many healthy targets each group needs to take over from a load balancer that is deleted. A new listener or rule counts as a
    change of the old one with the same name; without such an old one, it may take over from any of the load balancer's groups. If none of
    the groups serves now, no healthy target is needed."""
    above = {item.id: item.parent_id for item in graph.decisions.live}
    before = {
        _place(item.address): action_of(item.state).forward
        for item in graph.decisions.live
        if gone.id in (item.parent_id, above.get(item.parent_id or ""))
    }
    found: dict[Ref, Wanted] = {}
    for address, decision in graph.decisions.desired.items():
        if graph.decisions.entrance_of(decision.desired) in takeover.successors:
            forward, then = before.get(_place(address), ()), action_of(decision.desired.state).forward
            heirs, losing = _heirs(graph, forward, then), shares_of(forward) or takeover.shift.serving
            for group in shares_of(then).keys() & takeover.groups:
                own = [old for old in takeover.shift.serving if group_address(graph, old) == group]
                is_served = minima.serve((*losing, *own))
                wanted = minima.before_more(group, [str(old) for old in losing if heirs.get(str(old), group) == group])
                wanted = wanted if is_served else wanted._replace(enough=0)
                found[group] = max(wanted, found.get(group, wanted))
    return (found[group] for group in takeover.groups)


def _place(address: Address) -> str:
    """The name of a listener or rule within its load balancer."""
    return address.name.partition("/")[2]
