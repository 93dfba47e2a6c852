"""Imitates AWS's rules for internet gateways."""

from collections.abc import Callable
from typing import Any

from .matching import matches
from .references import not_found
from .rule import Call, after, around, before, refuse
from .tokens import made_once
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


@around("CreateEgressOnlyInternetGateway")
def egress_only_gateway_is_made_once(call: Call, proceed: Callable[[], Any]) -> Any:
    """CreateEgressOnlyInternetGateway: a ClientToken makes one gateway only (moto ignores it); Amazon VPC quotas: 'You can attach only one
    egress-only internet gateway to a VPC at a time'."""
    vpc_id, gateways = call.given("VpcId"), call.world.ec2.egress_only_internet_gateways
    if vpc_id not in call.world.ec2.vpcs:
        refuse(*not_found(vpc_id))

    def make() -> Any:
        if any(gateway.vpc_id == vpc_id for gateway in gateways.values()):
            refuse("InvalidParameterValue", f"Network {vpc_id} already has an egress-only internet gateway attached")
        return proceed()

    return made_once(call, "EgressOnlyInternetGateway", gateways, make)


@after("DescribeEgressOnlyInternetGateways")
def egress_only_gateways_are_filtered(call: Call, result: Any) -> Any:
    """DescribeEgressOnlyInternetGateways: the filters by tag, the only ones that there are (moto ignores them)."""
    found = result["EgressOnlyInternetGateways"]
    for item in call.given("Filters", []):
        name, wanted = item["Name"], item.get("Values", [])
        tags = {gateway.id: call.world.ec2.tags.get(gateway.id, {}) for gateway in found}
        if name == "tag-key":
            found = [gateway for gateway in found if matches(list(tags[gateway.id]), wanted)]
        else:
            found = [gateway for gateway in found if matches(tags[gateway.id].get(name.removeprefix("tag:")), wanted)]
    return {"EgressOnlyInternetGateways": found}


def open_to_internet(ec2: Any, vpc_id: str) -> None:
    """Give a VPC an internet gateway, and its main route table the route to it."""
    gateway = ec2.create_internet_gateway()
    ec2.attach_internet_gateway(gateway.id, vpc_id)
    (main,) = (table for table in ec2.route_tables.values() if table.vpc_id == vpc_id)
    ec2.create_route(main.id, "0.0.0.0/0", gateway_id=gateway.id)


def default_vpc_reaches_internet(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A replacement for `VPCBackend.create_default_vpc`. Amazon VPC, 'Default VPC components': an internet gateway, and a route
    to it in the main route table (moto: neither)."""

    def create_default_vpc(ec2: Any) -> Any:
        vpc = original(ec2)
        open_to_internet(ec2, vpc.id)
        return vpc

    return create_default_vpc


def patches() -> list[tuple[Any, str, Any]]:
    from moto.ec2.models.vpcs import VPCBackend

    return [(VPCBackend, "create_default_vpc", default_vpc_reaches_internet(VPCBackend.create_default_vpc))]
