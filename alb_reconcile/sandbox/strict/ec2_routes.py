"""Imitates AWS's rules for routes: their targets and destinations."""

from collections.abc import Callable
from typing import Any

from .references import not_found
from .rule import Call, around, before, refuse

DESTINATIONS = {
    "DestinationCidrBlock": "destination_cidr_block",
    "DestinationIpv6CidrBlock": "destination_ipv6_cidr_block",
    "DestinationPrefixListId": "destination_prefix_list_id",
}
TARGETS = {
    "GatewayId": "gateway_id",
    "InstanceId": "instance_id",
    "NatGatewayId": "nat_gateway_id",
    "EgressOnlyInternetGatewayId": "egress_only_igw_id",
    "TransitGatewayId": "transit_gateway_id",
    "NetworkInterfaceId": "interface_id",
    "VpcPeeringConnectionId": "vpc_peering_connection_id",
    "CarrierGatewayId": "carrier_gateway_id",
    "VpcEndpointId": "vpc_endpoint_id",
}
"""The targets that moto knows, with moto's names."""
OTHERS = {
    "LocalGatewayId": "local_gateway_id",
    "CoreNetworkArn": "core_network_arn",
}
"""The targets that moto doesn't know; whether such a target exists isn't checked."""


@before("CreateRoute", "ReplaceRoute")
def route_has_one_target(call: Call) -> None:
    """CreateRoute: 'You must also specify exactly one of the resources from the parameter list'."""
    given = [key for key in (*TARGETS, *OTHERS) if call.given(key)]
    if not given:
        refuse(
            "MissingParameter", "The request must contain exactly one of gatewayId, natGatewayId, networkInterfaceId, …"
        )
    if len(given) > 1:
        refuse("InvalidParameterCombination", f"The parameters {' and '.join(given)} may not be specified together")


@before("CreateRoute", "ReplaceRoute")
def route_target_exists(call: Call) -> None:
    """CreateRoute: Invalid…ID.NotFound (moto makes a route without a target). A pending NAT gateway isn't found either
    (kOps, pull request 944; cluster-api-provider-aws, issue 5961)."""
    ec2, table = call.world.ec2, call.world.ec2.route_tables.get(call.given("RouteTableId"))
    if wanted := call.given("NatGatewayId"):
        gateway = ec2.nat_gateways.get(wanted)
        if gateway is None or gateway.state != "available":
            refuse(*not_found(wanted))
        if table and gateway.vpc_id != table.vpc_id:
            refuse(
                "InvalidParameterValue", f"route table {table.id} and NAT gateway {wanted} belong to different networks"
            )
    for key, known in (("TransitGatewayId", ec2.transit_gateways), ("CarrierGatewayId", ec2.carrier_gateways)):
        if call.given(key) and call.given(key) not in known:
            refuse(f"Invalid{key.removesuffix('Id')}ID.NotFound", f"The ID '{call.given(key)}' does not exist")
    wanted = call.given("DestinationPrefixListId")
    if wanted and wanted not in ec2.managed_prefix_lists:
        refuse("InvalidPrefixListID.NotFound", f"The prefix list ID '{wanted}' does not exist")


@before("CreateRoute")
def route_to_ipv6_or_a_list_is_new(call: Call) -> None:
    """CreateRoute: RouteAlreadyExists (moto replaces it)."""
    table = call.world.ec2.route_tables.get(call.given("RouteTableId"))
    for key in ("DestinationIpv6CidrBlock", "DestinationPrefixListId"):
        if table and call.given(key) and _find(table, call.given(key)):
            refuse("RouteAlreadyExists", f"The route identified by {call.given(key)} already exists.")


@around("CreateRoute")
def route_says_all_of_itself(call: Call, proceed: Callable[[], Any]) -> Any:
    """DescribeRouteTables shows every target, and the prefix list of a route to an interface (moto leaves some out)."""
    result = proceed()
    table = call.world.ec2.route_tables[call.given("RouteTableId")]
    _complete(call, table, next(reversed(table._routes.values())))
    return result


@around("ReplaceRoute")
def route_is_replaced_in_place(call: Call, _: Callable[[], Any]) -> Any:
    """ReplaceRoute: InvalidParameterValue if there is no such route; takes every target of CreateRoute (moto: only some)."""
    table = call.world.ec2.route_tables.get(call.given("RouteTableId"))
    if table is None:
        refuse(*not_found(call.given("RouteTableId")))
    route = _find(table, _destination(call))
    if route is None:
        message = f"There is no route defined for '{_destination(call)}' in the route table. Use CreateRoute instead."
        refuse("InvalidParameterValue", message)
    params = {name: call.given(key) for key, name in TARGETS.items()}
    del table._routes[route.id]  # moto refuses a second route for a destination
    try:
        _complete(
            call, table, call.world.ec2.create_route(table.id, *(call.given(key) for key in DESTINATIONS), **params)
        )
    except Exception:
        table._routes[route.id] = route
        raise
    return None


def _complete(call: Call, table: Any, route: Any) -> None:
    for key, name in OTHERS.items():
        if call.given(key):
            setattr(route, name, call.given(key))
    if wanted := call.given("DestinationPrefixListId"):  # moto forgets it in a route to an interface
        route.destination_prefix_list = call.world.ec2.managed_prefix_lists[wanted]
        del table._routes[route.id]
        route.id = f"{table.id}~{wanted}"
        table._routes[route.id] = route


def _destination(call: Call) -> str:
    return next((str(call.given(key)) for key in DESTINATIONS if call.given(key)), "")


def _find(table: Any, destination: str) -> Any | None:
    return table._routes.get(f"{table.id}~{destination}")
