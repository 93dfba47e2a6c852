"""Makes service-linked roles: AWS makes one in the account for the first resource that needs it, if the caller may make it."""

from collections.abc import Mapping
from typing import Any, Final

from .rule import Call, after

ROLES: Final = {
    "CreateLoadBalancer": ("elasticloadbalancing.amazonaws.com", "AWSServiceRoleForElasticLoadBalancing"),
    "CreateTargetGroup": ("elasticloadbalancing.amazonaws.com", "AWSServiceRoleForElasticLoadBalancing"),
    "CreateNatGateway": ("ec2-nat-gateway.amazonaws.com", "AWSServiceRoleForNATGateway"),
}
"""By action, the service that the role is of, and the role ("Elastic Load Balancing service-linked role", "Using service-linked
roles for VPC")."""


def role_for(action: str, params: Mapping[str, Any]) -> tuple[str, str] | None:
    """The role that a call needs, with its service: of NAT gateways, regional ones only."""
    is_zonal = action == "CreateNatGateway" and params.get("AvailabilityMode") != "regional"
    return None if is_zonal else ROLES.get(action)


@after(*ROLES)
def service_linked_role(call: Call, answer: Any) -> Any:
    """It is there from then on. Here each region has its own; in AWS they are the account's."""
    if role := role_for(call.action, call.params):
        call.world.ledger.service_roles.add(role[1])
    return answer
