"""Whether clients reach load balancers, and these their targets: what AWS accepts and what won't serve, or serves too many."""

from typing import Final

from alb_reconcile.kinds.base import Entry
from alb_reconcile.kinds.identifiers import is_aws_id
from alb_reconcile.kinds.vpc_endpoint import INTERFACE, full_name, type_of
from alb_reconcile.model.nodes import Path
from alb_reconcile.spec.checks.targets import targets_of
from alb_reconcile.spec.outline import Outline, network

_SIDE: Final = ("security_groups", "subnets")
_ANYWHERE: Final = frozenset({"0.0.0.0/0", "::/0"})
_DEFAULTS: Final = (
    ("IPv4", "0.0.0.0/0", "destination_cidr_block"),
    ("IPv6", "::/0", "destination_ipv6_cidr_block"),
)
_WAYS_OUT: Final = ("internet_gateway", "carrier_gateway", "local_gateway", "vpc_endpoint", "network_interface")
"""The targets of a default route by which answers reach clients: gateways, and what may inspect the traffic before them."""
_MOST_PAIRS: Final = 20_000
"""Of endpoints and instances, of which more aren't compared: a spec is read within two seconds."""
_NOT_HTTPS: Final = (".email-smtp", ".transfer.server", ".cassandra", ".cassandra-fips")
"""The services of AWS's whose endpoints are reached on other ports than 443."""


def check(outline: Outline) -> None:
    """Report closed paths between client, load balancer and target, and SSH open to the world."""
    _check_default_routes(outline)
    _check_ssh(outline)
    _check_listeners(outline)
    _check_endpoints(outline)
    users: dict[str, str] = {}
    for load_balancer, _, group in outline.forwards():
        users.setdefault(group, load_balancer)
    known: dict[object, bool] = {}
    is_sound = outline.is_sound  # else a mistake may be why nothing forwards to a group
    for group, entry in outline.entries("target_groups").items():
        if group in users:
            _check_zones(outline, group, users[group])
            _check_security_groups(outline, group, users[group], known)
        elif entry.get("targets") and is_sound:
            outline.warn(
                ("target_groups", group),
                "no listener or rule forwards to it, so its targets are never checked and serve nothing",
                at_key=True,
            )


def _check_default_routes(outline: Outline) -> None:
    for version, destination, key in _DEFAULTS:
        tables: dict[str, Entry | None] = {}
        for name, entry in outline.entries("route_tables").items():
            routes = (route for _, route in outline.mappings("route_tables", name, "routes", ...))
            found = next((route for route in routes if route.get(key) == destination), {})
            is_unknown = not found and ("routes" not in entry or entry.get("others") == "keep")
            for _, subnet in outline.texts("route_tables", name, "subnets", ...):
                tables[subnet] = None if is_unknown else found
        for path, subnet in outline.texts("load_balancers", ..., "subnets", ...):
            balancer = outline.entries("load_balancers")[str(path[1])]
            family = str(balancer.get("ip_address_type", "ipv4"))
            is_asked = family == "dualstack" or (family == "ipv4") == (version == "IPv4")
            if balancer.get("scheme") != "internal" and subnet in outline.entries("subnets") and is_asked:
                _check_default_route(outline, path, subnet, version, destination, tables.get(subnet, {}))


def _check_default_route(
    outline: Outline, path: Path, subnet: str, version: str, destination: str, route: Entry | None
) -> None:
    """Whether a subnet of an internet-facing load balancer has its way out; `route` is empty for none, and None if unknown."""
    if route is None or not route.keys().isdisjoint(_WAYS_OUT):
        return
    of_it = "" if version == "IPv4" else "IPv6 "
    target = next((key for key in route if not key.startswith("destination_")), "")
    if target:
        article = "an" if target[0] in "aeio" else "a"
        noun = f"{article} {target.replace('_', ' ').replace('nat', 'NAT').replace('vpc', 'VPC')}"
        text = f"subnet.{subnet} is private (its default {of_it}route leads to {noun}), so {of_it}clients get no answer from it; choose a public subnet of that zone"
    else:
        text = f"subnet.{subnet} has no default {of_it}route in this file, so {of_it}clients get no answer from it; put it into a route table with a route for {destination}"
    outline.warn(path, text)


def _check_ssh(outline: Outline) -> None:
    for path, rule in outline.mappings("security_groups", ..., "ingress", ...):
        is_meant = _covers(rule, 22) and not outline.is_wrong(path)
        if is_meant and not _ANYWHERE.isdisjoint((rule.get("cidr_block"), rule.get("ipv6_cidr_block"))):
            outline.warn(
                path,
                "opens SSH (port 22) to the whole internet; name the addresses that need it, or use SSM Session Manager",
            )


def _check_listeners(outline: Outline) -> None:
    for name, entry in outline.entries("load_balancers").items():
        own_network = outline.vpc_of("load_balancers", name) in outline.entries("vpcs")
        if own_network and entry.get("listeners") and "security_groups" not in outline.given(("load_balancers", name)):
            outline.warn(
                ("load_balancers", name),
                "has no security_groups, so AWS gives it the VPC's default group, which lets only its own members in; name a group that lets clients in",
                at_key=True,
            )
    for path, listener in outline.listeners:
        balancer, port = outline.entries("load_balancers")[str(path[1])], listener.get("port")
        rules, own = _rules(outline, balancer, "ingress"), balancer.get("security_groups") or ()
        if port is None or rules is None:
            continue
        if not any(_covers(rule, port) and rule.get("security_group") not in own for rule in rules):
            outline.warn(
                (*path, "port"),
                f"no security group of load_balancer.{path[1]} lets clients in on port {port}; add an ingress rule for it",
            )
        elif str(balancer.get("ip_address_type")).startswith("dualstack") and not any(
            _covers(rule, port) and "cidr_block" not in rule and rule.get("security_group") not in own for rule in rules
        ):
            outline.warn(
                (*path, "port"),
                f"no security group of load_balancer.{path[1]} lets IPv6 clients in on port {port}; add an ingress rule with an ipv6_cidr_block, such as ::/0",
            )


def _check_endpoints(outline: Outline) -> None:
    """Whether instances reach what an interface endpoint's private DNS name leads them to."""
    pairs = 0
    for name, entry in outline.entries("vpc_endpoints").items():
        service = full_name(str(entry.get("service_name", "")), outline.region)
        options = entry.get("dns_options") or {}
        # by default only those who come from outside of the VPC are led to an S3 endpoint of this type
        is_inbound = service.endswith(".s3") and options.get("private_dns_only_for_inbound_resolver_endpoint", True)
        is_led = entry.get("private_dns_enabled") and type_of(entry) == INTERFACE and not is_inbound
        if not is_led or ".vpce." in service or service.endswith(_NOT_HTTPS):
            continue
        vpc = outline.vpc_of("vpc_endpoints", name)
        path: Path = ("vpc_endpoints", name)
        names = outline.by_vpc("instances").get(vpc, ()) if vpc is not None else ()
        pairs += len(names)
        if pairs > _MOST_PAIRS:
            return
        there = {key: outline.entries("instances")[key] for key in names}
        if "security_groups" in outline.given(path):
            shut = [key for key, item in there.items() if not _allowed(outline, entry, "ingress", 443, item)]
            path, why, advice = (*path, "security_groups"), "", "add an ingress rule for it"
        else:
            own = vpc in outline.entries("vpcs")
            shut = [key for key, item in there.items() if own and item.get("security_groups")]
            why, advice = (
                "has no security_groups, so AWS gives it the VPC's default group, which ",
                "name a group that does",
            )
        if shut:
            whom = ", ".join(f"instance.{key}" for key in shut)
            outline.warn(
                path,
                f"{why}doesn't let {whom} in on port 443: its private DNS name leads them to it, so they won't reach {service}; {advice}",
                at_key=bool(why),
            )


def _covers(rule: Entry, port: int) -> bool:
    ends = {"from_port": rule.get("port", 0), "to_port": rule.get("port", 65535), **rule}
    return rule.get("protocol") == "all" or (
        rule.get("protocol") == "tcp" and ends["from_port"] <= port <= ends["to_port"]
    )


def _check_zones(outline: Outline, group: str, load_balancer: str) -> None:
    subnets = outline.entries("load_balancers")[load_balancer].get("subnets") or ()
    served = {outline.zone_of(subnet) if isinstance(subnet, str) else None for subnet in subnets}
    if not served or None in served:
        return  # a foreign subnet's zone is known at plan time only
    for path, target, *_ in targets_of(outline, group):
        for _, subnet in outline.texts("instances", target, "subnets", ...):
            zone = outline.zone_of(subnet)
            if zone and zone not in served:
                outline.error(
                    path,
                    f"{target} may be in {subnet} ({zone}), a zone that load_balancer.{load_balancer} doesn't serve; add a subnet of that zone to it, or move the instances",
                )
                break


def _check_security_groups(outline: Outline, group: str, load_balancer: str, known: dict[object, bool]) -> None:
    entry, balancer = outline.entries("target_groups")[group], outline.entries("load_balancers")[load_balancer]
    health_check_port = str((entry.get("health_check") or {}).get("port", "traffic-port"))
    checked = {int(health_check_port): "the health check's port"} if health_check_port.isdigit() else {}
    for path, target, own_port, _ in targets_of(outline, group):
        instances = outline.entries("instances").get(target, {})
        port_of_it = own_port or entry.get("port")
        ports = checked | ({port_of_it: "its traffic port"} if port_of_it else {})
        for port, what in ports.items() if instances else ():
            # many instances in the same groups and subnets, and groups of many rules: answered once
            sides = [str(side.get(key)) for side in (instances, balancer) for key in _SIDE]
            incoming, outgoing = ("ingress", port, *sides), ("egress", port, *sides)
            if incoming not in known:
                known[incoming] = _allowed(outline, instances, "ingress", port, balancer)
                known[outgoing] = _allowed(outline, balancer, "egress", port, instances)
            if not known[incoming]:
                outline.warn(
                    path,
                    f"no security group of {target} lets load_balancer.{load_balancer} in on {what}, {port}; add an ingress rule for it",
                )
            if not known[outgoing]:
                outline.warn(
                    path,
                    f"no security group of load_balancer.{load_balancer} lets it out to {target} on {what}, {port}; add an egress rule for it",
                )


def _allowed(outline: Outline, holder: Entry, direction: str, port: int, other: Entry) -> bool:
    """Whether the holder's groups allow the other side. Unknown (foreign or unmanaged) counts as allowed."""
    rules = _rules(outline, holder, direction)
    return rules is None or any(_covers(rule, port) and _matches(outline, rule, other) for rule in rules)


def _rules(outline: Outline, holder: Entry, direction: str) -> list[Entry] | None:
    """The rules of the holder's groups; None where there may be others: of foreign or unmanaged groups, kept ones, or mistaken ones."""
    known = outline.entries("security_groups")
    names = [name if isinstance(name, str) else "" for name in holder.get("security_groups") or ()]
    # what is looked up, or isn't a name at all, is a foreign one
    groups = [{} if outline.is_wrong(("security_groups", name)) else known.get(name, {}) for name in names]
    if not groups or any(direction not in entry or entry.get("others") == "keep" for entry in groups):
        return None
    return [rule for entry in groups for rule in entry[direction] if rule]


def _matches(outline: Outline, rule: Entry, other: Entry) -> bool:
    if "security_group" in rule:
        named, known = rule["security_group"], outline.entries("security_groups")
        given = [name for name in other.get("security_groups") or () if isinstance(name, str)]
        # a name that is mistyped, which is told elsewhere, may have been meant for it
        return any(name == named or not (name in known or is_aws_id(name)) for name in given)
    if "prefix_list_id" in rule:
        return True  # what it lists is not known here
    allowed = network(rule.get("cidr_block"))
    blocks = (outline.network_of("subnets", subnet) for subnet in other.get("subnets") or ())
    return allowed is not None and all(block.subnet_of(allowed) for block in blocks if block)
