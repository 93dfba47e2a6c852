"""Adds new target groups at weight 0 to a forward, so that their targets are checked before they get requests."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from alb_reconcile.engine.plan.graph import Graph
from alb_reconcile.engine.plan.zero_downtime.forwards import (
    forward_after,
    forward_before,
    joining,
    serving_groups,
    shares_of,
    wait_for_health,
)
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.actions import Forward, is_opaque
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.decisions import Decision
from alb_reconcile.model.errors import RefusedError
from alb_reconcile.model.plan import Act, Need, Step
from alb_reconcile.model.resource import Change, Desired, Lifecycle, Properties, bind
from alb_reconcile.model.service import Frontend, Member, Pool, RoutingRule
from alb_reconcile.model.steps import Attach

MOST_GROUPS: Final = 5


def attach_new_groups(graph: Graph) -> None:
    """Add each group that is new, or that no load balancer checks (any more), at weight 0 to a forward in use, until the group's targets
    are healthy.

    Assumes that rules have their order. Guarantees that the registrations in such a group follow the step that adds the group to a forward,
    so that the targets' health is known. If no forward has room, the group isn't added; a plan is refused if requests would then have to
    switch at once. Raises RefusedError.
    """
    orphans = _orphans(graph)
    members = joining(graph)
    new = {*_unchecked(graph, members), *orphans}
    places = _beside_the_old(graph, new, members)
    places |= _beside_the_default(graph, new - places.keys(), members)
    for group, releasing in orphans.items():
        for key in releasing:
            graph.after(key, places.get(group))


def _unchecked(graph: Graph, members: Mapping[Ref, list[str]]) -> Iterator[Ref]:
    """The groups that have targets, or get them, and that aren't checked, because nothing forwards to them yet."""
    serving = serving_groups(graph)
    joined = {item.state.target_group for item in graph.decisions.live if isinstance(item.state, Member)}
    for address, decision in graph.decisions.desired.items():
        for item in action_of(decision.desired.state).forward:
            if isinstance(item.target_group, str) and item.target_group not in serving:
                yield item.target_group  # another stack's group; its targets aren't known
        if isinstance(decision.desired.state, Pool):
            known = graph.decisions.ids.get(address)
            if known not in serving and (known is None or address in members or known in joined):
                yield address


def _orphans(graph: Graph) -> dict[Ref, list[str]]:
    """The groups that aren't deleted, and to which no listener or rule of today will forward any more; with the steps that stop
    forwarding."""
    releasing: dict[str, list[str]] = defaultdict(list)
    users: Counter[str] = Counter()
    steps = {step.id: step for step in graph.forwarding("update", "delete")}
    for item in graph.decisions.live:
        groups = {str(part.target_group) for part in action_of(item.state).forward}
        users.update(groups)
        step = steps.get(item.id)
        kept = set()
        if step is not None and step.action == "update":
            forward = action_of(step.state).forward
            kept = {bind(part.target_group, graph.decisions.ids) for part in forward}
        key = step.key if step else graph.implied.get(item.id)
        if key is not None:
            for group in groups - kept:
                releasing[group].append(key)
    stay = {known: graph.addresses.get(known, known) for known in releasing if known not in graph.deleted}
    return {name: releasing[known] for known, name in stay.items() if len(releasing[known]) == users[known]}


def _beside_the_old(graph: Graph, new: set[Ref], members: Mapping[Ref, list[str]]) -> dict[Ref, str]:
    """Add groups to the listener or rule that is going to forward to them. Returns the keys of the steps that do so, by group.

    Raises RefusedError if there is no room.
    """
    attached: dict[Ref, str] = {}
    for step in graph.forwarding("update"):
        before = forward_before(step)
        groups = (item.target_group for item in forward_after(step) if item.target_group in new - attached.keys())
        have = {graph.addresses.get(str(item.target_group), item.target_group) for item in before}
        wanted = tuple(group for group in groups if group not in have)
        if not before or not wanted or step.desired is None:
            continue
        if len(before) + len(wanted) > MOST_GROUPS:
            raise RefusedError(
                f"{step.address} forwards to {len(before)} groups, and AWS allows five, so {len(wanted)} more can't be added at weight 0 and checked "
                "before they serve; remove groups of weight 0 first, or switch over in two steps"
            )
        key = _attach(graph, graph.decisions.desired[step.address], wanted, members)
        graph.after(step.key, key)
        attached |= dict.fromkeys(wanted, key)
    return attached


def _beside_the_default(graph: Graph, new: set[Ref], members: Mapping[Ref, list[str]]) -> dict[Ref, str]:
    """Add the groups of a new rule, or of an action that didn't forward before, to another forward of the same listener, and remove them
    from there afterwards. Returns the keys of the steps that add them, by group.

    If no forward of the listener has room, the group can't be checked before it gets requests.
    """
    hosts: dict[Address, _Host] = {}
    guests: dict[Address, list[tuple[str, tuple[Ref, ...]]]] = defaultdict(list)
    given: dict[Address, set[Ref]] = defaultdict(set)
    for step in [
        *graph.of(RoutingRule, "create"),
        *graph.of(RoutingRule, "update"),
        *graph.of(Frontend, "update"),
    ]:
        wanted = step.desired.state if step.desired else None
        groups = tuple(group for group in shares_of(forward_after(step)) if group in new)
        listener = wanted.listener if isinstance(wanted, RoutingRule) else step.address
        if groups and isinstance(listener, Address) and not step.attaches:
            host = _host(graph, listener, groups, given)
            if host is not None:
                given[host.address].update(groups)
                hosts[host.address] = host
                guests[host.address].append((step.key, groups))
    attached: dict[Ref, str] = {}
    for address, visits in guests.items():
        host = hosts[address]
        for key, _ in visits:
            graph.after(host.ends, key, Need.ORDER)
        visitors = dict.fromkeys(group for _, groups in visits for group in groups)
        have = {graph.addresses.get(str(item.target_group), item.target_group) for item in host.forward}
        groups = tuple(group for group in visitors if group not in attached and group not in have)
        if not groups or len(host.forward) + len(_beside(graph, host.decision)) + len(groups) > MOST_GROUPS:
            continue
        attach = _attach(graph, host.decision, groups, members)
        attached |= dict.fromkeys(groups, attach)
        graph.after(host.ends, attach)
        detach = host.ends or _detach(graph, host, attach, groups)
        for key, _ in visits:
            graph.after(key, attach, Need.ORDER if host.ends else Need.DONE)
            graph.after(detach, key, Need.ORDER if host.ends else Need.DONE)
    return attached


class _Host(NamedTuple):
    """A listener or rule with a forward to which groups may be added. `ends` is the step that changes its action or deletes it; without
    such a step, a step of its own removes the groups again."""

    decision: Decision
    ends: str | None

    @property
    def address(self) -> Address:
        return self.decision.desired.address

    @property
    def forward(self) -> tuple[Forward, ...]:
        return action_of(self.decision.found.state if self.decision.found else None).forward


def _host(graph: Graph, listener: Address, groups: tuple[Ref, ...], given: Mapping[Address, set[Ref]]) -> _Host | None:
    """A listener or rule with a forward that has room: preferably one that the plan doesn't change, or that forwards to the groups
    already."""
    hosts = [
        _Host(item, _ends(graph, item))
        for address, item in graph.decisions.desired.items()
        if address == listener
        or (isinstance(item.desired.state, RoutingRule) and item.desired.state.listener == listener)
    ]
    known = graph.decisions.ids.get(listener)
    for found, _ in graph.decisions.to_delete.values():
        if (
            isinstance(found.state, RoutingRule)
            and found.parent_id == known
            and found.address not in graph.decisions.desired
        ):
            gone = Desired(found.address, found.state, found.state, {}, Lifecycle(), "")
            hosts.append(_Host(Decision(gone, found.state, found), graph.removers.get(found.id)))
    wanted = set(groups)

    def stand(host: _Host) -> set[Ref]:
        return {graph.addresses.get(str(item.target_group), item.target_group) for item in host.forward}

    def is_free(host: _Host) -> bool:
        beside = {*_beside(graph, host.decision), *given.get(host.address, ()), *wanted}
        action = action_of(host.decision.found.state if host.decision.found else None)
        has_room = len(host.forward) + len(beside - stand(host)) <= MOST_GROUPS
        return (
            bool(host.forward) and not host.decision.forces and has_room and not any(map(is_opaque, action.unsupported))
        )

    def rank(host: _Host) -> tuple[bool, bool, bool]:
        return host.ends is not None, not wanted <= stand(host), host.address in graph.makers

    return min(filter(is_free, hosts), key=rank, default=None)


def _ends(graph: Graph, host: Decision) -> str | None:
    key = graph.makers.get(host.desired.address, "")
    field = host.desired.state.action_field
    is_other = key and field in graph.steps[key].tops
    return key if is_other else None


def _key(host: Decision) -> str:
    return f"attach:{host.desired.address}@{host.found.id if host.found else ''}"


def _beside(graph: Graph, host: Decision) -> tuple[Ref, ...]:
    """The groups that are already going to be added to a listener's or rule's forward."""
    key = _key(host)
    return graph.steps[key].detail(Attach).groups if key in graph.steps else ()


def _detach(graph: Graph, host: _Host, attach: str, groups: tuple[Ref, ...]) -> str:
    """Remove groups again that were added to a forward. Returns the step's key."""
    decision, found = host.decision, host.decision.found
    key = attach.replace("attach:", "detach:", 1)
    graph.add(
        Step(
            "update", host.address, found.id if found else None, key, reason="the new group has taken over",
            changes=(Change(_path(decision.state), (*host.forward, *(Forward(group, 0) for group in groups)), host.forward),),
            desired=decision.desired, state=decision.state, observed=found, act=Act.CLEAN_UP,
        )
    )  # fmt: skip
    return key


def _attach(graph: Graph, host: Decision, groups: tuple[Ref, ...], members: Mapping[Ref, list[str]]) -> str:
    """Add groups at weight 0 to the forward that a listener or rule has now. Returns the step's key."""
    found, groups = host.found, (*_beside(graph, host), *groups)
    assert found is not None  # noqa: S101 (for mypy: callers look)
    before = action_of(found.state).forward
    beside = (*before, *(Forward(group, 0) for group in groups))
    used = {str(part.target_group) for item in graph.decisions.live for part in action_of(item.state).forward}
    idle = tuple(group for group in groups if bind(group, graph.decisions.ids) not in used)
    key = _key(host)
    state = replace(found.state, **{found.state.action_field: replace(action_of(found.state), forward=beside)})
    graph.add(
        Step(
            "update", host.desired.address, found.id, key, reason="adds the new group at weight 0, to be checked",
            changes=(Change(_path(found.state), before, beside),), desired=replace(host.desired, state=state),
            state=bind(state, graph.decisions.ids), observed=found, details=Attach(groups, idle),
        )
    )  # fmt: skip
    for group in groups:
        if isinstance(group, Address):
            graph.after(key, graph.makers.get(group))
        for registration in members.get(group, ()):
            graph.after(registration, key)
            wait_for_health(graph, registration)
    return key


def _path(state: Properties) -> str:
    return f"{state.action_field}.forward"
