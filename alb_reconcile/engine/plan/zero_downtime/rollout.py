"""Instance groups: how many members change at a time, and how many must stay healthy meanwhile."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from alb_reconcile.aws.client import batches
from alb_reconcile.engine.plan.decide import DUPLICATE
from alb_reconcile.engine.plan.graph import MAKING, Graph, Strength
from alb_reconcile.engine.plan.zero_downtime.capacity import guard_capacity, is_down, rollout_of
from alb_reconcile.engine.plan.zero_downtime.costs import delay_of
from alb_reconcile.engine.plan.zero_downtime.departures import RESTARTED
from alb_reconcile.engine.plan.zero_downtime.forwards import dropped, receiving_groups, serving_groups
from alb_reconcile.kinds.registration import Registration
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.errors import RefusedError
from alb_reconcile.model.plan import Step
from alb_reconcile.model.resource import Rollout, bind, each_of, stops
from alb_reconcile.model.steps import Deregister, Launch, Register

STOPS: Final = "stops the instance"
_OPEN: Final = "open requests have had their group's deregistration delay"


def add_rollout(graph: Graph) -> None:
    """Pace replacements and restarts, and tell each departure how many targets it must leave behind.

    Assumes all other edges, of which it turns some round (without surge the old member goes first). Guarantees that no more
    members than `max_surge` or `max_unavailable` are changed at a time, and that every departure knows what it must leave. Where
    nothing is healthy, members with surge are all replaced at once.
    """
    _leave_for_restarts(graph)
    _pace(graph)
    guard_capacity(graph)


def _leave_for_restarts(graph: Graph) -> None:
    """An instance that is stopped for a change leaves its target groups before and returns after."""
    registered, serving = graph.registered, serving_groups(graph)
    parked = serving - receiving_groups(graph) - _turned_to(graph)
    for step in graph.of_kind("instance", "update"):
        if (
            step.id is None
            or step.desired is None
            or not (_is_switched_off(step) or stops(step.changes, type(step.desired.state)))
        ):
            continue
        graph.say(step.key, effects=STOPS)
        for item in registered[step.id]:
            gone = graph.removers.get(item.id)
            if gone is None:
                is_checked = getattr(item.state, "target_group", "") in serving
                leaves = Step("delete", item.address, item.id, reason=RESTARTED, observed=item)
                decision = graph.decisions.desired.get(item.address)
                if decision is None and item.status in ("healthy", "initial") and item.parent_id not in parked:
                    group = graph.groups[str(item.parent_id)].address
                    raise RefusedError(
                        f"{step.address} would be stopped while it serves in {group}, where others have registered it; deregister it "
                        f"there first, by hand, or declare it in the targets of {group}"
                    )
                if decision is None:
                    continue
                returns = replace(leaves, action="replace", key="", desired=decision.desired, state=item.state)
                graph.add(replace(returns, details=Register(is_checked=is_checked)))
                graph.add(replace(leaves, part_of=returns.key))
                graph.after(returns.key, step.key)
                gone = leaves.key
            graph.after(step.key, gone)


def _turned_to(graph: Graph) -> set[str]:
    """The groups, by ARN, that get requests when the run has ended."""
    wishes = (decision.desired.state for decision in graph.decisions.desired.values())
    return {
        str(bind(part.target_group, graph.decisions.ids)) for state in wishes for part in action_of(state).receiving
    }


def _is_switched_off(step: Step) -> bool:
    return any(change.path == "state" and change.after == "stopped" for change in step.changes)


def _pace(graph: Graph, surge: bool = False) -> None:
    groups: dict[str, list[Step]] = defaultdict(list)
    for step in [*graph.of_kind("instance", "replace"), *graph.of_kind("instance", "update")]:
        group = step.desired.lifecycle.group if step.desired else None
        if group and (step.action == "replace" or STOPS in step.effects):
            groups[group].append(step)
    registrations = list(each_of(graph.decisions.live, Registration))
    serving = {str(state.target) for item, state in registrations if item.status == "healthy"}
    failing = {str(state.target) for item, state in registrations if item.status == "unhealthy"}
    missing = _missing(graph, groups)
    soon = {str(state.target) for item, state in registrations if item.status == "initial"}
    ill = (failing - serving) | (_meant_to_serve(graph) - serving - soon)
    left: dict[str | None, list[Step]] = defaultdict(list)
    for step in graph.of_kind("instance", "delete"):
        if step.id in graph.decisions.to_delete:
            left[_group_of(graph, step.address)].append(step)

    def is_whole(step: Step) -> bool:
        return step.id not in failing and step.address not in missing

    def rank(step: Step) -> tuple[bool, bool]:
        """What doesn't serve is changed first, and then what fails in one of its target groups, or is missing there."""
        return step.id in serving, is_whole(step)

    turns = _Turns(graph, [step for members in groups.values() for step in members if not is_whole(step)])

    def turn(members: list[Step]) -> tuple[tuple[bool, bool], bool]:
        """Of two entries alike, the one that takes nothing away before it is replaced comes first."""
        return min(map(rank, members)), rollout_of(graph, members[0].address).max_surge == 0

    import os
    acts = os.environ.get("ACTS")
    for group, members in sorted(groups.items(), key=lambda item: turn(item[1])):
        steps = sorted(members, key=rank)
        rollout = rollout_of(graph, steps[0].address)
        width = max(rollout.max_unavailable, 1)
        replaced = [step for step in steps if step.action == "replace"]
        if rollout.max_surge > 0:
            if surge or not acts:
                _replace_with_surge(graph, replaced, rollout.max_surge, ill, left[group], turns.last)
            replaced = []
        if surge:
            continue
        if acts and rollout.max_surge > 0:
            first_ = [step for step in steps if step.action == "replace" and left[group] and step.id in ill]
            if not is_down(graph, _groups_of(graph, first_)) and not any(_group_is_replaced(graph, step) for step in first_):
                _replace_in_gaps(graph, first_, 1)
                for step in left[group] if first_ else ():
                    _one_after_another(graph, [first_[-1], step], 1)
        restarted = [step for step in steps if step.action == "update"]
        _replace_in_gaps(graph, replaced, width)
        _one_after_another(graph, restarted, width)
        for part in (replaced, restarted):
            turns.take([step for step in part if not _is_switched_off(step)], width)


def _meant_to_serve(graph: Graph) -> set[str]:
    """The instances at whose addresses the spec wants targets of groups that get requests now."""
    used = serving_groups(graph)
    wanted = {
        state.target
        for step in graph.of_kind("registration", *MAKING)
        if isinstance(state := step.desired.state if step.desired else None, Registration)
        and bind(state.target_group, graph.decisions.ids) in used
    }
    return {str(step.id) for step in graph.of_kind("instance", "replace") if step.address in wanted}


def _missing(graph: Graph, entries: Mapping[str, Collection[Step]]) -> set[Ref | None]:
    """The instances that aren't in a target group in which others of their entry are."""
    shared = {name: _groups_of(graph, members) for name, members in entries.items()}
    return {
        state.target
        for step in graph.of_kind("registration", "create")
        if isinstance(state := step.desired.state if step.desired else None, Registration)
        and isinstance(state.target, Address)
        and bind(state.target_group, graph.decisions.ids) in shared.get(_group_of(graph, state.target) or "", ())
    }


class _Turns:
    """Entries that leave the same target groups without surge take turns: else each waits for the other in another group, for ever.

    Who fails, or is missing, in a target group (`ailing`) waits for nobody, and whoever leaves that group waits for them, unless
    they have surge: then their successors come before they leave.
    """

    def __init__(self, graph: Graph, ailing: Collection[Step]) -> None:
        self.last: dict[str, list[str | None]] = {}
        """The last steps of the entry before, by target group."""
        self._graph = graph
        self._ailing = {step.key for step in ailing}
        self._first: dict[Ref, list[Step]] = defaultdict(list)
        without = [step for step in ailing if step.action == "update" or not rollout_of(graph, step.address).max_surge]
        addresses = {step.address for step in without}
        for step in graph.of_kind("registration", *MAKING):
            if step.desired and isinstance(step.desired.state, Registration) and step.desired.state.target in addresses:
                self._first[bind(step.desired.state.target_group, graph.decisions.ids)].append(step)

    def take(self, steps: Sequence[Step], width: int) -> None:
        """Let these members of an entry, which are in order already, leave when those before them have returned."""
        own = {step.address for step in steps}
        whole = [step for step in steps if step.key not in self._ailing]
        shared = _groups_of(self._graph, whole)
        first = {step.key for group in shared for step in self._first[group] if _target_of(step) not in own}
        before = first.union(key for group in shared for key in self.last.get(group, ()) if key is not None)
        for key in (key for step in whole[:width] for key in _leaving(self._graph, step)):
            for last in before:
                self._graph.after(key, last, Strength.PREFERRED)
        returned: list[str | None] = [key for step in whole[-width:] for key in _returned(self._graph, step)]
        self.last |= dict.fromkeys(shared, returned)


def _replace_with_surge(
    graph: Graph,
    steps: list[Step],
    surge: int,
    ill: set[str],
    leftovers: list[Step],
    before: dict[str, list[str | None]],
) -> None:
    """Members are made `surge` at a time, when those before them have gone: so one call launches them, and the same one
    wherever the roll is interrupted. Entries of one target group take turns: `before` has whom the one before lets go, or its last steps, by group.

    The `leftovers` of an interrupted roll stand above the count already, and serve until the ill members are replaced, for
    which there is no surge then.
    Where the target groups are replaced as well, the old members can't go before all traffic has moved: then all new
    capacity comes first. Likewise where no target is healthy, so that nothing is lost: it then serves sooner.
    """
    shared, why = _groups_of(graph, steps), ""
    if any(_group_is_replaced(graph, step) for step in steps):
        why = "a target group is replaced, which max_surge can't pace"
    elif is_down(graph, shared):
        why = "none of its targets is healthy, so all are replaced at once"
    if why:
        if len(steps) > surge:
            _say_how_many(graph, steps, why)
        return
    import os
    if os.environ.get("ACTS") and _is_turned(graph, steps):
        if len(steps) > surge:
            _say_how_many(graph, steps, "requests turn to another target group, which max_surge can't pace")
        return
    first = [step for step in steps if leftovers and step.id in ill]
    if not os.environ.get("ACTS"):
        _replace_in_gaps(graph, first, 1)
        for step in leftovers if first else ():
            _one_after_another(graph, [first[-1], step], 1)
    steps = [step for step in steps if step not in first]
    going = [*(step.key for step in leftovers), *(graph.removers.get(str(step.id)) for step in steps)]
    for place, later in enumerate(steps, start=len(leftovers)):
        wave = place // surge * surge
        for gone in going[max(wave - surge, 0) : wave]:
            graph.after(later.key, gone)
        for gone in (gone for group in shared for gone in before.get(group, ())) if wave <= len(leftovers) else ():
            graph.after(later.key, gone, Strength.PREFERRED)
        graph.specify(later.key, replace(later.detail(Launch), groups=tuple(sorted(shared))))
    before |= dict.fromkeys(shared, going)


def _is_turned(graph: Graph, steps: list[Step]) -> bool:
    """Whether the old members leave only after a step that needs the new ones: then all new ones come first."""
    made = {step.key for step in steps}
    for step in steps:
        gone = graph.removers.get(str(step.id))
        if gone and not (graph.before(gone) & made) <= {step.key}:
            return True
    return False


def _say_how_many(graph: Graph, steps: list[Step], why: str) -> None:
    group = _group_of(graph, steps[0].address)
    count = sum(item.desired.lifecycle.group == group for item in graph.decisions.desired.values())
    text = f"{count + len(steps)} instances of {group} for a while: {why}"
    for step in steps:
        graph.say(step.key, effects=text)


def _group_of(graph: Graph, address: Address) -> str | None:
    decision = graph.decisions.desired.get(address)
    return decision.desired.lifecycle.group if decision else None


def _replace_in_gaps(graph: Graph, steps: list[Step], unavailable: int) -> None:
    """Without surge the old member goes first, as many at a time as may be missing."""
    for wave in batches(steps, unavailable):
        leaving = {step.key: gone for step in wave if (gone := graph.removers.get(str(step.id))) is not None}
        for key, own in leaving.items():
            graph.release(own, key)
            for gone in leaving.values():
                graph.after(key, gone)
    _one_after_another(graph, steps, unavailable)


def _one_after_another(graph: Graph, steps: list[Step], width: int) -> None:
    """A member leaves its target groups when the one `width` places before it has returned to them."""
    for earlier, later in zip(steps, steps[width:], strict=False):
        returned = _returned(graph, earlier)
        for key in _leaving(graph, later):
            for before in returned:
                graph.after(key, before)


def _groups_of(graph: Graph, steps: Iterable[Step]) -> set[str]:
    """The target groups in which instances are that are changed."""
    return {str(getattr(item.state, "target_group", "")) for step in steps for item in graph.registered[str(step.id)]}


def _leaving(graph: Graph, step: Step) -> list[str]:
    """By which an instance that is changed leaves its target groups."""
    keys = [key for item in graph.registered[str(step.id)] if (key := graph.removers.get(item.id))]
    return keys or [graph.removers.get(str(step.id), step.key)]


def _returned(graph: Graph, step: Step) -> list[str]:
    """By which it, or what replaces it, has come back."""
    keys = [item.key for item in graph.of_kind("registration", *MAKING) if _target_of(item) == step.address]
    return keys or [step.key]


def _target_of(step: Step) -> Ref | None:
    state = step.desired.state if step.desired else None
    return state.target if isinstance(state, Registration) else None


def _group_is_replaced(graph: Graph, step: Step) -> bool:
    return any(
        isinstance(item.state, Registration) and item.state.target_group in graph.deleted
        for item in graph.registered[str(step.id)]
    )


def add_pauses(graph: Graph) -> None:
    """The pauses that the spec asks for: between an old instance's deregistration and its end or stop, and between the
    moment when requests go to another group and the end of this one's registrations."""
    for step in [] if graph.destroy else [*graph.of_kind("instance", "delete"), *graph.of_kind("instance", "update")]:
        served = [item for item in graph.registered[str(step.id)] if item.status != "unused"]
        if served and (step.action == "delete" or STOPS in step.effects):
            # it drains meanwhile, which may be all the time that is needed
            settle = rollout_of(graph, step.address).settle - min(
                delay_of(graph, item.state, unknown=0) for item in served
            )
            graph.pause(step.key, settle, "the last requests have settled")
    instances = {item.id: item.address for item in graph.decisions.live if item.address.kind == "instance"}
    for step in [] if graph.destroy else graph.of_kind("registration", "delete"):
        target = instances.get(str(getattr(step.observed.state, "target", ""))) if step.observed else None
        if step.detail(Deregister).switched:
            settle = (rollout_of(graph, target) if target else Rollout()).settle
            graph.pause(step.key, settle, "the switch has reached every node of the load balancer")
    if not graph.destroy:
        _leave_open_requests_their_time(graph)


def _leave_open_requests_their_time(graph: Graph) -> None:
    """AWS drains no target of a group that nothing forwards to any more, so what the group's delay is for is waited for before: once,
    where its targets leave in turns."""
    turned: dict[str, set[str]] = {}
    for key, group in dropped(graph):
        turned[group] = turned.get(group, {*graph.steps}) & graph.behind([key])
    late: dict[str, Step] = {}
    for step in graph.of_kind("registration", "delete"):
        found, group = step.observed, str(step.observed.parent_id if step.observed else "")
        if found is None or found.is_leaving or found.state.outlives_parent:
            continue
        if found.status != "unused" and step.key in turned.get(group, ()):
            late[step.key] = replace(step, details=replace(step.detail(Deregister), unused=True))
    for key in late.keys() - graph.behind(late):
        step = late[key]
        graph.pause(key, delay_of(graph, step.observed.state if step.observed else None), _OPEN)
    for key, step in late.items():
        graph.specify(key, step.detail(Deregister))
    # since when a group that an interrupted run has replaced gets no more isn't known; its targets leave with it
    waiting = {
        item.parent_id: delay_of(graph, item.state)
        for items in graph.registered.values()
        for item in items
        if item.status == "unused" and not item.state.outlives_parent
    }
    for step in graph.of_kind("target_group", "delete"):
        if step.reason == DUPLICATE:
            graph.pause(step.key, waiting.get(step.id, 0), _OPEN)
