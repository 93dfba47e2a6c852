"""Imitates AWS's rules for VPCs, subnets and route tables."""

import ipaddress
from collections.abc import Callable
from typing import Any

from .references import not_found
from .rule import Call, after, around, before, refuse

SUBNET_ATTRIBUTES = (
    "AssignIpv6AddressOnCreation",
    "CustomerOwnedIpv4Pool",
    "EnableDns64",
    "EnableLniAtDeviceIndex",
    "EnableResourceNameDnsAAAARecordOnLaunch",
    "EnableResourceNameDnsARecordOnLaunch",
    "MapCustomerOwnedIpOnLaunch",
    "MapPublicIpOnLaunch",
    "PrivateDnsHostnameTypeOnLaunch",
)
VPC_ATTRIBUTES = ("EnableDnsHostnames", "EnableDnsSupport", "EnableNetworkAddressUsageMetrics")


def has_dependencies(kind: str, physical_id: str) -> None:
    refuse("DependencyViolation", f"The {kind} '{physical_id}' has dependencies and cannot be deleted.")


@before("CreateVpc", "CreateSubnet")
def cidr_is_made_canonical(call: Call) -> None:
    """CreateVpc: 'We modify the specified CIDR block to its canonical form', 100.68.0.18/18 → 100.68.0.0/18."""
    cidr = call.given("CidrBlock")
    try:
        call.params["CidrBlock"] = str(ipaddress.IPv4Network(cidr, strict=False))
    except ValueError:
        return  # moto refuses it


@before("CreateSubnet")
def subnet_size_is_between_16_and_28(call: Call) -> None:
    """CreateSubnet: the netmask is between /16 and /28, else InvalidSubnet.Range."""
    cidr = call.given("CidrBlock", "")
    if "/" in cidr and not 16 <= int(cidr.rpartition("/")[2]) <= 28:
        refuse("InvalidSubnet.Range", f"The CIDR '{cidr}' is invalid.")


@before("CreateSubnet")
def subnet_zone_is_of_the_region(call: Call) -> None:
    """CreateSubnet: InvalidParameterValue for a zone that the region doesn't have (moto takes any region's)."""
    names = sorted(zone.name for zone in call.world.ec2.describe_availability_zones())
    zone = call.given("AvailabilityZone")
    if zone is None:
        call.params["AvailabilityZone"] = names[0]
    elif zone not in names:
        refuse(
            "InvalidParameterValue",
            f"Value ({zone}) for parameter availabilityZone is invalid. "
            f"Subnets can currently only be created in the following availability zones: {', '.join(names)}.",
        )


@after("CreateSubnet")
def subnet_of_a_custom_vpc_is_no_default(call: Call, result: Any) -> Any:
    """ModifySubnetAttribute: nondefault subnets have MapPublicIpOnLaunch false."""
    subnet = result["Subnet"]
    subnet.default_for_az = subnet.map_public_ip_on_launch = False
    return result


@before("DeleteSubnet")
def subnet_in_use_stays(call: Call) -> None:
    """DeleteSubnet: 'You must terminate all running instances in the subnet', and any interface blocks it."""
    subnet_id = call.given("SubnetId")
    instances = [i for i in call.world.instances() if i.state != "terminated" and i.subnet_id == subnet_id]
    if instances or call.world.interfaces(subnet_id=subnet_id):
        has_dependencies("subnet", subnet_id)


@after("DeleteSubnet")
def subnet_leaves_its_route_table(call: Call, result: Any) -> Any:
    """DeleteSubnet removes the subnet's association, or its table could never be deleted."""
    for table in call.world.ec2.route_tables.values():
        for association, target in list(table._associations.items()):
            if target == call.given("SubnetId"):
                del table._associations[association]
    return result


@before("DeleteVpc")
def vpc_in_use_stays(call: Call) -> None:
    """DeleteVpc: 'You must detach or delete all gateways and resources that are associated with the VPC'."""
    vpc_id, world = call.given("VpcId"), call.world
    if vpc_id not in world.ec2.vpcs:
        return
    groups = [g for g in world.groups() if g.vpc_id == vpc_id and not g.is_default]
    tables = [t for t in world.ec2.route_tables.values() if t.vpc_id == vpc_id and not t.main_association_id]
    nats = [n for n in world.ec2.nat_gateways.values() if n.vpc_id == vpc_id and n.state not in ("deleted", "failed")]
    blockers = [world.gateway_of(vpc_id), *groups, *tables, *nats, *world.interfaces(vpc_id=vpc_id)]
    blockers += further_inhabitants(world.ec2, vpc_id)
    if any(blockers) or world.subnets(vpc_id):
        has_dependencies("vpc", vpc_id)


def further_inhabitants(ec2: Any, vpc_id: str) -> list[Any]:
    """The other resources because of which a VPC can't be deleted (AWS re:Post, 'Why can't I delete my Amazon VPC?')."""
    private = [gateway for gateway in ec2.vpn_gateways.values() if vpc_id in gateway.attachments]
    outward = [gateway for gateway in ec2.egress_only_internet_gateways.values() if gateway.vpc_id == vpc_id]
    endpoints = [endpoint for endpoint in ec2.vpc_end_points.values() if endpoint.vpc_id == vpc_id]
    acls = [acl for acl in ec2.network_acls.values() if acl.vpc_id == vpc_id and not acl.default]
    peers = [
        peering
        for peering in ec2.vpc_pcxs.values()
        if vpc_id in (peering.vpc.id, peering.peer_vpc.id) and peering._status.code in ("active", "pending-acceptance")
    ]
    return [*private, *outward, *endpoints, *acls, *peers]


@after("DeleteVpc")
def vpc_takes_its_defaults_along(call: Call, result: Any) -> Any:
    """DeleteVpc: 'deletes the default security group, network ACL and route table for the VPC'."""
    acls = call.world.ec2.network_acls
    for acl in [acl for acl in acls.values() if acl.vpc_id == call.given("VpcId")]:
        del acls[acl.id]
    return result


@before("ModifyVpcAttribute")
def one_vpc_attribute_a_call(call: Call) -> None:
    """ModifyVpcAttribute: 'You cannot modify the DNS attributes in the same request'."""
    _one_attribute(call, VPC_ATTRIBUTES)


@before("ModifySubnetAttribute")
def one_subnet_attribute_a_call(call: Call) -> None:
    """ModifySubnetAttribute: 'You can only modify one attribute at a time'."""
    _one_attribute(call, SUBNET_ATTRIBUTES)
    if call.world.subnet(call.given("SubnetId")) is None:
        refuse(*not_found(call.given("SubnetId")))


def _one_attribute(call: Call, attributes: tuple[str, ...]) -> None:
    given = [name for name in attributes if name in call.params]
    if len(given) > 1:
        refuse("InvalidParameterCombination", f"Fields for multiple attribute types specified: {given}")
    if not given:
        refuse("InvalidParameterCombination", "No attributes specified.")


@before("CreateRouteTable", "CreateSecurityGroup")
def vpc_must_exist(call: Call) -> None:
    """CreateSecurityGroup: InvalidVpcID.NotFound (moto makes the group anyway)."""
    vpc_id = call.given("VpcId")
    if vpc_id is not None and vpc_id not in call.world.ec2.vpcs:
        refuse(*not_found(vpc_id))


@before("DeleteRouteTable")
def route_table_in_use_stays(call: Call) -> None:
    """DeleteRouteTable: not while it is associated with a subnet, and never the main one."""
    table = call.world.ec2.route_tables.get(call.given("RouteTableId"))
    if table and (table._associations or table.main_association_id):
        has_dependencies("routeTable", table.id)


@before("AssociateRouteTable")
def subnet_has_one_route_table(call: Call) -> None:
    """AssociateRouteTable: Resource.AlreadyAssociated when the subnet has another table (moto doesn't refuse it)."""
    subnet_id, table_id = call.given("SubnetId"), call.given("RouteTableId")
    tables = call.world.ec2.route_tables
    if subnet_id is None or table_id not in tables:
        return
    subnet = call.world.subnet(subnet_id)
    if subnet and subnet.vpc_id != tables[table_id].vpc_id:
        refuse("InvalidParameterValue", f"Route table {table_id} and subnet {subnet_id} belong to different networks")
    for table in tables.values():
        for association, target in table._associations.items():
            if target == subnet_id and table.id != table_id:
                refuse(
                    "Resource.AlreadyAssociated",
                    f"the specified association for route table {table_id} conflicts with an existing "
                    f"association {association}",
                )


@around("DisassociateRouteTable")
def main_association_stays(call: Call, proceed: Callable[[], Any]) -> Any:
    """DisassociateRouteTable: InvalidParameterValue for the main table's own association."""
    association = call.given("AssociationId")
    if any(t.main_association_id == association for t in call.world.ec2.route_tables.values()):
        refuse("InvalidParameterValue", f"cannot disassociate the main route table association {association}")
    return proceed()


@after("DescribeNetworkInterfaces")
def managed_interfaces_are_hidden(call: Call, result: Any) -> Any:
    """DescribeNetworkInterfaces IncludeManagedResources: 'If this parameter is set to true, the output includes resources
    that are managed by Amazon Web Services services, even if managed resource visibility is set to hidden'."""
    if call.given("IncludeManagedResources"):
        return result
    hidden = call.world.ledger.hidden
    return {**result, "NetworkInterfaces": [item for item in result["NetworkInterfaces"] if item.id not in hidden]}


@before("CreateRoute", "ReplaceRoute", "DeleteRoute")
def route_has_one_destination(call: Call) -> None:
    """CreateRoute: 'You must specify either a destination CIDR block or a prefix list ID' (moto takes an empty one)."""
    keys = ("DestinationCidrBlock", "DestinationIpv6CidrBlock", "DestinationPrefixListId")
    given = [key for key in keys if call.given(key)]
    if not given:
        refuse("MissingParameter", "The request must contain the parameter destinationCidrBlock")
    if len(given) > 1:
        refuse("InvalidParameterCombination", f"The parameters {' and '.join(given)} may not be specified together")


@before("CreateRoute")
def route_is_new(call: Call) -> None:
    """CreateRoute: RouteAlreadyExists, also for the local route (moto replaces it)."""
    table = call.world.ec2.route_tables.get(call.given("RouteTableId"))
    cidr = call.given("DestinationCidrBlock")
    if table is None or cidr is None:
        return
    try:
        cidr = str(ipaddress.IPv4Network(cidr, strict=False))
    except ValueError:
        return  # moto refuses it
    call.params["DestinationCidrBlock"] = cidr
    if any(route.destination_cidr_block == cidr for route in table.routes):
        refuse("RouteAlreadyExists", f"The route identified by {cidr} already exists.")


@before("CreateRoute", "ReplaceRoute")
def route_target_is_of_the_vpc(call: Call) -> None:
    """CreateRoute: an internet gateway must be attached to the table's VPC."""
    table = call.world.ec2.route_tables.get(call.given("RouteTableId"))
    gateway = call.world.ec2.internet_gateways.get(call.given("GatewayId"))
    if table and gateway and (gateway.vpc is None or gateway.vpc.id != table.vpc_id):
        refuse(
            "InvalidParameterValue",
            f"route table {table.id} and network gateway {gateway.id} belong to different networks",
        )


@before("DeleteRoute")
def local_route_stays(call: Call) -> None:
    """DeleteRoute: InvalidParameterValue, 'cannot remove local route'."""
    table = call.world.ec2.route_tables.get(call.given("RouteTableId"))
    cidr = call.given("DestinationCidrBlock")
    for route in table.routes if table else ():
        if route.local and cidr is not None and route.destination_cidr_block == cidr:
            refuse("InvalidParameterValue", f"cannot remove local route {cidr} in route table {table.id}")
