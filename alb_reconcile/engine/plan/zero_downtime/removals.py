"""What is taken away last: rules, routes and zones that traffic still needs until it has moved."""

from dataclasses import replace
from typing import Final

from alb_reconcile.engine.plan.decide import location_of
from alb_reconcile.engine.plan.graph import MAKING, Graph, Strength
from alb_reconcile.engine.plan.zero_downtime.capacity import rollout_of
from alb_reconcile.kinds import in_spec_order
from alb_reconcile.kinds.instance import Instance
from alb_reconcile.kinds.load_balancer import LoadBalancer
from alb_reconcile.kinds.route_table import RouteTable
from alb_reconcile.model.abilities import with_others
from alb_reconcile.model.address import Ref
from alb_reconcile.model.plan import Act, Step
from alb_reconcile.model.resource import Change, Observed, Properties, bind, diff, each_of

_GROUPS: Final = "security_groups"
_MOST_GROUPS: Final = 5
"""Security groups of one network interface, by default (Amazon VPC quotas)."""


def _removed_late() -> dict[str, tuple[str, ...]]:
    """The collections of which members are added early and removed late, by kind: first of what serves requests itself."""
    kinds = [kind.properties for kind in in_spec_order() if kind.properties.removed_late]
    return {kind.kind: kind.removed_late for kind in sorted(kinds, key=lambda kind: kind.missed)}


def take_away_late(graph: Graph) -> None:
    """Split updates that add and remove, and let what removes follow everything that moves traffic.

    Assumes the steps that move traffic (registrations, listeners, rules, instances, load balancers), `attach` steps included.
    Guarantees that rules, routes and zones that traffic needs before its move are there until it has moved.
    """
    moves = [
        step.key
        for kind in ("registration", "listener", "rule", "instance")
        for step in graph.of_kind(kind, "update", "delete")
        if not step.attaches
    ]
    balancers = [step.key for step in graph.of_kind("load_balancer", "update", "delete")]
    for kind, fields in _removed_late().items():
        is_balancer = kind == "load_balancer"
        before = [step.key for step in graph.of_kind("registration", "delete")] if is_balancer else [*moves, *balancers]
        if not before and _GROUPS not in fields:
            continue
        taken = fields if before else (_GROUPS,)
        late = [key for step in graph.of_kind(kind, "update") if (key := _split(graph, step, taken))]
        if is_balancer:
            balancers += late
        if kind == "route_table" and not graph.destroy:
            late += [step.key for step in graph.of_kind(kind, "delete")]
        for key in late:
            for move in before:
                graph.after(key, move, Strength.SUGGESTED)


def wait_for_old_nodes(graph: Graph) -> None:
    """What takes away or replaces routes, associations, rules and instances' groups lets load balancers' nodes leave the subnets
    that these have left.

    Assumes that `take_away_late` has split the updates, and all edges. What an interrupted run did a moment ago can't be seen, so it holds
    for every load balancer that stays. Steps that come before a load balancer moves find none of its nodes elsewhere.
    """
    nodes = {
        item.id: item.state.subnets
        for item in graph.decisions.live
        if isinstance(item.state, LoadBalancer) and item.id not in graph.deleted
    }
    if graph.destroy or not nodes:
        return
    leaving = [
        str(item.desired.address)
        for item, state in each_of(graph.decisions.desired.values(), LoadBalancer)
        if item.found
        and {*nodes.get(item.found.id, ())} - {bind(subnet, graph.decisions.ids) for subnet in state.subnets}
    ]
    late: list[str] = []
    for kind, fields in _removed_late().items():
        if kind == LoadBalancer.kind:
            continue
        ends = () if kind == Instance.kind else ("delete",)
        for step in graph.of_kind(kind, *MAKING, *ends):
            takes = step.action in ends or bool(_removed(graph, step, fields)[0])
            # a table may have another target for a route, too, or take a subnet from another table
            if takes or kind == RouteTable.kind:
                graph.steps[step.key] = replace(step, old_nodes=nodes)
                late += [step.key] if takes and leaving else []
    for key in late:
        graph.say(key, waits=f"no node of {', '.join(leaving)} is left in the subnets that it leaves")
    for key in {*late} - graph.behind(late):
        graph.steps[key] = replace(graph.steps[key], takes=(60, 300))


def swap_groups_late(graph: Graph) -> None:
    """Where security groups change, both the old and the new ones are worn until everybody wears the new ones.

    Assumes that `take_away_late` has split the updates. Guarantees that the path from a load balancer to its targets is open
    at every moment, be it allowed by the old groups' rules or by the new ones'.
    """
    steps = [*graph.of_kind("load_balancer", "update"), *graph.of_kind("instance", "update")]
    late = [step for step in steps if step.takes_away and any(_top(item) == _GROUPS for item in step.changes)]
    early = [step.key for step in steps if not step.takes_away and any(_top(item) == _GROUPS for item in step.changes)]
    for step in late:
        for key in early:
            graph.after(step.key, key)
        if early:
            graph.pause(step.key, rollout_of(graph, step.address).settle, "the new security groups are in effect")


def _split(graph: Graph, step: Step, fields: tuple[str, ...]) -> str | None:
    """The key of the step that takes away, if there is any."""
    removed, both = _removed(graph, step, fields)
    found = step.observed
    if not removed or found is None or both is None:
        return None
    added = tuple(change for change in diff(both, found.state) if _top(change) in fields)
    early = (*(change for change in step.changes if _top(change) not in fields), *added)
    reason = "after the traffic has moved"
    if not early:
        graph.steps[step.key] = replace(step, reason=reason, act=Act.CLEAN_UP)
        return step.key
    late = step.key.replace("update:", "revoke:", 1)
    graph.add(replace(step, key=late, changes=removed, reason=reason, act=Act.CLEAN_UP))
    graph.add(replace(step, changes=early, state=both, refresh=None))
    graph.after(late, step.key)
    return late


def _removed(graph: Graph, step: Step, fields: tuple[str, ...]) -> tuple[tuple[Change, ...], Properties | None]:
    """What an update takes away from these collections, and the desired properties with that beyond them."""
    wanted, found = step.state, step.observed
    if wanted is None or found is None or not {_top(change) for change in step.changes}.intersection(fields):
        return (), None
    union = _union(graph, wanted, found)
    both = replace(wanted, **{name: getattr(union, name) for name in fields})
    return tuple(change for change in diff(wanted, both) if _top(change) in fields), both


def _top(change: Change) -> str:
    return change.path.partition(".")[0]


def _union(graph: Graph, wanted: Properties, found: Observed) -> Properties:
    """The desired properties, with what there is beyond them."""
    if isinstance(wanted, LoadBalancer) and isinstance(found.state, LoadBalancer):
        # one subnet a zone: where it is another one, they change places in one call
        zones = {_zone(graph, subnet) for subnet in wanted.subnets}
        more = [subnet for subnet in found.state.subnets if _zone(graph, subnet) not in zones]
        kept = [subnet for subnet in more if subnet not in wanted.subnets]
        wanted = replace(wanted, subnets=tuple(sorted({*wanted.subnets, *kept}, key=str)))
    if isinstance(wanted, LoadBalancer | Instance) and isinstance(found.state, LoadBalancer | Instance):
        both = tuple(sorted({*(wanted.security_groups or ()), *(found.state.security_groups or ())}, key=str))
        # more than AWS allows of one interface change places in one call
        return replace(wanted, security_groups=both) if wanted.security_groups and len(both) <= _MOST_GROUPS else wanted
    return with_others(wanted, found.state)


def _zone(graph: Graph, subnet: Ref) -> str | None:
    return location_of(subnet, graph.decisions, graph.discovery).zone
