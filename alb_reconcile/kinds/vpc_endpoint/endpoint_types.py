"""The types of VPC endpoints, and the names of the services that they lead to."""

import re
from typing import Final

from alb_reconcile.kinds.base import Entry

GATEWAY, INTERFACE, LOAD_BALANCER = "Gateway", "Interface", "GatewayLoadBalancer"
ONLY_INBOUND: Final = "private_dns_only_for_inbound_resolver_endpoint"
_FULL_NAME: Final = re.compile(r"(com|cn\.com|aws)\.")


def full_name(name: str, region: str | None) -> str:
    """A service's full name. A spec may give the short name of one of AWS's services: `s3` for com.amazonaws.REGION.s3."""
    return f"com.amazonaws.{region}.{name}" if region and not _FULL_NAME.match(name) else name


def gateway_name(service: str | None) -> str:
    """The service name of a service's gateway endpoint, if it has one. In China the names of interface endpoints begin with cn."""
    return (service or "").removeprefix("cn.")


def type_of(entry: Entry) -> str:
    """The type of an endpoint's entry. AWS's default is a gateway endpoint, which is in no subnet; with subnets, an interface endpoint."""
    return str(entry.get("vpc_endpoint_type") or (INTERFACE if "subnets" in entry else GATEWAY))
