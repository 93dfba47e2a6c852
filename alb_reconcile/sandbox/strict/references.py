"""Imitates that a new id may be unknown to other actions for a while (AWS EC2, 'Eventual consistency in the EC2 API')."""

import functools
from collections.abc import Callable, Iterator
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
    "key-": ("InvalidKeyPair.NotFound", "The key pair '{}' does not exist"),
    "vol-": ("InvalidVolume.NotFound", "The volume '{}' does not exist."),
    "eni-": ("InvalidNetworkInterfaceID.NotFound", "The networkInterface ID '{}' does not exist"),
}
ELB_REFERENCES = {
    "vpc-": ("ValidationError", "The VPC ID '{}' is not found"),  # ansible/ansible#31919
    "subnet-": ("SubnetNotFound", "The subnet ID '{}' is not found"),
    "sg-": ("InvalidSecurityGroup", "The security group ID '{}' is not valid"),
}
"""ELBv2's errors for EC2's resources that it doesn't find (its API Reference: errors of CreateTargetGroup, CreateLoadBalancer, SetSubnets,
SetSecurityGroups)."""
ELB_ACTIONS = ("CreateTargetGroup", "CreateLoadBalancer", "SetSubnets", "SetSecurityGroups")
ELB_NOT_FOUND = {
    ":loadbalancer/": ("LoadBalancerNotFound", "Load balancer '{}' not found"),
    ":targetgroup/": ("TargetGroupNotFound", "Target groups '{}' not found"),
    ":truststore/": ("TrustStoreNotFound", "Trust store '{}' not found"),
    ":listener/": ("ListenerNotFound", "Listeners '{}' not found"),
    ":listener-rule/": ("RuleNotFound", "Rules '{}' not found"),
}


def not_found(physical_id: str) -> tuple[str, str]:
    """The code and message of AWS's error for an id that doesn't exist."""
    known = ELB_NOT_FOUND if physical_id.startswith("arn:") else NOT_FOUND
    for mark, (code, message) in known.items():
        if mark in physical_id if physical_id.startswith("arn:") else physical_id.startswith(mark):
            return code, message.format(physical_id)
    return "InvalidID", f"The ID '{physical_id}' is not valid"


def check(call: Call, lag: float) -> None:
    """Refuse a request that names an id younger than the lag, as if the id didn't exist."""
    if lag <= 0:
        return
    created = call.world.ledger.created
    key = call.world.ec2.key_pairs.get(call.given("KeyName")) if call.action == "RunInstances" else None
    if key and call.now < created.get(key.id, -lag) + lag:
        refuse("InvalidKeyPair.NotFound", f"The key pair '{call.given('KeyName')}' does not exist")
    _check_profile(call, lag)
    for value in texts(call.params):
        if call.now < created.get(value, -lag) + lag:
            if call.action == "RegisterTargets" and value.startswith("i-"):
                refuse("InvalidTarget", f"The following targets are not valid: '{value}'")
            for mark, (code, message) in ELB_REFERENCES.items() if call.action in ELB_ACTIONS else ():
                if value.startswith(mark):
                    refuse(code, message.format(value))
            refuse(*not_found(value))


def _check_profile(call: Call, lag: float) -> None:
    """RunInstances, AssociateIamInstanceProfile: EC2 learns of a new profile late (IAM User Guide, 'Changes that I make are not always
    immediately visible'). The message is EC2's, for which terraform-provider-aws repeats a launch."""
    named = call.given("IamInstanceProfile") or {}
    arn, name = named.get("Arn", ""), named.get("Name", "")
    for profile in _profiles(call.world.account):
        if call.now < getattr(profile, "strict_made", -lag) + lag and (arn or name) in (profile.arn, profile.name):
            what = f"Value ({arn or name}) for parameter iamInstanceProfile.{'arn' if arn else 'name'} is invalid."
            refuse("InvalidParameterValue", f"{what} Invalid IAM Instance Profile {'ARN' if arn else 'name'}")


def _profiles(account: str) -> Iterator[Any]:
    from moto.iam.models import iam_backends

    for backend in iam_backends[account].values():
        yield from backend.instance_profiles.values()


def patches(clock: Callable[[], float]) -> list[tuple[Any, str, Any]]:
    """A patch that notes when each instance profile was made, on AWS's clock."""
    from moto.iam.models import IAMBackend

    make = IAMBackend.create_instance_profile

    @functools.wraps(make)
    def create_instance_profile(*args: Any, **kwargs: Any) -> Any:
        profile = make(*args, **kwargs)
        vars(profile)["strict_made"] = clock()
        return profile

    return [(IAMBackend, "create_instance_profile", create_instance_profile)]


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif hasattr(value, "values"):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts(item)
