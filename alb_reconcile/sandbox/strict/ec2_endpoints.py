"""Imitates AWS's rules for VPC endpoints, and their network interfaces."""

from collections.abc import Callable, Iterable
from typing import Any

from moto.ec2.models.vpcs import AWS_ENDPOINT_SERVICES, COVERED_ENDPOINT_SERVICES, VPCEndPoint
from moto.ec2.utils import random_vpc_ep_id

from .interfaces import let_go, remove_interface
from .references import not_found
from .rule import Call, after, around, before, refuse
from .tokens import made_once
from .world import Timeline, World

WITH_ROUTES = ("s3", "dynamodb")
"""The services that have gateway endpoints (AWS PrivateLink Guide, 'Gateway endpoints')."""
KNOWN = {*AWS_ENDPOINT_SERVICES, *COVERED_ENDPOINT_SERVICES}
GATEWAY = "Gateway"


def endpoint(call: Call, physical_id: str | None = None) -> Any:
    """The endpoint that a request names."""
    wanted = physical_id or call.given("VpcEndpointId")
    found = call.world.ec2.vpc_end_points.get(wanted)
    if found is None:
        refuse(*not_found(str(wanted)))
    return found


def short_name(call: Call, service: str) -> str:
    """The short name of a service. InvalidServiceName for a service of AWS that isn't in the region (CreateVpcEndpoint; moto takes all)."""
    name = service.removeprefix(f"com.amazonaws.{call.world.region}.")
    own = [f"com.amazonaws.vpce.{call.world.region}.{item}" for item in call.world.ec2.configurations]
    if service not in own and (name == service or name not in KNOWN):
        refuse("InvalidServiceName", f"The Vpc Endpoint Service '{service}' does not exist")
    return name


@around("DescribeVpcEndpointServices")
def services_are_the_regions(call: Call, _: Callable[[], Any]) -> Any:
    """DescribeVpcEndpointServices: InvalidServiceName for a name that the region doesn't have (moto loads all of its services for
    that, which takes seconds)."""
    names = call.given("ServiceNames", [])
    for name in names:
        short_name(call, name)
    own = [f"com.amazonaws.vpce.{call.world.region}.{item}" for item in call.world.ec2.configurations]
    known = [*(f"com.amazonaws.{call.world.region}.{item}" for item in sorted(KNOWN)), *own]
    return {"ServiceNames": names or known, "ServiceDetails": []}


@around("CreateVpcEndpoint")
def endpoint_is_made_once(call: Call, _: Callable[[], Any]) -> Any:
    """CreateVpcEndpoint: a ClientToken makes one endpoint only (moto ignores it). A gateway endpoint is `available` at once, any other is
    `pending` until its network interfaces exist."""
    return made_once(call, "VpcEndpoint", call.world.ec2.vpc_end_points, lambda: {"VpcEndpoint": make(call)})


def make(call: Call) -> Any:
    world, vpc_id = call.world, call.given("VpcId")
    if vpc_id not in world.ec2.vpcs:
        refuse(*not_found(vpc_id))
    sort, service = call.given("VpcEndpointType", GATEWAY), call.given("ServiceName", "")
    name = short_name(call, service)
    options = call.given("DnsOptions", {})
    made: Any = VPCEndPoint(  # type: ignore[abstract]  # moto's own
        world.ec2, random_vpc_ep_id(), vpc_id, service, sort, call.given("PolicyDocument"), [], [],
        security_group_ids=[], private_dns_enabled=False,
    )  # fmt: skip
    made.ip_address_type = call.given("IpAddressType", "ipv4")
    made.dns_options = {"DnsRecordIpType": made.ip_address_type, **options}
    made.creation_timestamp = call.moment
    if sort == GATEWAY:
        made_of_routes(call, made, name)
    else:
        made_of_interfaces(call, made)
    world.ec2.vpc_end_points[made.id] = made
    made.add_tags({tag["Key"]: tag["Value"] for part in call.given("TagSpecifications", []) for tag in part["Tags"]})
    add_routes(world, made, call.given("RouteTableIds", []))
    add_interfaces(world, made, call.given("SubnetIds", []))
    timeline = Timeline()
    timeline.add(call.now, "available" if sort == GATEWAY else "pending")
    if sort != GATEWAY:
        timeline.then(call.now + call.timing.endpoint_pending, "available")
        world.ledger.schedule(call.now + call.timing.endpoint_pending, "state", made.id)
    world.ledger.endpoints[made.id] = timeline
    made.state = timeline.state(call.now)
    return made


def made_of_routes(call: Call, made: Any, name: str) -> None:
    """A gateway endpoint is for S3 or DynamoDB, and has no subnets, groups or private DNS (AWS PrivateLink Guide, 'Gateway endpoints')."""
    if name not in WITH_ROUTES:
        refuse("InvalidParameter", f"The Vpc Endpoint Service '{made.service_name}' is not available as type Gateway")
    if call.given("SubnetIds") or call.given("SecurityGroupIds"):
        refuse("InvalidParameter", "SubnetIds and SecurityGroupIds cannot be specified for Gateway type VPC endpoints")
    if call.given("PrivateDnsEnabled"):
        refuse("InvalidParameter", "Private DNS can't be enabled for Gateway type VPC endpoints")
    check_tables(call, made, call.given("RouteTableIds", []))


def made_of_interfaces(call: Call, made: Any) -> None:
    """AWS PrivateLink Guide, 'Create an interface endpoint': one subnet a zone; the VPC's default group if none is given."""
    if call.given("RouteTableIds"):
        refuse("InvalidParameter", f"RouteTableIds cannot be specified for {made.vpc_endpoint_type} type VPC endpoints")
    check_subnets(call, made, call.given("SubnetIds", []), [])
    if made.vpc_endpoint_type == "Interface":
        default = call.world.ec2.get_default_security_group(made.vpc_id).id
        made.security_group_ids = list(call.given("SecurityGroupIds") or [default])
        check_groups(call, made, made.security_group_ids)
    elif call.given("SecurityGroupIds") or call.given("PrivateDnsEnabled"):
        refuse("InvalidParameter", f"{made.vpc_endpoint_type} endpoints have neither security groups nor private DNS")
    if call.given("PrivateDnsEnabled"):
        enable_private_dns(call, made)


def check_tables(call: Call, made: Any, tables: Iterable[str]) -> None:
    """ModifyVpcEndpoint, CreateVpcEndpoint: RouteAlreadyExists if the table has a route to the service already (AWS PrivateLink
    Guide, 'Gateway endpoints': 'You can have multiple gateway endpoints …, but only one route to each service in a table')."""
    for table_id in tables:
        table = call.world.ec2.route_tables.get(table_id)
        if table is None:
            refuse("InvalidRouteTableId.NotFound", f"The routeTable ID '{table_id}' does not exist")
        if table.vpc_id != made.vpc_id:
            refuse("InvalidParameter", f"Route table {table_id} and VPC {made.vpc_id} belong to different networks")
        for other in call.world.ec2.vpc_end_points.values():
            same = other is not made and other.service_name == made.service_name
            if same and table_id in other.route_table_ids and other.state not in ("deleting", "deleted"):
                list_id = prefix_list(call.world, made)
                refuse(
                    "RouteAlreadyExists",
                    f"route table {table_id} already has a route with destination-prefix-list-id {list_id}",
                )


def check_subnets(call: Call, made: Any, added: list[str], present: list[str]) -> None:
    """DuplicateSubnetsInSameZone, even if the same request removes the other subnet of the zone (openshift/hypershift removes it first)."""
    zones = {subnet.availability_zone for subnet in call.world.subnets(made.vpc_id) if subnet.id in present}
    for subnet_id in added:
        subnet = call.world.subnet(subnet_id)
        if subnet is None:
            refuse("InvalidSubnetId.NotFound", f"The subnet ID '{subnet_id}' does not exist")
        if subnet.vpc_id != made.vpc_id:
            refuse("InvalidParameter", f"Subnet {subnet_id} and VPC {made.vpc_id} belong to different networks")
        if subnet.availability_zone in zones:
            refuse(
                "DuplicateSubnetsInSameZone",
                f"Found another VPC endpoint subnet in the availability zone of {subnet_id}. VPC endpoint subnets "
                "should be in different availability zones supported by the VPC endpoint service.",
            )
        zones.add(subnet.availability_zone)


def check_groups(call: Call, made: Any, groups: Iterable[str]) -> None:
    known = {group.id: group for group in call.world.groups()}
    for group_id in groups:
        if group_id not in known:
            refuse(*not_found(group_id))
        if known[group_id].vpc_id != made.vpc_id:
            refuse("InvalidParameter", f"Security group {group_id} and VPC {made.vpc_id} belong to different networks")


def enable_private_dns(call: Call, made: Any) -> None:
    """CreateVpcEndpoint PrivateDnsEnabled: 'you must set the following VPC attributes to true: enableDnsHostnames and
    enableDnsSupport'; only one endpoint of a VPC can have a service's DNS name (terraform-provider-aws, issue 17535); for S3 'the VPC must
    have a Gateway endpoint for the service' (issue 32407), unless DnsOptions say that none is needed."""
    vpc = call.world.ec2.vpcs[made.vpc_id]
    if not (vpc.enable_dns_support and vpc.enable_dns_hostnames):
        refuse(
            "InvalidParameter",
            "Enabling private DNS requires both enableDnsSupport and enableDnsHostnames VPC attributes set to true for "
            f"{made.vpc_id}",
        )
    others = [
        other
        for other in call.world.ec2.vpc_end_points.values()
        if other is not made and (other.vpc_id, other.service_name) == (made.vpc_id, made.service_name)
        if other.state not in ("deleting", "deleted")
    ]
    if any(other.private_dns_enabled for other in others):
        domain = ".".join(reversed(made.service_name.split(".")[2:])) + ".amazonaws.com"
        refuse(
            "InvalidParameter",
            f"private-dns-enabled cannot be set because there is already a conflicting DNS domain for {domain} in the VPC "
            f"{made.vpc_id}",
        )
    if is_for_inbound_resolvers(made) and not any(o.vpc_endpoint_type == GATEWAY for o in others):
        refuse(
            "InvalidParameter",
            f"To set PrivateDnsOnlyForInboundResolverEndpoint to true, the VPC {made.vpc_id} must have a Gateway endpoint "
            "for the service.",
        )
    made.private_dns_enabled = True


def is_for_inbound_resolvers(made: Any) -> bool:
    """Whether an endpoint's private DNS is only for inbound resolvers: only S3 has both types of endpoints (terraform-provider-aws, pull
    request 32355)."""
    return made.service_name.endswith(".s3") and bool(
        made.dns_options.get("PrivateDnsOnlyForInboundResolverEndpoint", True)
    )


def prefix_list(world: World, made: Any) -> str:
    """The id of AWS's prefix list with an endpoint's service; empty if there is none."""
    lists = world.ec2.managed_prefix_lists.values()
    return next((str(item.id) for item in lists if item.prefix_list_name == made.service_name), "")


def add_routes(world: World, made: Any, tables: Iterable[str]) -> None:
    for table_id in tables:
        made.route_table_ids.append(table_id)
        world.ec2.create_route(
            table_id, None, gateway_id=made.id, destination_prefix_list_id=prefix_list(world, made) or None
        )


def remove_routes(world: World, made: Any, tables: Iterable[str]) -> None:
    for table_id in tables:
        made.route_table_ids = [item for item in made.route_table_ids if item != table_id]
        table = world.ec2.route_tables.get(table_id)
        for key, route in list(table._routes.items()) if table else ():
            if route.gateway is made or route.gateway_id == made.id:
                del table._routes[key]


def add_interfaces(world: World, made: Any, subnets: Iterable[str]) -> None:
    """Make an interface, which AWS manages, in each subnet (AWS PrivateLink Guide, 'Create an interface endpoint')."""
    for subnet_id in subnets:
        subnet: Any = world.subnet(subnet_id)
        made.subnet_ids.append(subnet_id)
        eni = world.ec2.create_network_interface(
            subnet, subnet.get_available_subnet_ip(made), group_ids=list(made.security_group_ids)
        )
        eni.description = f"VPC Endpoint Interface {made.id}"
        eni.requester_managed, eni.status, eni.interface_type = True, "in-use", "vpc_endpoint"
        made.network_interface_ids.append(eni.id)


def leave_subnets(call: Call, made: Any, subnets: Iterable[str]) -> None:
    """Take an endpoint out of these subnets. Its interfaces there are deleted later, as a load balancer's are."""
    gone = set(subnets)
    made.subnet_ids = [item for item in made.subnet_ids if item not in gone]
    for interface_id in list(made.network_interface_ids):
        if call.world.ec2.enis[interface_id].subnet.id in gone:
            made.network_interface_ids.remove(interface_id)
            let_go(call, interface_id, call.timing.interfaces_linger)


@around("ModifyVpcEndpoint")
def endpoint_is_changed(call: Call, _: Callable[[], Any]) -> Any:
    """ModifyVpcEndpoint: additions are checked as in CreateVpcEndpoint (moto checks nothing, and knows neither private DNS nor address
    types nor DNS options there)."""
    made, world = endpoint(call), call.world
    if made.state not in ("available", "pending"):
        refuse("IncorrectState", f"The endpoint {made.id} is {made.state}")
    tables, subnets, groups = (
        call.given(f"Add{key}", []) for key in ("RouteTableIds", "SubnetIds", "SecurityGroupIds")
    )
    less = {key: call.given(f"Remove{key}", []) for key in ("RouteTableIds", "SubnetIds", "SecurityGroupIds")}
    check_tables(call, made, tables)
    check_subnets(call, made, subnets, made.subnet_ids)
    check_groups(call, made, groups)
    # a repeated call, after a lost reply, adds nothing twice
    tables, groups = (
        [item for item in added if item not in there]
        for added, there in ((tables, made.route_table_ids), (groups, made.security_group_ids))
    )
    made.dns_options = {**made.dns_options, **call.given("DnsOptions", {})}
    if (call.given("PrivateDnsEnabled"), call.given("DnsOptions")) != (None, None):
        is_enabled, made.private_dns_enabled = call.given("PrivateDnsEnabled", made.private_dns_enabled), False
        if is_enabled:
            enable_private_dns(call, made)
    made.ip_address_type = call.given("IpAddressType", made.ip_address_type)
    made.policy_document = call.given("PolicyDocument", made.policy_document)
    add_routes(world, made, tables)
    remove_routes(world, made, less["RouteTableIds"])
    made.security_group_ids = [
        item for item in [*made.security_group_ids, *groups] if item not in less["SecurityGroupIds"]
    ]
    leave_subnets(call, made, less["SubnetIds"])
    held = set(made.network_interface_ids)
    add_interfaces(world, made, subnets)
    for interface_id in set(made.network_interface_ids) - held:  # the endpoint itself stays `available`
        world.ec2.enis[interface_id].status = "pending"
        world.ledger.schedule(call.now + call.timing.endpoint_pending, "attached", interface_id)
    worn = [group for group in world.groups() if group.id in made.security_group_ids]
    for interface_id in made.network_interface_ids:
        world.ec2.enis[interface_id]._group_set = worn
    return {"Return": True}


@around("DeleteVpcEndpoints")
def endpoint_leaves_slowly(call: Call, _: Callable[[], Any]) -> Any:
    """DeleteVpcEndpoints succeeds, and lists endpoints that it couldn't delete. An endpoint with network interfaces is `deleting` until
    they are gone (moto deletes at once, and shows the endpoint forever)."""
    failed = []
    for physical_id in call.given("VpcEndpointIds", []):
        made = call.world.ec2.vpc_end_points.get(physical_id)
        if made is None:
            message = f"The Vpc Endpoint Id '{physical_id}' does not exist"
            failed.append(
                {"ResourceId": physical_id, "Error": {"Code": "InvalidVpcEndpoint.NotFound", "Message": message}}
            )
            continue
        if user := _user_of_gateway(call, made):
            message = f"Gateway endpoint cannot be deleted while Interface endpoint {user} for the service has PrivateDnsOnlyForInboundResolverEndpoint set to true."
            failed.append({"ResourceId": physical_id, "Error": {"Code": "InvalidParameter", "Message": message}})
            continue
        remove_routes(call.world, made, list(made.route_table_ids))
        lasts = call.timing.endpoint_deleting if made.network_interface_ids else 0.0
        call.world.ledger.endpoints.setdefault(physical_id, Timeline()).add(call.now, "deleting")
        call.world.ledger.schedule(call.now + lasts, "endpoint", physical_id)
    return {"Unsuccessful": failed}


def _user_of_gateway(call: Call, made: Any) -> str | None:
    """The interface endpoint because of which a gateway endpoint can't be deleted (cloudposse/terraform-aws-vpc, issue 153); None without
    one."""
    if made.vpc_endpoint_type != GATEWAY:
        return None
    for other in call.world.ec2.vpc_end_points.values():
        same = other is not made and (other.vpc_id, other.service_name) == (made.vpc_id, made.service_name)
        is_there = other.private_dns_enabled and other.state not in ("deleting", "deleted")
        if same and is_there and is_for_inbound_resolvers(other):
            return str(other.id)
    return None


@before("DescribeVpcEndpoints")
def endpoints_named_exist(call: Call) -> None:
    """DescribeVpcEndpoints: InvalidVpcEndpointId.NotFound if any endpoint doesn't exist."""
    for physical_id in call.given("VpcEndpointIds", []):
        endpoint(call, physical_id)


@after("DescribeVpcEndpoints")
def endpoints_have_no_empty_options(call: Call, result: Any) -> Any:
    """DescribeVpcEndpoints: an endpoint that was made without these rules has the address type ipv4, and DNS options for it."""
    for made in result["VpcEndpoints"]:
        made.__dict__.setdefault("ip_address_type", "ipv4")
        made.__dict__.setdefault("dns_options", {"DnsRecordIpType": "ipv4"})
    return result


def endpoint_filter(self: Any, filter_name: str, method_name: str | None = None) -> Any:
    """DescribeVpcEndpoints: the filters by id, VPC and service, which moto doesn't know."""
    own = {"vpc-endpoint-id": self.id, "vpc-id": self.vpc_id, "service-name": self.service_name}
    return own[filter_name] if filter_name in own else _filter_value(self, filter_name, method_name)


_filter_value = VPCEndPoint.get_filter_value


def end_endpoint(world: World, physical_id: str) -> None:
    """Delete an endpoint with its network interfaces and its tags."""
    made = world.ec2.vpc_end_points.pop(physical_id, None)
    for interface_id in made.network_interface_ids if made is not None else ():
        remove_interface(world, interface_id)
    world.ec2.tags.pop(physical_id, None)
    world.ledger.endpoints.pop(physical_id, None)
