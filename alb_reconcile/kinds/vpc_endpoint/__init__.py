"""VPC endpoints (EC2 CreateVpcEndpoint, ModifyVpcEndpoint, DeleteVpcEndpoints)."""

from alb_reconcile.kinds.vpc_endpoint.kind import (
    DOMAINS,
    GATEWAY,
    INTERFACE,
    KIND,
    LEADS_TO,
    LOAD_BALANCER,
    ONLY_INBOUND,
    RESOURCE,
    SERVICE_NETWORK,
    full_name,
    gateway_name,
    type_of,
)

__all__ = [
    "DOMAINS",
    "GATEWAY",
    "INTERFACE",
    "KIND",
    "LEADS_TO",
    "LOAD_BALANCER",
    "ONLY_INBOUND",
    "RESOURCE",
    "SERVICE_NETWORK",
    "full_name",
    "gateway_name",
    "type_of",
]
