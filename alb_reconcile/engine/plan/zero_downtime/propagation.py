"""Decides how long changes take to be everywhere, and which steps wait for that.

| What | How long | Source |
| --- | --- | --- |
| A listener's or a rule's change, on every node of a load balancer | the spec's `settle`, 30 s | no document says; load balancer controllers wait as long |
| Security groups of a network interface | the spec's `settle` | the same |
| A DNS name that leads elsewhere, at clients | 60 s | Route 53 Developer Guide, "Values specific for simple alias records" |
| A record that goes, at Route 53 and then at clients | 60 s more | Route 53 API Reference, GetChange |
| Open requests to a target that leaves a group in use | the group's deregistration delay, which AWS waits for | ELB API Reference, "TargetHealth" |
| The same where nothing forwards to the group any more | the same delay, which AWS doesn't wait for, once every node knows the switch | ELB API Reference, "TargetHealth" |
| Nodes in a subnet that a load balancer leaves | until their interfaces are gone, which is looked for | Application Load Balancers, "Delete an Application Load Balancer" |

A plan can't see what an interrupted run did a moment ago. So a pause that doesn't depend on another step of the plan is always kept.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from alb_reconcile.engine.plan.acts import WORN, removed_by
from alb_reconcile.engine.plan.graph import MAKING, Graph
from alb_reconcile.engine.plan.zero_downtime.capacity import rollout_of
from alb_reconcile.engine.plan.zero_downtime.costs import delay_of
from alb_reconcile.engine.plan.zero_downtime.flow import Flow
from alb_reconcile.engine.plan.zero_downtime.forwards import dropped, making_room
from alb_reconcile.engine.plan.zero_downtime.rollout import STOPS
from alb_reconcile.kinds import waits
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.decisions import DUPLICATE
from alb_reconcile.model.plan import Act, Step
from alb_reconcile.model.resource import Rollout, bind, each_of
from alb_reconcile.model.service import Balancer, DnsName, Frontend, Member, Pool, Router, RoutingRule, Server
from alb_reconcile.model.steps import Deregister

_TTL: Final = 60
_FAMILIES: Final = {"ipv4": "IPv6", "dualstack-without-public-ipv4": "public IPv4"}
"""The addresses that a dual-stack load balancer loses, by its new type."""
_FROM_GROUP: Final = "open requests have had their group's deregistration delay"
_FROM_TARGET: Final = "the last requests have settled"
_AT_NODES: Final = "the switch has reached every node of the load balancer"
_REDIRECTED: Final = "every node of the load balancer answers there"
_NOT_REDIRECTED: Final = "no node of the load balancer redirects there"
_BY_NAME: Final = "clients have forgotten where its names led"
_GROUPS_WORN: Final = "the new security groups are in effect"


def add_pauses(graph: Graph, flow: Flow) -> None:
    """Let each step wait until the changes before it are in effect wherever they must be. Assumes all edges."""
    for step in list(graph.steps.values()):
        _after_what_led_there(graph, step, [graph.steps[key] for key in flow.led_there(step)])
        _before_it_ends(graph, step)
    _leave_open_requests_their_time(graph)
    _wait_for_old_nodes(graph)


def _after_what_led_there(graph: Graph, step: Step, before: Iterable[Step]) -> None:
    moved = [other for other in before if other.act is Act.MOVE and other.key in graph.edges[step.key]]
    renamed = any(other.plays(DnsName) and other.action == "update" for other in before)
    if step.plays(Member) and any(other.plays(Router) for other in moved):
        graph.pause(step.key, _settle(graph, step), _AT_NODES)
    elif step.plays(Frontend) and step.action == "delete" and any(other.plays(Frontend) for other in moved):
        graph.pause(step.key, Rollout().settle, _NOT_REDIRECTED)
    if renamed and step.plays(Balancer, Frontend, RoutingRule, Member):
        graph.pause(step.key, _TTL, _BY_NAME)


def _settle(graph: Graph, step: Step) -> int:
    """The spec's `settle` for the instance of a target; the default for any other target."""
    there = step.observed.state if step.observed else None
    target = str(there.target) if isinstance(there, Member) else ""
    address = next((item.address for item in graph.decisions.live if item.id == target), None)
    return (rollout_of(graph, address) if address else Rollout()).settle


def _before_it_ends(graph: Graph, step: Step) -> None:
    """Add a step's pauses that don't depend on other steps."""
    paths = step.tops
    if step.takes_away and step.action == "update" and WORN in paths:
        graph.pause(step.key, rollout_of(graph, step.address).settle, _GROUPS_WORN)
    elif step.plays(Server) and (step.action == "delete" or STOPS in step.effects):
        served = [item for item in graph.registered[str(step.id)] if item.status != "unused"]
        if served:  # the time in which its targets drain counts, too, and may be enough
            settle = rollout_of(graph, step.address).settle - min(
                delay_of(graph, item.state, unknown=0) for item in served
            )
            graph.pause(step.key, settle, _FROM_TARGET)
    elif step.plays(Balancer) and "ip_address_type" in paths:
        given_up = next(
            (
                _FAMILIES.get(change.after)
                for change in step.changes
                if change.path == "ip_address_type" and change.before == "dualstack"
            ),
            None,
        )
        if given_up and any(
            isinstance(item.state, DnsName) and item.state.alias == step.id for item in graph.decisions.live
        ):
            graph.pause(step.key, _TTL + int(waits.RECORDS_USUALLY), f"clients have forgotten its {given_up} addresses")
    elif step.plays(Frontend) and step.action in ("create", "update") and _begins_to_redirect(step):
        room = step if step.action == "update" else making_room(graph, step)
        if room is not None:
            graph.pause(room.key, Rollout().settle, _REDIRECTED)


def _begins_to_redirect(step: Step) -> bool:
    """Whether a listener is going to redirect clients to another port of its load balancer."""
    redirect = dict(action_of(step.state).redirect)
    is_new = step.action == "create" or "default_action" in step.tops
    return is_new and bool(redirect) and "host" not in redirect


def _leave_open_requests_their_time(graph: Graph) -> None:
    """Let targets wait for their group's deregistration delay before they leave a group to which nothing forwards any more, since AWS
    doesn't drain these. If targets leave one after the other, only the first ones wait."""
    turned: dict[str, set[str]] = {}
    for key, group in dropped(graph):
        turned[group] = turned.get(group, {*graph.steps}) & graph.behind([key])
    late: dict[str, Step] = {}
    for step in graph.of(Member, "delete"):
        found, group = step.observed, str(step.observed.parent_id if step.observed else "")
        if found is None or found.is_leaving or found.state.outlives_parent:
            continue
        if found.status != "unused" and step.key in turned.get(group, ()):
            late[step.key] = replace(step, details=replace(step.detail(Deregister), unused=True))
    for key in late.keys() - graph.behind(late):
        step = late[key]
        if delay := delay_of(graph, step.observed.state if step.observed else None):
            seconds, reached = step.pause  # a node sends requests until it knows the new forward
            graph.pause(key, seconds + delay, f"{reached}, and {_FROM_GROUP}" if reached else _FROM_GROUP)
    for key, step in late.items():
        graph.specify(key, step.detail(Deregister))
    # since when a group gets no requests that an interrupted run has replaced isn't known; its targets are deleted with it
    waiting = {
        item.parent_id: delay_of(graph, item.state)
        for items in graph.registered.values()
        for item in items
        if item.status == "unused" and not item.state.outlives_parent
    }
    for step in graph.of(Pool, "delete"):
        if step.reason == DUPLICATE:
            delay = waiting.get(step.id, 0)
            graph.pause(step.key, delay and delay + Rollout().settle, _FROM_GROUP)


def _wait_for_old_nodes(graph: Graph) -> None:
    """Let steps that remove or replace routes, associations, rules and instances' security groups wait until no load balancer has nodes in
    its former subnets any more.

    Assumes all edges. A plan can't see what an interrupted run did a moment ago, so the steps wait for every load balancer that isn't
    deleted. A step that comes before a load balancer's move finds no nodes in former subnets, and so doesn't wait.
    """
    nodes = {
        item.id: item.state.subnets
        for item in graph.decisions.live
        if isinstance(item.state, Balancer) and item.id not in graph.deleted
    }
    if not nodes:
        return
    leaving = [
        str(item.desired.address)
        for item, state in each_of(graph.decisions.desired.values(), Balancer)
        if item.found
        and {*nodes.get(item.found.id, ())} - {bind(subnet, graph.decisions.ids) for subnet in state.subnets}
    ]
    late: list[str] = []
    for kind in (kind for kind in graph.decisions.kinds if kind.removed_late and not issubclass(kind, Balancer)):
        ends = () if kind.is_target else ("delete",)
        for step in graph.of(kind, *MAKING, *ends):
            takes = step.action in ends or bool(removed_by(graph, step, kind.removed_late)[0])
            # a route table may also change a route's target, or take a subnet from another table
            if takes or kind.ways:
                graph.steps[step.key] = replace(step, old_nodes=nodes)
                late += [step.key] if takes and leaving else []
    for key in late:
        graph.say(key, waits=f"no node of {', '.join(leaving)} is left in the subnets that it leaves")
    for key in {*late} - graph.behind(late):
        graph.steps[key] = replace(graph.steps[key], takes=(60, 300))
