"""Decides what security groups and routes let through: clients to a load balancer, and its requests to targets."""

from collections import defaultdict
from collections.abc import Collection, Iterator
from ipaddress import ip_address, ip_network
from typing import Any

from alb_reconcile.sandbox.strict.ec2_groups import ANY, Key, key_of
from alb_reconcile.sandbox.strict.health import balancer_of
from alb_reconcile.sandbox.strict.world import World

_WIDE = {4: 1, 6: 3}
"""The longest prefix, in bits by IP version, of a destination that covers most of the internet: 0.0.0.0/1, 2000::/3."""


def find_shut_out(world: World) -> Iterator[tuple[str, str, int]]:
    """The registrations (target group, instance, port) that security groups cut off from the load balancer's requests or health checks.

    AWS ELB, 'Target security groups': they 'must allow traffic from the load balancer' on the target's port and on the health check's port.
    Here it is enough that a rule covers one of the load balancer's nodes.
    """
    groups = {group.id: group for group in world.groups()}
    for arn, targets in world.ledger.targets.items():
        group, balancer = world.elb.target_groups.get(arn), balancer_of(world, arn)
        if group is None or balancer is None:
            continue
        checked = str(group.health_check_port)
        for target in targets.values():
            instance = world.target_instance(group, target.id)
            ports = {target.port, int(checked) if checked.isdigit() else target.port}
            if instance and not all(_passes(world, groups, balancer, instance, port) for port in ports):
                yield arn, target.id, target.port


def find_ingress(world: World) -> Iterator[tuple[str, tuple[range, ...]]]:
    """The ports at which each load balancer's security groups let clients in, by ARN.

    AWS ELB, 'Security groups for your Application Load Balancer': they need an inbound rule for each listener's port.
    The clients' addresses aren't known here, so a rule for any peer counts, except a rule for one of the load balancer's own groups, as
    default groups have.
    """
    groups = {group.id: group for group in world.groups()}
    for balancer in world.elb.load_balancers.values():
        rules = [
            key_of(rule) for name in balancer.security_groups if name in groups for rule in groups[name].ingress_rules
        ]
        yield (
            balancer.arn,
            tuple(
                range(65536) if protocol == ANY else range(int(first or 0), int(last or 0) + 1)
                for protocol, first, last, _, peer in rules
                if protocol in ("tcp", ANY) and peer not in balancer.security_groups
            ),
        )


def find_mute(world: World) -> Iterator[tuple[str, float]]:
    """The share of an internet-facing load balancer's nodes that are in subnets without a route to an internet gateway, by its ARN.

    Nodes in former subnets count until they are gone, since clients know their addresses.
    """
    places: dict[str, list[Any]] = defaultdict(list)
    for interface in world.ec2.enis.values():
        places[interface.description].append(interface.subnet)
    for balancer in world.elb.load_balancers.values():
        subnets = places[f"ELB {balancer.arn.partition(':loadbalancer/')[2]}"]
        version = 6 if balancer.ip_address_type == "dualstack-without-public-ipv4" else 4
        mute = sum(not has_way_out(world, subnet, version) for subnet in subnets)
        if mute and balancer.scheme == "internet-facing":
            yield balancer.arn, mute / len(subnets)


def has_way_out(world: World, subnet: Any, version: int = 4) -> bool:
    """Whether a subnet has a route to an internet gateway for most of the internet, in that version of IP: so answers reach clients."""
    tables = [table for table in world.ec2.route_tables.values() if table.vpc_id == subnet.vpc_id]
    own = [table for table in tables if subnet.id in table._associations.values()]
    routes = [
        route
        for table in own or [table for table in tables if table.main_association_id]
        for route in table._routes.values()
        if getattr(route.gateway, "vpc", None)
    ]
    ranges = (ip_network(route.destination_cidr_block or route.destination_ipv6_cidr_block) for route in routes)
    return any(item.version == version and item.prefixlen <= _WIDE[version] for item in ranges)


def _passes(world: World, groups: dict[str, Any], balancer: Any, instance: Any, port: int) -> bool:
    theirs = [groups[name] for name in balancer.security_groups if name in groups]
    nodes = [
        world.ec2.enis[name].private_ip_address
        for name in world.ledger.balancer_interfaces.get(balancer.arn, {}).values()
        if name in world.ec2.enis
    ]
    out = [key_of(rule) for group in theirs for rule in group.egress_rules]
    into = [key_of(rule) for group in instance.security_groups for rule in group.ingress_rules]
    worn = {group.id for group in instance.security_groups}
    return _lets(out, port, worn, [instance.private_ip]) and _lets(into, port, {group.id for group in theirs}, nodes)


def _lets(rules: list[Key], port: int, groups: Collection[str], addresses: Collection[str | None]) -> bool:
    """Whether a rule is for the port and for one of the peers. The content of prefix lists isn't known here: they match every peer."""
    for protocol, first, last, kind, peer in rules:
        if protocol != ANY and (protocol != "tcp" or not int(first or 0) <= port <= int(last or 0)):
            continue
        if kind == "prefix" or (kind == "group" and peer in groups):
            return True
        if kind == "cidr" and any(ip_address(item) in ip_network(peer) for item in addresses if item):
            return True
    return False
