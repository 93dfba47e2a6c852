"""Paces changes of instance groups: how many members change at a time, and how many must stay healthy meanwhile."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from alb_reconcile.aws.client import batches
from alb_reconcile.engine.plan.graph import MAKING, Graph, is_stopped_by, is_switched_off
from alb_reconcile.engine.plan.zero_downtime.capacity import is_down, rollout_of
from alb_reconcile.engine.plan.zero_downtime.forwards import receiving_groups, serving_groups, turned_to
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.errors import RefusedError
from alb_reconcile.model.plan import Step
from alb_reconcile.model.resource import bind, each_of
from alb_reconcile.model.service import Member, Server, group_of
from alb_reconcile.model.steps import Launch, Register

STOPS: Final = "stops the instance"
RESTARTED: Final = "its instance is restarted"


def leave_for_restarts(graph: Graph) -> None:
    """Let an instance that is stopped for a change leave its target groups before that, and return after it."""
    registered, serving = graph.registered, serving_groups(graph)
    parked = serving - receiving_groups(graph) - turned_to(graph)
    for step in graph.of(Server, "update"):
        if step.id is None or not is_stopped_by(step):
            continue
        graph.say(step.key, effects=STOPS)
        for item in registered[step.id]:
            gone = graph.removers.get(item.id)
            if gone is None:
                is_checked = group_of(item.state) in serving
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


def leave_late(graph: Graph) -> None:
    """Let an instance leave its groups only when the other steps are done that its stop waits for. Assumes all other edges."""
    for stop in graph.of(Server, "update"):
        before = set(graph.edges[stop.key])
        leaves = {key for key in before if graph.steps[key].reason == RESTARTED}
        for key in leaves:
            for other in before - leaves:
                graph.rather_after(key, other)


class RolloutRounds:
    """Orders the changes of the members of instance entries.

    Entries of the same target groups take turns. If no target is healthy, or requests move to another group meanwhile, members with surge
    are all replaced at once: all new ones are made first.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        groups: dict[str, list[Step]] = defaultdict(list)
        for step in [*graph.of(Server, "replace"), *graph.of(Server, "update")]:
            group = step.desired.lifecycle.group if step.desired else None
            if group and (step.action == "replace" or STOPS in step.effects):
                groups[group].append(step)
        registrations = list(each_of(graph.decisions.live, Member))
        self.serving = {str(state.target) for item, state in registrations if item.status == "healthy"}
        self.failing = {str(state.target) for item, state in registrations if item.status == "unhealthy"}
        self.missing = _missing(graph, groups)
        soon = {str(state.target) for item, state in registrations if item.status == "initial"}
        self.ill = (self.failing - self.serving) | (_meant_to_serve(graph) - self.serving - soon)
        self.left: dict[str | None, list[Step]] = defaultdict(list)
        for step in graph.of(Server, "delete"):
            if step.id in graph.decisions.to_delete:
                self.left[_group_of(graph, step.address)].append(step)
        self.groups = [
            (name, sorted(members, key=self._rank))
            for name, members in sorted(groups.items(), key=lambda item: self._turn(item[1]))
        ]
        self.turns = _Turns(
            graph, [step for members in groups.values() for step in members if not self._is_whole(step)]
        )
        self.before: dict[str, list[str | None]] = {}
        """The last steps of the entries that take their turn before an entry with surge, by that entry."""

    def _is_whole(self, step: Step) -> bool:
        return step.id not in self.failing and step.address not in self.missing

    def _rank(self, step: Step) -> tuple[bool, bool]:
        """The rank of a member: members that don't serve are changed first, then those that are unhealthy in, or missing from, one of their
        target groups."""
        return step.id in self.serving, self._is_whole(step)

    def _turn(self, members: list[Step]) -> tuple[tuple[bool, bool], bool]:
        """The rank of an entry, by its first member; of two with the same rank, the one with surge comes first, since its old members leave
        only after their replacements are there."""
        return min(map(self._rank, members)), rollout_of(self.graph, members[0].address).max_surge == 0

    def _ill_ones(self, name: str, members: list[Step]) -> list[Step]:
        """The members that don't serve and are replaced first, without surge, if an interrupted roll has left instances: these use up the
        surge, since the count is exceeded already, and serve until the members are replaced."""
        replaced = [step for step in members if step.action == "replace"]
        return (
            []
            if self._why_at_once(replaced)
            else [step for step in replaced if self.left[name] and step.id in self.ill]
        )

    def pace_gaps(self) -> None:
        """For replacements without surge, and for restarts, let old members leave first, as many at a time as may be missing."""
        graph = self.graph
        for name, members in self.groups:
            rollout = rollout_of(graph, members[0].address)
            width = max(rollout.max_unavailable, 1)
            replaced = [step for step in members if step.action == "replace"]
            if rollout.max_surge > 0:
                ill, replaced = self._ill_ones(name, members), []
                _replace_in_gaps(graph, ill, 1)
                for step in self.left[name] if ill else ():
                    _one_after_another(graph, [ill[-1], step], 1)
            restarted = [step for step in members if step.action == "update"]
            _replace_in_gaps(graph, replaced, width)
            _one_after_another(graph, restarted, width)
            if rollout.max_surge > 0 and any(step.action == "replace" for step in members):
                self.before[name] = self.turns.pass_by(members, self.left[name])
            for part in (replaced, restarted):
                self.turns.take([step for step in part if not is_switched_off(step)], width)

    def pace_surges(self) -> None:
        """Let members be made `max_surge` at a time, when the old ones of the previous wave are deleted: so one call launches a wave, and
        it is the same call wherever the roll was interrupted. Assumes all other edges of the old members."""
        for name, members in self.groups:
            surge = rollout_of(self.graph, members[0].address).max_surge
            steps = [step for step in members if step.action == "replace"]
            if not surge or not steps:
                continue
            if why := self._why_at_once(steps) or self._why_first(steps):
                if len(steps) > surge:
                    _say_how_many(self.graph, steps, why)
                continue
            first = self._ill_ones(name, members)
            self._in_waves(name, [step for step in steps if step not in first], surge)

    def _why_at_once(self, steps: list[Step]) -> str:
        if any(_group_is_replaced(self.graph, step) for step in steps):
            return "a target group is replaced, which max_surge can't pace"
        if is_down(self.graph, _groups_of(self.graph, steps)):
            return "none of its targets is healthy, so all are replaced at once"
        return ""

    def _why_first(self, steps: list[Step]) -> str:
        """The reason why all new members are made before an old one is deleted; empty if they aren't."""
        made = {step.key for step in steps}
        for step in steps:
            gone = self.graph.removers.get(str(step.id))
            if gone and not self.graph.before(gone) & made <= {step.key}:
                return "requests turn to another target group, which max_surge can't pace"
        return ""

    def _in_waves(self, name: str, steps: list[Step], surge: int) -> None:
        graph, shared, leftovers = self.graph, _groups_of(self.graph, steps), self.left[name]
        going = _going(graph, steps, leftovers)
        for place, later in enumerate(steps, start=len(leftovers)):
            wave = place // surge * surge
            for gone in going[max(wave - surge, 0) : wave]:
                graph.after(later.key, gone)
            for gone in self.before[name] if wave <= len(leftovers) else ():
                graph.rather_after(later.key, gone)
            graph.specify(later.key, replace(later.detail(Launch), groups=tuple(sorted(shared))))


def _meant_to_serve(graph: Graph) -> set[str]:
    """The ids of replaced instances with new registrations, at the same address, in groups that get requests now."""
    used = serving_groups(graph)
    wanted = {
        state.target
        for step in graph.of(Member, *MAKING)
        if isinstance(state := step.desired.state if step.desired else None, Member)
        and bind(state.target_group, graph.decisions.ids) in used
    }
    return {str(step.id) for step in graph.of(Server, "replace") if step.address in wanted}


def _missing(graph: Graph, entries: Mapping[str, Collection[Step]]) -> set[Ref | None]:
    """The instances that are missing from a target group in which other members of their entry are."""
    shared = {name: _groups_of(graph, members) for name, members in entries.items()}
    return {
        state.target
        for step in graph.of(Member, "create")
        if isinstance(state := step.desired.state if step.desired else None, Member)
        and isinstance(state.target, Address)
        and bind(state.target_group, graph.decisions.ids) in shared.get(_group_of(graph, state.target) or "", ())
    }


class _Turns:
    """Lets entries that leave the same target groups without surge take turns: otherwise each could wait for the other in another group,
    forever.

    A member that is unhealthy in, or missing from, a target group (`ailing`) waits for no turn, and members that leave that group wait for
    it, unless it has surge: then its successor is made before it leaves.
    """

    def __init__(self, graph: Graph, ailing: Collection[Step]) -> None:
        self.last: dict[str, list[str | None]] = {}
        """The last steps of the previous entry, by target group."""
        self._graph = graph
        self._ailing = {step.key for step in ailing}
        self._first: dict[Ref, list[Step]] = defaultdict(list)
        without = [step for step in ailing if step.action == "update" or not rollout_of(graph, step.address).max_surge]
        addresses = {step.address for step in without}
        for step in graph.of(Member, *MAKING):
            if step.desired and isinstance(step.desired.state, Member) and step.desired.state.target in addresses:
                self._first[bind(step.desired.state.target_group, graph.decisions.ids)].append(step)

    def pass_by(self, members: Sequence[Step], leftovers: Sequence[Step]) -> list[str | None]:
        """Let later entries wait until the old members of an entry with surge are deleted. Returns the steps that this entry itself must
        follow."""
        steps = [step for step in members if step.action == "replace"]
        shared = _groups_of(self._graph, steps)
        before = [gone for group in sorted(shared) for gone in self.last.get(group, ())]
        self.last |= dict.fromkeys(shared, _going(self._graph, steps, leftovers))
        return before

    def take(self, steps: Sequence[Step], width: int) -> None:
        """Let these members of an entry, which are in order already, leave when the members of previous entries have returned."""
        own = {step.address for step in steps}
        whole = [step for step in steps if step.key not in self._ailing]
        shared = _groups_of(self._graph, whole)
        first = {step.key for group in shared for step in self._first[group] if _target_of(step) not in own}
        before = first.union(key for group in shared for key in self.last.get(group, ()) if key is not None)
        for key in (key for step in whole[:width] for key in _leaving(self._graph, step)):
            for last in before:
                self._graph.rather_after(key, last)
        returned: list[str | None] = [key for step in whole[-width:] for key in _returned(self._graph, step)]
        self.last |= dict.fromkeys(shared, returned)


def _going(graph: Graph, steps: Sequence[Step], leftovers: Sequence[Step]) -> list[str | None]:
    """The steps that delete the old members of an entry; those that an interrupted roll has left come first."""
    return [*(step.key for step in leftovers), *(graph.removers.get(str(step.id)) for step in steps)]


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
    """Without surge, let old members be deleted before new ones are made, as many at a time as may be missing."""
    for wave in batches(steps, unavailable):
        leaving = {step.key: gone for step in wave if (gone := graph.removers.get(str(step.id))) is not None}
        for key in leaving:
            for gone in leaving.values():
                graph.after(key, gone)
    _one_after_another(graph, steps, unavailable)


def _one_after_another(graph: Graph, steps: list[Step], width: int) -> None:
    """Let a member leave its target groups when the member `width` places before it has returned to them."""
    for earlier, later in zip(steps, steps[width:], strict=False):
        returned = _returned(graph, earlier)
        for key in _leaving(graph, later):
            for before in returned:
                graph.after(key, before)


def _groups_of(graph: Graph, steps: Iterable[Step]) -> set[str]:
    """The target groups that contain the instances of these steps."""
    return {group_of(item.state) for step in steps for item in graph.registered[str(step.id)]}


def _leaving(graph: Graph, step: Step) -> list[str]:
    """The steps by which an instance that is changed leaves its target groups."""
    keys = [key for item in graph.registered[str(step.id)] if (key := graph.removers.get(item.id))]
    return keys or [graph.removers.get(str(step.id), step.key)]


def _returned(graph: Graph, step: Step) -> list[str]:
    """The steps by which a changed instance, or its replacement, returns to its target groups."""
    keys = [item.key for item in graph.of(Member, *MAKING) if _target_of(item) == step.address]
    return keys or [step.key]


def _target_of(step: Step) -> Ref | None:
    state = step.desired.state if step.desired else None
    return state.target if isinstance(state, Member) else None


def _group_is_replaced(graph: Graph, step: Step) -> bool:
    gone = graph.deleted | graph.standby.keys()
    return any(
        isinstance(item.state, Member) and item.state.target_group in gone for item in graph.registered[str(step.id)]
    )
