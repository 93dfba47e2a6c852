"""Checks load balancers of a spec: what AWS would refuse, and whether clients reach them and get answers."""

from typing import Final

from alb_reconcile.kinds.base import Around, Entry
from alb_reconcile.kinds.internet_gateway import lacks_internet_gateway
from alb_reconcile.kinds.networks import check_one_in_a_zone, check_one_vpc, vpc_of, zone_of
from alb_reconcile.kinds.route_table.defaults import DEFAULT, default_route, is_known, tables_of_subnets
from alb_reconcile.kinds.security_group.reach import covers, rules_of
from alb_reconcile.model.nodes import Path

_WAYS_OUT: Final = ("internet_gateway", "vpc_endpoint", "network_interface")
"""The targets of a default route by which answers reach clients: internet gateways, and targets that may inspect the traffic on its way
to a gateway."""


def check_entries(around: Around) -> None:
    """Report load balancers that AWS would refuse."""
    for name, entry in around.entries("load_balancers").items():
        _check_load_balancer(around, name, entry)
    _check_regions(around)


def _check_load_balancer(around: Around, name: str, entry: Entry) -> None:
    path = ("load_balancers", name, "subnets")
    subnets = [subnet for _, subnet in around.texts(*path, ...)]
    vpcs = check_one_vpc(around, "load_balancers", name, ", and a load balancer is in one")
    is_internal = entry.get("scheme") == "internal"
    if is_internal and entry.get("ip_address_type") == "dualstack-without-public-ipv4":
        text = "an internal load balancer has no public addresses; write dualstack, or scheme: internet-facing"
        around.error(("load_balancers", name, "ip_address_type"), text)
    if is_internal and entry.get("ipam_pools"):
        text = "are for public addresses, which an internal load balancer has none of; remove them"
        around.error(("load_balancers", name, "ipam_pools"), text)
    in_zones = [zone_of(around, subnet) for subnet in subnets]
    if len(subnets) > 1 and in_zones[0] and len(set(in_zones)) == 1:
        around.error(path, "these are all in one zone, and AWS requires at least two; add a subnet in another zone")
    else:
        check_one_in_a_zone(around, "load_balancers", name, "choose one in another zone")
    if entry.get("scheme", "internet-facing") == "internet-facing":
        for vpc in (item for item in vpcs if lacks_internet_gateway(around, item)):
            text = f"is internet-facing, but vpc.{vpc} has no internet gateway; declare one under internet_gateways, or set scheme: internal"
            around.error(("load_balancers", name), text, at_key=True)


def _check_regions(around: Around) -> None:
    """Report web ACLs and trust stores of another region than the load balancer's."""
    below = ("load_balancers", ...)
    for noun, place in (
        ("web ACL", (*below, "web_acl")),
        ("trust store", (*below, "listeners", ..., "mutual_authentication", "trust_store")),
    ):
        for path, text in around.texts(*place):
            region = text.split(":")[3:4]
            if region and around.region and region != [around.region]:
                told = f"is a {noun} of {region[0]}, and the stack is in {around.region}; name one of that region"
                around.error(path, told)


def check_use(around: Around) -> None:
    """Report load balancers from which no answer reaches clients, and listeners that no security group opens to clients."""
    _check_default_routes(around)
    _check_listeners(around)


def _check_default_routes(around: Around) -> None:
    """Report subnets of internet-facing load balancers without a default route by which answers reach clients."""
    tables = around.kept(tables_of_subnets)
    for path, subnet in around.texts("load_balancers", ..., "subnets", ...):
        balancer = around.entries("load_balancers")[str(path[1])]
        if balancer.get("scheme") == "internal" or subnet not in around.entries("subnets"):
            continue
        family, table = str(balancer.get("ip_address_type", "ipv4")), tables.get(subnet)
        for key in DEFAULT:
            is_ipv4 = "ipv6" not in key
            if family == "dualstack" or (family == "ipv4") == is_ipv4:
                route = around.kept(default_route, table, key) if table else {}
                if route or table is None or is_known(around, table):
                    _check_default_route(around, path, subnet, key, route)


def _check_default_route(around: Around, path: Path, subnet: str, key: str, route: Entry) -> None:
    if not route.keys().isdisjoint(_WAYS_OUT):
        return
    of_it = "IPv6 " if "ipv6" in key else ""
    target = next((key for key in route if not key.startswith("destination_")), "")
    if target:
        article = "an" if target[0] in "aeio" else "a"
        noun = f"{article} {target.replace('_', ' ').replace('nat', 'NAT').replace('vpc', 'VPC')}"
        text = f"subnet.{subnet} is private (its default {of_it}route leads to {noun}), so {of_it}clients get no answer from it; choose a public subnet of that zone"
    else:
        text = f"subnet.{subnet} has no default {of_it}route in this file, so {of_it}clients get no answer from it; put it into a route table with a route for {DEFAULT[key]}"
    around.warn(path, text)


def _check_listeners(around: Around) -> None:
    for name, entry in around.entries("load_balancers").items():
        own_network = vpc_of(around, "load_balancers", name) in around.entries("vpcs")
        if own_network and entry.get("listeners") and "security_groups" not in around.given(("load_balancers", name)):
            text = "has no security_groups, so AWS gives it the VPC's default group, which lets only its own members in; name a group that lets clients in"
            around.warn(("load_balancers", name), text, at_key=True)
    for path, listener in around.all_of("listener"):
        balancer, port = around.entries("load_balancers")[str(path[1])], listener.get("port")
        rules, own = rules_of(around, balancer, "ingress"), balancer.get("security_groups") or ()
        if port is None or rules is None:
            continue
        if not any(covers(rule, port) and rule.get("security_group") not in own for rule in rules):
            text = f"no security group of load_balancer.{path[1]} lets clients in on port {port}; add an ingress rule for it"
            around.warn((*path, "port"), text)
        elif str(balancer.get("ip_address_type")).startswith("dualstack") and not any(
            covers(rule, port) and "cidr_block" not in rule and rule.get("security_group") not in own for rule in rules
        ):
            text = f"no security group of load_balancer.{path[1]} lets IPv6 clients in on port {port}; add an ingress rule with an ipv6_cidr_block, such as ::/0"
            around.warn((*path, "port"), text)
