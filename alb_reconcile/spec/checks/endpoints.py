"""VPC endpoints: what each type has, where private DNS works, and what another endpoint has already."""

import json
from typing import Final

from alb_reconcile.kinds.base import Entry
from alb_reconcile.kinds.vpc_endpoint import (
    DOMAINS,
    GATEWAY,
    INTERFACE,
    LEADS_TO,
    LOAD_BALANCER,
    ONLY_INBOUND,
    RESOURCE,
    SERVICE_NETWORK,
    full_name,
    gateway_name,
    type_of,
)
from alb_reconcile.model.policy_document import PolicyDocument
from alb_reconcile.spec.outline import Outline

_WITH_ROUTES: Final = (".s3", ".dynamodb", ".s3express")
"""AWS PrivateLink Guide, "Gateway endpoints"; Amazon S3 User Guide, "Networking for directory buckets"."""
_LATTICE: Final = (RESOURCE, SERVICE_NETWORK)
_ONLY_OF: Final = {
    "route_tables": (GATEWAY,),
    "subnets": (INTERFACE, LOAD_BALANCER, *_LATTICE),
    "security_groups": (INTERFACE, *_LATTICE),
    "private_dns_enabled": (INTERFACE, *_LATTICE),
    "service_region": (GATEWAY, INTERFACE, LOAD_BALANCER),
    "policy_document": (GATEWAY, INTERFACE, LOAD_BALANCER),
}


def check(outline: Outline) -> None:
    """Report endpoints that AWS would refuse."""
    for name, entry in outline.entries("vpc_endpoints").items():
        path, given = ("vpc_endpoints", name), [key for key in LEADS_TO if key in entry]
        for key in given[1:]:
            outline.error((*path, key), f"is given together with {given[0]}; keep one")
        if len(given) == 1:
            _check_type(outline, name, entry)
            _check_zones(outline, name)
            _check_private_dns(outline, name, entry)
            _check_domains(outline, name, entry)
        _check_policy(outline, name, entry)
    _check_unique(outline)


def _check_type(outline: Outline, name: str, entry: Entry) -> None:
    path, sort = ("vpc_endpoints", name), type_of(entry)
    if "vpc_endpoint_type" in outline.given(path) and "vpc_endpoint_type" not in entry:
        return  # what is wrong with it has been said
    if sort in _LATTICE and entry.get("vpc_endpoint_type", sort) != sort:
        outline.error((*path, "vpc_endpoint_type"), f"is {sort} for what VPC Lattice has; leave it out")
        return
    service = _service(outline, entry)
    if sort == GATEWAY and not service.endswith(_WITH_ROUTES):
        outline.error(
            (*path, "service_name"),
            f"{entry['service_name']} has no gateway endpoint, as S3 and DynamoDB have; name subnets for an interface endpoint",
        )
        return
    for key, sorts in _ONLY_OF.items():
        if key in entry and sort not in sorts:
            which = " or ".join(filter(None, (", ".join(sorts[:-1]), sorts[-1])))
            outline.error((*path, key), f"is for endpoints of the type {which}, and this one is {sort}; remove it")
    if sort != GATEWAY and "subnets" not in outline.given(path):
        outline.error(
            (*path, "subnets"), "is missing; it is the subnets that get a network interface of it", at_key=True
        )
    if sort == "GatewayLoadBalancer" and len(entry.get("subnets") or ()) > 1:
        outline.error((*path, "subnets"), "AWS puts an endpoint of a Gateway Load Balancer into one subnet; name one")


def _service(outline: Outline, entry: Entry) -> str:
    """What it leads to."""
    if "service_name" not in entry:
        return str(next(entry[key] for key in LEADS_TO if key in entry))
    return full_name(entry["service_name"], entry.get("service_region") or outline.region)


def _check_zones(outline: Outline, name: str) -> None:
    zones: dict[str, str] = {}
    for path, subnet in outline.texts("vpc_endpoints", name, "subnets", ...):
        zone = outline.zone_of(subnet)
        if zone and (first := zones.setdefault(zone, subnet)) != subnet:
            outline.error(
                path,
                f"{subnet} is in the zone {zone}, as is {first}, and AWS allows one subnet per zone; choose one of them",
            )


def _check_private_dns(outline: Outline, name: str, entry: Entry) -> None:
    vpc = outline.vpc_of("vpc_endpoints", name) or ""
    around = outline.entries("vpcs").get(vpc)
    if not entry.get("private_dns_enabled") or around is None or type_of(entry) not in (INTERFACE, *_LATTICE):
        return
    _check_gateway(outline, name, entry, vpc)
    missing = [] if around.get("enable_dns_support", True) else ["enable_dns_support"]
    missing += [] if around.get("enable_dns_hostnames") else ["enable_dns_hostnames"]
    if missing:
        outline.error(
            ("vpc_endpoints", name, "private_dns_enabled"),
            f"private DNS works in a VPC with DNS support and host names only; write {' and '.join(f'{item}: true' for item in missing)} in vpc.{vpc}",
        )


def _check_gateway(outline: Outline, name: str, entry: Entry, vpc: str) -> None:
    """EC2 DnsOptionsSpecification: private DNS is for inbound resolvers only where nothing is said, and needs a gateway endpoint."""
    service, options = _service(outline, entry), entry.get("dns_options") or {}
    is_far = entry.get("service_region", outline.region) != outline.region
    if (
        not service.endswith(".s3")
        or is_far
        or options.get(ONLY_INBOUND) is False
        or outline.is_wrong(("vpc_endpoints",))
    ):
        return
    gateways = [
        (_service(outline, other), outline.vpc_of("vpc_endpoints", key))
        for key, other in outline.entries("vpc_endpoints").items()
        if "service_name" in other and type_of(other) == GATEWAY
    ]
    if (gateway_name(service), vpc) not in gateways:
        text = f"private DNS is for inbound resolvers only, and vpc.{vpc} has no gateway endpoint of S3; declare one, or set dns_options.{ONLY_INBOUND}: false"
        outline.error(("vpc_endpoints", name, "private_dns_enabled"), text)


def _check_domains(outline: Outline, name: str, entry: Entry) -> None:
    """DnsOptionsSpecification: "Only supported when private DNS is enabled and when the VPC endpoint type is ServiceNetwork or
    Resource"; domains with a preference that takes them."""
    options, path = entry.get("dns_options") or {}, ("vpc_endpoints", name, "dns_options")
    for key in ("private_dns_preference", DOMAINS):
        if key in options and not (type_of(entry) in _LATTICE and entry.get("private_dns_enabled")):
            outline.error(
                (*path, key),
                "is for endpoints by resource_configuration_arn or service_network_arn with private_dns_enabled: true; remove it",
            )
            return
    takes = str(options.get("private_dns_preference", "")).find("SPECIFIED") >= 0
    if (DOMAINS in options) != takes and options:
        where, text = (
            (DOMAINS, "is for a private_dns_preference of specified domains; write SPECIFIED_DOMAINS_ONLY, say")
            if DOMAINS in options
            else ("private_dns_preference", f"needs the domains; name them as {DOMAINS}")
        )
        outline.error((*path, where), text)


def _check_policy(outline: Outline, name: str, entry: Entry) -> None:
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
    outline.error(("vpc_endpoints", name, "policy_document"), what)


def _check_unique(outline: Outline) -> None:
    """One route to a service in a table, and one private DNS name of a service in a VPC."""
    seen: dict[tuple[str, str, str], str] = {}
    for name, entry in outline.entries("vpc_endpoints").items():
        if sum(key in entry for key in LEADS_TO) != 1:
            continue
        service = _service(outline, entry)
        for path, table in outline.texts("vpc_endpoints", name, "route_tables", ...):
            if (first := seen.setdefault((service, "route table", table), name)) != name:
                outline.error(
                    path,
                    f"{table} leads to {service} by vpc_endpoint.{first} already; remove it from one",
                )
        vpc = outline.vpc_of("vpc_endpoints", name)
        if entry.get("private_dns_enabled") and vpc and (first := seen.setdefault((service, "VPC", vpc), name)) != name:
            outline.error(
                ("vpc_endpoints", name, "private_dns_enabled"),
                f"vpc_endpoint.{first} has the private DNS name of {service} in this VPC; enable it for one",
            )
