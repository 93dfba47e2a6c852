"""Where nobody can come in."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping

from alb_reconcile.kinds.listener import Listener
from alb_reconcile.kinds.load_balancer import LoadBalancer
from alb_reconcile.kinds.registration import Registration
from alb_reconcile.kinds.security_group_rules import SecurityGroupRules
from alb_reconcile.kinds.subnet import Subnet
from alb_reconcile.kinds.target_group import ServedBy
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.address import Address
from alb_reconcile.model.discovery import Foreign
from alb_reconcile.model.resource import Desired, Observed, each_of
from alb_reconcile.model.text import printable


def unserved(resources: Iterable[Observed]) -> list[str]:
    """Load balancers without a listener, whose security groups let nobody in or whose answers reach nobody, and groups with targets to which nothing forwards,
    in words."""
    live = [item for item in resources if not item.is_gone]
    doors = {str(state.load_balancer) for _, state in each_of(live, Listener)}
    asked = {str(part.target_group) for item in live for part in action_of(item.state).forward}
    served = {item.address for item in live if item.id in asked}  # another at the address of a group, as after a swap
    filled = {str(state.target_group) for item, state in each_of(live, Registration) if not item.is_leaving}
    shut = [f"{item.address} has no listener, so it serves nobody" for item in live if _is_shut(item, doors)]
    idle = [
        f"{item.address} has targets, but no listener or rule forwards to it, so it serves nobody"
        for item in live
        if item.address.kind == "target_group" and item.id in filled and item.address not in served
        if not item.detail(ServedBy).load_balancers
    ]
    return [printable(line) for line in (*shut, *_closed(live), *_cut_off(live), *idle)]


def _closed(live: Collection[Observed]) -> Iterator[str]:
    """Load balancers on whose listeners' ports nobody gets in. A group that isn't the stack's may let anybody in."""
    rules = {str(state.security_group): state for _, state in each_of(live, SecurityGroupRules)}
    ports = defaultdict(set)
    for _, state in each_of(live, Listener):
        ports[str(state.load_balancer)].add(state.port)
    for item in live:
        own = getattr(item.state, "security_groups", None) or ()
        if item.is_leaving or item.id not in ports or not own or not rules.keys() >= set(own):
            continue
        if not any(rules[group].lets_in(port, own) for group in own for port in ports[item.id]):
            where = " or ".join(map(str, sorted(ports[item.id])))
            yield f"no security group of {item.address} lets clients in on port {where}, so it serves nobody"


def _cut_off(live: Collection[Observed]) -> Iterator[str]:
    """Load balancers whose answers reach nobody, whichever of their subnets they come from."""
    leads = {item.id: item.detail(Foreign).leads_out for item, _ in each_of(live, Subnet)}
    for item, state in each_of(live, LoadBalancer):
        ways = {leads.get(str(subnet)) for subnet in state.subnets}
        if state.scheme == "internet-facing" and not item.is_leaving and ways == {False}:
            yield f"no subnet of {item.address} has a route to an internet gateway, so it serves nobody"


def is_down(health: Collection[str]) -> bool:
    """Whether none of a group's targets answers requests, nor may soon, since its health checks have just begun."""
    return {"healthy", "initial"}.isdisjoint(health)


def emptied(resources: Iterable[Observed], desired: Mapping[Address, Desired]) -> tuple[list[str], list[str]]:
    """Groups that get requests and have no target, in words: those that should have some, or go; and those for which the spec
    has none, or which others fill."""
    live = [item for item in resources if not item.is_gone]
    askers: dict[str, list[str]] = defaultdict(list)
    for item in live:
        for part in action_of(item.state).receiving:
            askers[str(part.target_group)].append(str(item.address))
    filled = {str(state.target_group) for item, state in each_of(live, Registration) if not item.is_leaving}
    resting = {item.address for item in live if item.status in ("stopping", "stopped")}
    wanted = {item.target_group for _, item in each_of(desired.values(), Registration) if item.target not in resting}
    number = Counter(item.address for item in live)
    wrong, meant = [], []
    for item in live:
        if item.address.kind != "target_group" or item.id in filled or item.id not in askers:
            continue
        if item.address not in desired or number[item.address] > 1:
            verb = "forwards" if len(askers[item.id]) == 1 else "forward"
            asking = f"{', '.join(askers[item.id])} {verb} to it"
            wrong.append(f"{item.address} ({item.id}) has no targets, and {asking}, so it serves nobody")
        elif item.address in wanted:
            wrong.append(f"{item.address} has no targets, so it serves nobody")
        else:
            meant.append(f"{item.address} gets requests and has no targets, so they are answered with 503")
    return wrong, meant


def _is_shut(item: Observed, doors: Collection[str]) -> bool:
    return item.address.kind == "load_balancer" and not item.is_leaving and item.id not in doors
