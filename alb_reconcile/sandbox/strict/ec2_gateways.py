"""Rules of internet gateways."""

from typing import Any

from .rule import Call, before, refuse
from .world import World


@before("AttachInternetGateway")
def vpc_has_one_gateway(call: Call) -> None:
    """AttachInternetGateway: InvalidParameterValue for a VPC that has a gateway."""
    vpc_id = call.given("VpcId")
    if call.world.gateway_of(vpc_id):
        refuse("InvalidParameterValue", f"Network {vpc_id} already has an internet gateway attached")


@before("DetachInternetGateway")
def gateway_under_public_addresses_stays(call: Call) -> None:
    """DetachInternetGateway: 'The VPC must not contain any running instances with Elastic IP addresses or
    public IPv4 addresses'; the interfaces of an internet-facing load balancer carry such addresses too."""
    gateway = call.world.ec2.internet_gateways.get(call.given("InternetGatewayId"))
    vpc_id = call.given("VpcId")
    if gateway and gateway.vpc and gateway.vpc.id == vpc_id and mapped_addresses(call.world, vpc_id):
        refuse(
            "DependencyViolation",
            f"Network {vpc_id} has some mapped public address(es). "
            "Please unmap those public address(es) before detaching the gateway.",
        )


def mapped_addresses(world: World, vpc_id: str) -> list[Any]:
    return [eni for eni in world.interfaces(vpc_id=vpc_id) if eni.public_ip]
