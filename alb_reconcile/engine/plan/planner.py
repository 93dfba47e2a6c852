"""Makes a plan (`make_plan`): turns decisions into steps, in an order that follows from the data."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from alb_reconcile.engine.plan import limits
from alb_reconcile.engine.plan.acts import set_acts, split
from alb_reconcile.engine.plan.addresses import move_addresses
from alb_reconcile.engine.plan.cascade_deletes import tell_implied
from alb_reconcile.engine.plan.duplicates import find_twins
from alb_reconcile.engine.plan.empty_groups import find_empty
from alb_reconcile.engine.plan.graph import Graph
from alb_reconcile.engine.plan.launches import launch_together, tell_names
from alb_reconcile.engine.plan.lost_answers import find_shrunk
from alb_reconcile.engine.plan.order import add_edges, sort_keys, steps_of
from alb_reconcile.engine.plan.pauses import Pauses
from alb_reconcile.engine.plan.pending_launches import Unseen
from alb_reconcile.engine.plan.preflight import check_facts
from alb_reconcile.engine.plan.rehearsal import find_waits, may_shut
from alb_reconcile.engine.plan.renames import find_renames, told_with
from alb_reconcile.engine.plan.situation import Situation
from alb_reconcile.engine.plan.slot_order import go_first, keep_gaps_short, make_room
from alb_reconcile.engine.plan.zero_downtime.attach import attach_new_groups
from alb_reconcile.engine.plan.zero_downtime.capacity import guard_capacity
from alb_reconcile.engine.plan.zero_downtime.costs import DRAINED, add_costs, longest
from alb_reconcile.engine.plan.zero_downtime.flow import Flow
from alb_reconcile.engine.plan.zero_downtime.keep import keep_old, keep_standby, keep_used
from alb_reconcile.engine.plan.zero_downtime.propagation import add_pauses
from alb_reconcile.engine.plan.zero_downtime.requests import Turns
from alb_reconcile.engine.plan.zero_downtime.rollout import RolloutRounds, leave_for_restarts, leave_late
from alb_reconcile.engine.plan.zero_downtime.rule_order import order_rules
from alb_reconcile.engine.plan.zero_downtime.traffic import keep_old_entrance, wait_for_targets
from alb_reconcile.kinds import load_kinds
from alb_reconcile.kinds.waits import EARLIER_RUN
from alb_reconcile.model import tags
from alb_reconcile.model.abilities import remark, settle
from alb_reconcile.model.address import Address
from alb_reconcile.model.decisions import DUPLICATE, Decision, Decisions
from alb_reconcile.model.errors import PlanError, RefusedError
from alb_reconcile.model.plan import Plan, Step
from alb_reconcile.model.resource import Desired, Lookups, Observed, Properties, bind, each_of, field_names, with_fields
from alb_reconcile.model.service import Balancer, PublicAddress, Server
from alb_reconcile.model.steps import Deregister, Details, Launch, Place, TakeOver
from alb_reconcile.model.text import digest


def make_plan(situation: Situation) -> Plan:
    """The plan that changes the existing resources into the desired ones; `limits` decides which of its steps are allowed.

    Raises RefusedError for what AWS would refuse, PlanError if no order of steps leads there.
    """
    renames: list[str] = []
    try:
        return _make_plan(situation, renames)
    except (PlanError, RefusedError) as error:  # an order may be missing only because an entry was renamed
        error.args = (told_with(renames, str(error)),)
        raise


def _make_plan(situation: Situation, renames: list[str]) -> Plan:
    """The plan; hints at renamed entries are added to `renames`."""
    target, discovery, decisions = situation.target, situation.discovery, situation.decisions
    findings = [] if situation.held else check_facts(decisions, discovery)  # only about the whole spec
    graph = Graph(decisions, discovery, destroy=target.destroy)
    facts = Lookups(images=discovery.images, desired=target.desired)
    _add_steps(graph, facts)
    if not target.destroy:
        keep_old(graph)
    renames += find_renames(graph.steps.values(), decisions.ids, facts)
    graph.drop_implied()
    steps = tell_implied(_arrange(graph, situation.unseen), decisions.live)
    drains = any(
        step.detail(Deregister).unused or any(text.startswith(DRAINED) for text in step.waits) for step in steps
    )
    plan = Plan(
        stack=target.stack,
        region=target.region,
        account=discovery.account,
        steps=steps,
        warnings=(
            *findings,
            *_warnings(decisions, steps),
            *Pauses(decisions.live, decisions.ids, situation.now).warnings(steps),
            *discovery.warnings,
            *renames,
        ),
        renames=tuple(renames),
        kept=(*target.remarks, *_no_longer_managed(decisions), *decisions.kept, *([_CUT] if drains else [])),
        ids=decisions.ids,
        live=decisions.live,
        desired=target.desired,
        resting=frozenset(item.address for item in decisions.resting),
        names={item.id: item.address for item in decisions.live},
        secret_headers=target.secret_headers,
        total=sum(item.owner == target.stack for item in decisions.live),
        seconds=longest(steps, lambda step: step.seconds),
        takes=(
            longest(steps, lambda step: step.seconds + step.takes[0], EARLIER_RUN),
            longest(steps, lambda step: step.seconds + step.takes[1], EARLIER_RUN),
        ),
    )
    upheaval = "" if target.destroy else limits.find_upheaval(plan)
    losses = (*filter(None, [upheaval]), *limits.find_losses(plan).values())
    told = (*plan.warnings, *losses, *find_shrunk(plan), *find_empty(plan))
    return replace(plan, warnings=tuple(dict.fromkeys(told)))


def _arrange(graph: Graph, unseen: Iterable[Unseen]) -> tuple[Step, ...]:
    """The steps in their order, each with its needs, waits and texts.

    Raises PlanError, or RefusedError, if there is no order.
    """
    order_rules(graph)
    if not graph.destroy:
        attach_new_groups(graph)
        split(graph)
        keep_used(graph)
        leave_for_restarts(graph)
    set_acts(graph)
    rounds = RolloutRounds(graph)
    make_room(graph)
    add_edges(graph)
    if not graph.destroy:
        rounds.pace_gaps()
    go_first(graph)
    flow, turns = Flow(graph), Turns(graph)
    if not graph.destroy:
        flow.add()
        wait_for_targets(graph, turns)
        keep_old_entrance(graph)
        rounds.pace_surges()
        flow.keep_targets()
        keep_gaps_short(graph)
    guard_capacity(graph, turns)
    if not graph.destroy:
        flow.let_go_last()
        leave_late(graph)
    move_addresses(graph)
    steps = [*graph.steps.values()]
    for kind in load_kinds().values():
        for step, effect in kind.tell_plan([item for item in steps if item.address.kind == kind.name], graph.discovery):
            graph.say(step.key, effects=effect)
    if not graph.destroy:
        _wait_until_safe(graph)
    keys = sort_keys(graph)
    if not graph.destroy:
        add_pauses(graph, flow)
    keep_standby(graph)
    launch_together(graph, unseen)
    tell_names(graph)
    add_costs(graph)
    return steps_of(graph, keys)


def _wait_until_safe(graph: Graph) -> None:
    """Let each step that would leave requests unanswered follow the steps that prevent that. Assumes all other edges."""
    if not any(map(may_shut, graph.steps.values())):
        return
    steps = steps_of(graph, sort_keys(graph))
    decisions = graph.decisions
    names, wishes = {item.id: item.address for item in decisions.live}, decisions.desired.items()
    desired = {address: item.desired for address, item in wishes}
    draft = Plan("", "", "", steps, live=decisions.live, ids=decisions.ids, names=names, desired=desired)
    for later, earlier in sorted(find_waits(draft)):
        graph.rather_after(later, earlier)


def _add_steps(graph: Graph, facts: Lookups) -> None:
    for item in graph.decisions.desired.values():
        address, found = item.desired.address, item.found
        if found is None:
            graph.add(_creation(item, graph, facts))
        elif item.forces:
            made = _creation(item, graph, facts)
            reason = item.reason or f"{', '.join(item.forces)} can't be changed in place"
            made = replace(
                made, action="replace", id=found.id, key="", reason=reason, changes=item.changes, observed=found,
                forces=() if item.reason else item.forces,
            )  # fmt: skip
            graph.add(made)
            graph.add(Step("delete", address, found.id, reason="replaced", part_of=made.key, observed=found))
        elif item.changes:
            update = Step("update", address, found.id, changes=item.changes, desired=item.desired, observed=found)
            graph.add(replace(update, state=item.state))
    twins = {} if graph.destroy else find_twins(graph.decisions.stack, graph.decisions.live, facts.desired)
    for found, reason in graph.decisions.to_delete.values():
        reason = "" if graph.destroy else reason
        effects = (twins[found.id],) if reason == DUPLICATE and found.id in twins else ()
        graph.add(Step("delete", found.address, found.id, reason=reason, observed=found, effects=effects))
    _add_refreshes(graph)


def _creation(item: Decision, graph: Graph, facts: Lookups) -> Step:
    ids = graph.decisions.ids
    state: Properties = settle(bind(item.desired.creation, ids), None, facts)
    details: Details | None = None
    if isinstance(state, Server) and isinstance(item.state, Server):
        state = with_fields(state, subnets=item.state.subnets)
        details = Launch(digest(sorted(graph.decisions.seen_ids.get(item.desired.address, ()))))
    if isinstance(item.desired.state, Balancer):
        vpcs = [graph.decisions.location_of(subnet, graph.discovery).vpc for subnet in item.desired.state.subnets]
        details = Place(next((vpc for vpc in vpcs if vpc), ""))
    # it needs another name and token than all that there is at its address: what it replaces, what failed, what is being deleted
    first = [item.found.id] if item.found else []
    others = {*graph.decisions.seen_ids.get(item.desired.address, ())}.difference(first)
    beside = " ".join([*first, *sorted(others)])
    return Step("create", item.desired.address, desired=item.desired, state=state, details=details, beside=beside)


def _add_refreshes(graph: Graph) -> None:
    """Let the first step of each entry that the spec has changed write the entry's new digest."""
    by_entry: dict[Address, str] = {}
    for step in graph.steps.values():
        wanted = step.desired
        if wanted is not None and step.action in ("update", "create", "replace"):
            entry = wanted.carrier or (wanted.address if step.action == "update" else None)
            if entry is not None:
                by_entry.setdefault(entry, step.key)
    for entry, key in by_entry.items():
        decision = graph.decisions.desired.get(entry)
        found = decision.found if decision and not decision.forces else None
        said = (
            {tags.SPEC: tags.spec_tag(decision.desired), **tags.readdressed(decision.desired, found.tags)}
            if decision and found
            else {}
        )
        if decision and found and not said.items() <= found.tags.items():
            graph.steps[key] = replace(graph.steps[key], refresh=(decision.desired, found))


POINT_THERE: Final = "point the records that aren't in this spec at it"


def made_anew(steps: Iterable[Step], live: Iterable[Observed], *, was_there: bool = False) -> list[Step]:
    """The steps that make a load balancer which clients may know by another DNS name: it is replaced, or an earlier one is missing, as
    after an unfinished destroy. `was_there`: the stack has no resources left, and its history says that the load balancer existed."""
    said = {item.tags.get(tags.APPLIED, "") for item in live}
    return [
        step
        for step in steps
        if step.plays(Balancer) and step.desired and step.action in ("create", "replace")
        if step.action == "replace"
        or was_there
        or tags.DESTROYING in said
        or any(tags.is_known_in(tag, step.desired) for tag in said)
    ]


def _warnings(decisions: Decisions, steps: Sequence[Step]) -> list[str]:
    balancers = each_of(decisions.desired.values(), Balancer)
    stay = (item for item in decisions.desired.values() if not item.forces)
    return [
        *(
            f"{item.desired.address} is replaced: it gets another DNS name, and its target groups are replaced with it: {POINT_THERE}"
            for item, _ in balancers
            if item.forces
        ),
        *(
            f"{step.address} was there before, if the tags of the others are right, and gets another DNS name: {POINT_THERE}"
            for step in made_anew(steps, decisions.live)
            if step.action == "create"
        ),
        *(
            f"{step.address} is deleted, and its target groups move to another load balancer, which has another DNS name"
            for step in steps
            if step.action == "delete" and step.detail(TakeOver).groups and step.part_of is None
        ),
        *(
            f"{item.desired.address}: {text}"
            for item in stay
            if item.found and (text := remark(item.desired.state, item.found))
        ),
    ]


_CUT: Final = "requests and WebSockets that are still open on a target when it has drained are cut"


def _no_longer_managed(decisions: Decisions) -> list[str]:
    notes = []
    members = frozenset().union(*(kind.properties.said_in for kind in load_kinds().values()))
    leaving: dict[str, set[str]] = defaultdict(set)
    for found, _ in each_of((found for found, _ in decisions.to_delete.values()), PublicAddress):
        leaving[found.parent_id or ""] |= found.state.said_in  # an instance has one address; other members may stay
    for address, item in decisions.desired.items():
        if not item.found or item.forces or not item.desired.spec_digest:
            continue
        candidates = {*field_names(type(item.state)), *members}
        for name in field_names(type(item.state)):
            value = getattr(item.found.state, name)
            if isinstance(value, Mapping) and _is_said(item.desired, name):
                candidates |= {f"{name}.{key}" for key in value}
        candidates |= {f"tags.{key}" for key in item.found.tags}
        # another key replaces it, as user_data_file; and the plan says what happens to an address
        candidates -= {name for name in field_names(type(item.state)) if getattr(item.desired.state, name) is not None}
        candidates -= leaving[item.found.id]
        gone = tags.no_longer_declared(item.desired, item.found.tags.get(tags.SPEC, ""), candidates)
        if gone:
            notes.append(f"{address}: {', '.join(gone)} no longer managed; it keeps its value")
    return notes


def _is_said(desired: Desired, name: str) -> bool:
    """Whether a mapping is managed key by key; a mapping that is empty in the spec is managed as a whole."""
    return not getattr(desired.state, name) or any(path.startswith(f"{name}.") for path in desired.declared)
