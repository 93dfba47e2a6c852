"""VPC endpoints: what each type has, where private DNS works, and what another endpoint has already."""

import json
from typing import Final

from alb_reconcile.kinds.base import Entry
from alb_reconcile.kinds.vpc_endpoint import GATEWAY, INTERFACE, full_name, type_of
from alb_reconcile.model.policy_document import PolicyDocument
from alb_reconcile.spec.outline import Outline

_WITH_ROUTES: Final = (".s3", ".dynamodb", ".s3express")
"""AWS PrivateLink Guide, "Gateway endpoints"; Amazon S3 User Guide, "Networking for directory buckets"."""
_ONLY_OF: Final = {
    "route_tables": (GATEWAY,),
    "subnets": (INTERFACE, "GatewayLoadBalancer"),
    "security_groups": (INTERFACE,),
    "private_dns_enabled": (INTERFACE,),
}


def check(outline: Outline) -> None:
    """Report endpoints that AWS would refuse."""
    for name, entry in outline.entries("vpc_endpoints").items():
        if "service_name" in entry:
            _check_type(outline, name, entry)
            _check_zones(outline, name)
            _check_private_dns(outline, name, entry)
        _check_policy(outline, name, entry)
    _check_unique(outline)


def _check_type(outline: Outline, name: str, entry: Entry) -> None:
    path, sort = ("vpc_endpoints", name), type_of(entry)
    if "vpc_endpoint_type" in outline.given(path) and "vpc_endpoint_type" not in entry:
        return  # what is wrong with it has been said
    service = _service(outline, entry)
    if sort == GATEWAY and not service.endswith(_WITH_ROUTES):
        outline.error(
            (*path, "service_name"),
            f"{entry['service_name']} has no gateway endpoint, as S3 and DynamoDB have; name subnets for an interface endpoint",
        )
        return
    for key, sorts in _ONLY_OF.items():
        if key in entry and sort not in sorts:
            outline.error(
                (*path, key), f"is for endpoints of the type {' or '.join(sorts)}, and this one is {sort}; remove it"
            )
    if sort != GATEWAY and "subnets" not in outline.given(path):
        outline.error(
            (*path, "subnets"), "is missing; it is the subnets that get a network interface of it", at_key=True
        )
    if sort == "GatewayLoadBalancer" and len(entry.get("subnets") or ()) > 1:
        outline.error((*path, "subnets"), "AWS puts an endpoint of a Gateway Load Balancer into one subnet; name one")


def _service(outline: Outline, entry: Entry) -> str:
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
    if not entry.get("private_dns_enabled") or around is None or type_of(entry) != INTERFACE:
        return
    missing = [] if around.get("enable_dns_support", True) else ["enable_dns_support"]
    missing += [] if around.get("enable_dns_hostnames") else ["enable_dns_hostnames"]
    if missing:
        outline.error(
            ("vpc_endpoints", name, "private_dns_enabled"),
            f"private DNS works in a VPC with DNS support and host names only; write {' and '.join(f'{item}: true' for item in missing)} in vpc.{vpc}",
        )


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
    seen: dict[tuple[str, str], str] = {}
    for name, entry in outline.entries("vpc_endpoints").items():
        if "service_name" not in entry:
            continue
        service = _service(outline, entry)
        for path, table in outline.texts("vpc_endpoints", name, "route_tables", ...):
            if (first := seen.setdefault((service, table), name)) != name:
                outline.error(
                    path,
                    f"{table} leads to {entry['service_name']} by vpc_endpoint.{first} already; remove it from one",
                )
        vpc = outline.vpc_of("vpc_endpoints", name)
        if entry.get("private_dns_enabled") and vpc and (first := seen.setdefault((service, vpc), name)) != name:
            outline.error(
                ("vpc_endpoints", name, "private_dns_enabled"),
                f"vpc_endpoint.{first} has the private DNS name of {entry['service_name']} in this VPC; enable it for one",
            )
