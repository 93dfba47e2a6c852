"""A new id may be unknown to other actions for a while (AWS EC2, 'Eventual consistency in the EC2 API')."""

from collections.abc import Iterator
from typing import Any

from .rule import Call, refuse

NOT_FOUND = {
    "vpc-": ("InvalidVpcID.NotFound", "The vpc ID '{}' does not exist"),
    "subnet-": ("InvalidSubnetID.NotFound", "The subnet ID '{}' does not exist"),
    "rtb-": ("InvalidRouteTableID.NotFound", "The routeTable ID '{}' does not exist"),
    "igw-": ("InvalidInternetGatewayID.NotFound", "The internetGateway ID '{}' does not exist"),
    "eigw-": ("InvalidGatewayID.NotFound", "The eigw ID '{}' does not exist"),
    "vpce-": ("InvalidVpcEndpointId.NotFound", "The Vpc Endpoint Id '{}' does not exist"),
    "sg-": ("InvalidGroup.NotFound", "The security group '{}' does not exist"),
    "nat-": ("InvalidNatGatewayID.NotFound", "The natGateway ID '{}' does not exist"),
    "eipalloc-": ("InvalidAllocationID.NotFound", "The allocation ID '{}' does not exist"),
    "i-": ("InvalidInstanceID.NotFound", "The instance ID '{}' does not exist"),
    "vol-": ("InvalidVolume.NotFound", "The volume '{}' does not exist."),
    "eni-": ("InvalidNetworkInterfaceID.NotFound", "The networkInterface ID '{}' does not exist"),
}
ELB_REFERENCES = {
    "vpc-": ("ValidationError", "The VPC ID '{}' is not found"),  # ansible/ansible#31919
    "subnet-": ("SubnetNotFound", "The subnet ID '{}' is not found"),
    "sg-": ("InvalidSecurityGroup", "The security group ID '{}' is not valid"),
}
"""What ELBv2 says of EC2's resources (its API Reference: errors of CreateTargetGroup, CreateLoadBalancer, SetSubnets, SetSecurityGroups)."""
ELB_ACTIONS = ("CreateTargetGroup", "CreateLoadBalancer", "SetSubnets", "SetSecurityGroups")
ELB_NOT_FOUND = {
    ":loadbalancer/": ("LoadBalancerNotFound", "Load balancer '{}' not found"),
    ":targetgroup/": ("TargetGroupNotFound", "Target groups '{}' not found"),
    ":truststore/": ("TrustStoreNotFound", "Trust store '{}' not found"),
    ":listener/": ("ListenerNotFound", "Listeners '{}' not found"),
    ":listener-rule/": ("RuleNotFound", "Rules '{}' not found"),
}


def not_found(physical_id: str) -> tuple[str, str]:
    """The code and message with which AWS denies that an id exists."""
    known = ELB_NOT_FOUND if physical_id.startswith("arn:") else NOT_FOUND
    for mark, (code, message) in known.items():
        if mark in physical_id if physical_id.startswith("arn:") else physical_id.startswith(mark):
            return code, message.format(physical_id)
    return "InvalidID", f"The ID '{physical_id}' is not valid"


def check(call: Call, lag: float) -> None:
    """A request that names an id younger than the lag is answered as if the id didn't exist."""
    if lag <= 0:
        return
    created = call.world.ledger.created
    for value in texts(call.params):
        if call.now < created.get(value, -lag) + lag:
            if call.action == "RegisterTargets" and value.startswith("i-"):
                refuse("InvalidTarget", f"The following targets are not valid: '{value}'")
            for mark, (code, message) in ELB_REFERENCES.items() if call.action in ELB_ACTIONS else ():
                if value.startswith(mark):
                    refuse(code, message.format(value))
            refuse(*not_found(value))


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif hasattr(value, "values"):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts(item)
