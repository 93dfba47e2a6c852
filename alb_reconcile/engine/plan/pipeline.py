"""Dev: the new order."""

from __future__ import annotations

from alb_reconcile.engine.plan import order
from alb_reconcile.engine.plan.acts import set_acts
from alb_reconcile.engine.plan.addresses import move_addresses
from alb_reconcile.engine.plan.graph import MAKING, Graph, Strength
from alb_reconcile.engine.plan.sequence import put_in_sequence
from alb_reconcile.engine.plan.zero_downtime import departures, removals, rollout, traffic
from alb_reconcile.engine.plan.zero_downtime.attach import attach_new_groups
from alb_reconcile.engine.plan.zero_downtime.rule_order import order_rules
from alb_reconcile.model.abilities import conflicts, slots
from alb_reconcile.model.resource import bind


def arrange(graph: Graph) -> None:
    order_rules(graph)
    attach_new_groups(graph)
    if not graph.destroy:
        rollout._leave_for_restarts(graph)
    split(graph)
    set_acts(graph)
    order._after_what_is_named(graph)
    order._after_whoever_names_it(graph)
    gaps = places(graph)
    order._after_what_is_followed(graph)
    order._after_what_is_needed(graph)
    order._hand_over_subnets(graph)
    if not graph.destroy:
        rollout._pace(graph)
    early = go_first(graph, gaps)
    graph.early = early
    for key, step in graph.steps.items():
        if step.part_of is not None and key not in early:
            graph.after(key, step.part_of)
    traffic._wait_for_capacity(graph)
    put_in_sequence(graph, early)
    traffic.stick_after_forwards(graph)
    traffic._keep_old_entrance(graph)
    if not graph.destroy:
        rollout._pace(graph, surge=True)
    rollout.guard_capacity(graph)
    move_addresses(graph)
    if not graph.destroy:
        departures.guard_departures(graph, sorted(departures._order_restarts(graph)))


def split(graph: Graph) -> None:
    moves = [
        step.key
        for kind in ("registration", "listener", "rule", "instance")
        for step in graph.of_kind(kind, "update", "delete")
        if not step.attaches
    ]
    balancers = [step.key for step in graph.of_kind("load_balancer", "update", "delete")]
    for kind, fields in removals._removed_late().items():
        is_balancer = kind == "load_balancer"
        before = [step.key for step in graph.of_kind("registration", "delete")] if is_balancer else [*moves, *balancers]
        if not before and removals._GROUPS not in fields:
            continue
        taken = fields if before else (removals._GROUPS,)
        late = [key for step in graph.of_kind(kind, "update") if (key := removals._split(graph, step, taken))]
        if is_balancer:
            balancers += late


def places(graph: Graph) -> list[tuple[str, str]]:
    """Each step that makes what is to have something that only one can have, with the step by which its holder gives it up."""
    leaving = order._leaving(graph)
    found = []
    for key, step in graph.steps.items():
        if step.action not in MAKING or step.desired is None or step.state is None or step.takes_away:
            continue
        held = set(slots(step.observed.state)) if step.observed and step.action == "update" else set()
        wanted = bind(step.desired.state, graph.decisions.ids)
        for slot in set(slots(wanted)) - held:
            for other, holder in leaving[slot]:
                if conflicts(wanted, holder.state) and other != key:
                    graph.after(key, other)
                    found.append((key, other))
    return found


def go_first(graph: Graph, gaps: list[tuple[str, str]]) -> set[str]:
    """The steps that give up what others are to have, and all that has to come before them."""
    early = {other for _, other in gaps}
    for other in list(early):
        early |= {key for key in graph.before(other) if graph.steps[key].takes_away}
    # without surge the old member goes first, and what is restarted leaves before it returns
    for key, step in graph.steps.items():
        if step.part_of is not None and key in graph.before(step.part_of):
            early |= {key, *(other for other in graph.before(key) if graph.steps[other].takes_away)}
    return early
