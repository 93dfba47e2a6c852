"""Checks VPC endpoints of a spec: the keys of each type, where private DNS works, and services that another endpoint already serves.

Instances that a private DNS name leads to an endpoint are checked here: the endpoint has to let these instances in.
"""

import json
from typing import Final

from alb_reconcile.kinds.base import Around, Entry
from alb_reconcile.kinds.networks import by_vpc, check_one_in_a_zone, vpc_of
from alb_reconcile.kinds.security_group.reach import allows
from alb_reconcile.kinds.vpc_endpoint.endpoint_types import (
    GATEWAY,
    INTERFACE,
    LOAD_BALANCER,
    ONLY_INBOUND,
    full_name,
    gateway_name,
    type_of,
)
from alb_reconcile.model.nodes import Path
from alb_reconcile.model.policy_document import PolicyDocument

_WITH_ROUTES: Final = (".s3", ".dynamodb", ".s3express")
"""AWS PrivateLink Guide, "Gateway endpoints"; Amazon S3 User Guide, "Networking for directory buckets"."""
_ONLY_OF: Final = {
    "route_tables": (GATEWAY,),
    "subnets": (INTERFACE, LOAD_BALANCER),
    "security_groups": (INTERFACE,),
    "private_dns_enabled": (INTERFACE,),
}
_MOST_PAIRS: Final = 20_000
"""The most pairs of endpoints and instances that are compared, so that a spec is read within two seconds."""
_NOT_HTTPS: Final = (".email-smtp", ".transfer.server", ".cassandra", ".cassandra-fips")
"""Services of AWS's with endpoints on other ports than 443."""


def check_entries(around: Around) -> None:
    """Report endpoints that AWS would refuse."""
    for name, entry in around.entries("vpc_endpoints").items():
        if "service_name" in entry:
            _check_type(around, name, entry)
            check_one_in_a_zone(around, "vpc_endpoints", name, "choose one of them")
            _check_private_dns(around, name, entry)
        _check_policy(around, name, entry)
    _check_unique(around)


def _check_type(around: Around, name: str, entry: Entry) -> None:
    path, sort = ("vpc_endpoints", name), type_of(entry)
    if "vpc_endpoint_type" in around.given(path) and "vpc_endpoint_type" not in entry:
        return  # its mistake has been reported
    service = _service(around, entry)
    if sort == GATEWAY and not service.endswith(_WITH_ROUTES):
        text = f"{entry['service_name']} has no gateway endpoint, as S3 and DynamoDB have; name subnets for an interface endpoint"
        around.error((*path, "service_name"), text)
        return
    for key, sorts in _ONLY_OF.items():
        if key in entry and sort not in sorts:
            which = " or ".join(filter(None, (", ".join(sorts[:-1]), sorts[-1])))
            around.error((*path, key), f"is for endpoints of the type {which}, and this one is {sort}; remove it")
    if sort != GATEWAY and "subnets" not in around.given(path):
        text = "is missing; it is the subnets that get a network interface of it"
        around.error((*path, "subnets"), text, at_key=True)
    if sort == "GatewayLoadBalancer" and len(entry.get("subnets") or ()) > 1:
        around.error((*path, "subnets"), "AWS puts an endpoint of a Gateway Load Balancer into one subnet; name one")


def _service(around: Around, entry: Entry) -> str:
    return full_name(entry["service_name"], around.region)


def _check_private_dns(around: Around, name: str, entry: Entry) -> None:
    vpc = vpc_of(around, "vpc_endpoints", name) or ""
    whole = around.entries("vpcs").get(vpc)
    if not entry.get("private_dns_enabled") or whole is None or type_of(entry) != INTERFACE:
        return
    _check_gateway(around, name, entry, vpc)
    missing = [] if whole.get("enable_dns_support", True) else ["enable_dns_support"]
    missing += [] if whole.get("enable_dns_hostnames") else ["enable_dns_hostnames"]
    if missing:
        text = f"private DNS works in a VPC with DNS support and host names only; write {' and '.join(f'{item}: true' for item in missing)} in vpc.{vpc}"
        around.error(("vpc_endpoints", name, "private_dns_enabled"), text)


def _check_gateway(around: Around, name: str, entry: Entry, vpc: str) -> None:
    """Report private DNS for inbound resolvers only, which is AWS's default, without a gateway endpoint (EC2 DnsOptionsSpecification)."""
    service, options = _service(around, entry), entry.get("dns_options") or {}
    is_here = gateway_name(service) == full_name("s3", around.region)
    if not is_here or options.get(ONLY_INBOUND) is False or around.is_wrong(("vpc_endpoints",)):
        return
    gateways = [
        (_service(around, other), vpc_of(around, "vpc_endpoints", key))
        for key, other in around.entries("vpc_endpoints").items()
        if "service_name" in other and type_of(other) == GATEWAY
    ]
    if (gateway_name(service), vpc) not in gateways:
        text = f"private DNS is for inbound resolvers only, and vpc.{vpc} has no gateway endpoint of S3; declare one, or set dns_options.{ONLY_INBOUND}: false"
        around.error(("vpc_endpoints", name, "private_dns_enabled"), text)


def _check_policy(around: Around, name: str, entry: Entry) -> None:
    if "policy_document" not in entry:
        return
    try:
        PolicyDocument.of(entry["policy_document"])
    except json.JSONDecodeError as error:
        what = f"is no JSON ({error.msg} in its line {error.lineno}); correct it, or write it as a mapping"
    except ValueError as error:
        what = f"is no policy; {error}"
    else:
        return
    around.error(("vpc_endpoints", name, "policy_document"), what)


def _check_unique(around: Around) -> None:
    """Report a second route to a service in a route table, and a second private DNS name of a service in a VPC."""
    seen: dict[tuple[str, str, str], str] = {}
    for name, entry in around.entries("vpc_endpoints").items():
        if "service_name" not in entry:
            continue
        service = _service(around, entry)
        for path, table in around.texts("vpc_endpoints", name, "route_tables", ...):
            if (first := seen.setdefault((service, "route table", table), name)) != name:
                text = f"{table} leads to {service} by vpc_endpoint.{first} already; remove it from one"
                around.error(path, text)
        vpc = vpc_of(around, "vpc_endpoints", name)
        if entry.get("private_dns_enabled") and vpc and (first := seen.setdefault((service, "VPC", vpc), name)) != name:
            text = f"vpc_endpoint.{first} has the private DNS name of {service} in this VPC; enable it for one"
            around.error(("vpc_endpoints", name, "private_dns_enabled"), text)


def check_use(around: Around) -> None:
    """Report instances that don't reach an interface endpoint to which its private DNS name leads them."""
    pairs = 0
    for name, entry in around.entries("vpc_endpoints").items():
        service = full_name(str(entry.get("service_name", "")), around.region)
        options = entry.get("dns_options") or {}
        # by default the private DNS name of S3 leads only clients outside of the VPC to an endpoint of this type
        is_inbound = service.endswith(".s3") and options.get("private_dns_only_for_inbound_resolver_endpoint", True)
        is_led = entry.get("private_dns_enabled") and type_of(entry) == INTERFACE and not is_inbound
        if not is_led or ".vpce." in service or service.endswith(_NOT_HTTPS):
            continue
        vpc = vpc_of(around, "vpc_endpoints", name)
        path: Path = ("vpc_endpoints", name)
        names = around.kept(by_vpc, "instances").get(vpc, ()) if vpc is not None else ()
        pairs += len(names)
        if pairs > _MOST_PAIRS:
            return
        there = {key: around.entries("instances")[key] for key in names}
        if "security_groups" in around.given(path):
            shut = [key for key, item in there.items() if not allows(around, entry, "ingress", 443, item)]
            path, why, advice = (*path, "security_groups"), "", "add an ingress rule for it"
        else:
            own = vpc in around.entries("vpcs")
            shut = [key for key, item in there.items() if own and item.get("security_groups")]
            why, advice = (
                "has no security_groups, so AWS gives it the VPC's default group, which ",
                "name a group that does",
            )
        if shut:
            whom = ", ".join(f"instance.{key}" for key in shut)
            around.warn(
                path,
                f"{why}doesn't let {whom} in on port 443: its private DNS name leads them to it, so they won't reach {service}; {advice}",
                at_key=bool(why),
            )
