"""Who can reach whom in the strict account: what security groups admit, and which subnets have a way out."""

from __future__ import annotations

from functools import cache
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Any

from alb_reconcile.sandbox.traffic.reach import has_way_out

if TYPE_CHECKING:
    from collections.abc import Iterable

    from alb_reconcile.sandbox.strict.world import World


def reaches(account: World, balancer: Any, instance: Any, port: int) -> bool:
    """Whether the load balancer's and the instance's security groups let a request through to a port of it."""
    groups = {group.id: group for group in account.groups()}
    front = [groups[item] for item in balancer.security_groups if item in groups]
    back = [groups[item.id] for item in instance.security_groups if item.id in groups]
    address = [f"{instance.private_ip}/32"] if instance.private_ip else []
    leaves = not front or admits(
        (rule for group in front for rule in group.egress_rules), port, {g.id for g in back}, address
    )
    rules = [rule for group in back for rule in group.ingress_rules]
    peers, new = {g.id for g in front}, [subnet.cidr_block for subnet in balancer.subnets]
    old = [subnet.cidr_block for subnet in left_subnets(account, balancer)]
    return leaves and admits(rules, port, peers, new) and all(admits(rules, port, peers, [block]) for block in old)


def left_subnets(account: World, balancer: Any) -> list[Any]:
    """The subnets that a load balancer has left, and in which its nodes still answer: clients know their addresses."""
    name = f"ELB {balancer.arn.partition(':loadbalancer/')[2]}"
    nodes = {eni.subnet.id: eni.subnet for eni in account.ec2.enis.values() if eni.description == name}
    return [subnet for known, subnet in nodes.items() if known not in {item.id for item in balancer.subnets}]


def admits(rules: Iterable[Any], port: int, peers: set[str], networks: list[str]) -> bool:
    for rule in rules:
        if rule.ip_protocol not in ("tcp", "-1"):
            continue
        if rule.ip_protocol == "tcp" and not rule.from_port <= port <= rule.to_port:
            continue
        if rule.source_group.get("GroupId") in peers:
            return True
        block = rule.ip_range.get("CidrIp")
        if block and any(_lies_in(item, block) for item in networks):
            return True
    return False


@cache
def _lies_in(network: str, block: str) -> bool:
    return IPv4Network(network).subnet_of(IPv4Network(block))


def dark_subnets(account: World, balancer: Any) -> set[str]:
    """The subnets of an internet-facing load balancer without a route to an attached gateway: its nodes there are mute."""
    if balancer.scheme != "internet-facing":
        return set()
    nodes = (*balancer.subnets, *left_subnets(account, balancer))
    return {subnet.id for subnet in nodes if not has_way_out(account, subnet)}


def ways_out(account: World) -> set[tuple[str, str]]:
    """Each subnet with the default routes, and those to a service's prefix list, that lead from it to something that serves."""
    found = set()
    tables = account.ec2.route_tables.values()
    for subnet in account.subnets():
        there = [table for table in tables if table.vpc_id == subnet.vpc_id]
        own = [table for table in there if subnet.id in table._associations.values()]
        for table in own or [table for table in there if table.main_association_id]:
            for route in table._routes.values():
                if destination := _served(route):
                    found.add((subnet.id, destination))
    return found


def _served(route: Any) -> str:
    if route.nat_gateway is not None and route.nat_gateway.state != "available":
        return ""
    target = route.nat_gateway or route.gateway or route.egress_only_igw
    defaults = (route.destination_cidr_block, route.destination_ipv6_cidr_block)
    prefix = route.destination_prefix_list.id if route.destination_prefix_list else ""
    return next((item for item in defaults if item in ("0.0.0.0/0", "::/0")), prefix) if target else ""
