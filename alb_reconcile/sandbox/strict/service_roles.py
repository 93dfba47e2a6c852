"""Makes service-linked roles: AWS makes one in the account for the first resource that needs it, if the caller may make it."""

from collections.abc import Mapping
from typing import Any, Final

from .rule import Call, after

ROLES: Final = {
    "CreateLoadBalancer": ("elasticloadbalancing.amazonaws.com", "AWSServiceRoleForElasticLoadBalancing"),
    "CreateTargetGroup": ("elasticloadbalancing.amazonaws.com", "AWSServiceRoleForElasticLoadBalancing"),
    "CreateNatGateway": ("ec2-nat-gateway.amazonaws.com", "AWSServiceRoleForNATGateway"),
}
"""The service and the name of the role that an action needs, by action ("Elastic Load Balancing service-linked role", "Using service-linked
roles for VPC")."""


def role_for(action: str, params: Mapping[str, Any]) -> tuple[str, str] | None:
    """The service and the name of the role that a call needs; None if it needs none. Only regional NAT gateways need one."""
    is_zonal = action == "CreateNatGateway" and params.get("AvailabilityMode") != "regional"
    return None if is_zonal else ROLES.get(action)


@after(*ROLES)
def service_linked_role(call: Call, answer: Any) -> Any:
    """Note that the role exists from now on. Here each region has its own roles; in AWS they are the account's."""
    if role := role_for(call.action, call.params):
        call.world.ledger.service_roles.add(role[1])
    return answer
