"""NAT gateways and Elastic IP addresses: what takes minutes, what fails, what is held until when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.sandbox.strict_world import refuses

if TYPE_CHECKING:
    from alb_reconcile.sandbox.strict import VirtualClock
    from tests.sandbox.strict_world import Network

FULL = "0.0.0.0/0"
PRIVATE = {"ConnectivityType": "private", "AllocationId": None}


def make(network: Network, **overrides: Any) -> str:
    params = {"SubnetId": network.subnets[0], "AllocationId": network.address()}
    given = {key: value for key, value in (params | overrides).items() if value is not None}
    return str(network.ec2.create_nat_gateway(**given)["NatGateway"]["NatGatewayId"])


def show(network: Network, gateway: str) -> dict[str, Any]:
    (row,) = network.ec2.describe_nat_gateways(NatGatewayIds=[gateway])["NatGateways"]
    return dict(row)


def find(network: Network, **where: Any) -> list[str]:
    return [item["NatGatewayId"] for item in network.ec2.describe_nat_gateways(**where)["NatGateways"]]


def test_it_is_available_after_minutes_and_deleted_after_another(network: Network, clock: VirtualClock) -> None:
    gateway, ec2 = make(network), network.ec2
    clock.advance(119)
    assert show(network, gateway)["State"] == "pending"
    clock.advance(1)
    row = show(network, gateway)
    assert (row["State"], row["ConnectivityType"], row["AvailabilityMode"]) == ("available", "public", "zonal")
    (address,) = row["NatGatewayAddresses"]
    (eni,) = network.interfaces()
    assert (address["NetworkInterfaceId"], address["PrivateIp"]) == (eni["NetworkInterfaceId"], eni["PrivateIpAddress"])
    assert (eni["InterfaceType"], eni["Description"]) == ("nat_gateway", f"Interface for NAT Gateway {gateway}")
    refuses("DependencyViolation", ec2.detach_internet_gateway, **network.attachment)
    ec2.delete_nat_gateway(NatGatewayId=gateway)
    assert show(network, gateway)["State"] == "deleting"
    refuses("DependencyViolation", ec2.delete_subnet, SubnetId=network.subnets[0])
    clock.advance(60)
    assert show(network, gateway)["State"] == "deleted"
    assert network.interfaces() == []
    ec2.delete_subnet(SubnetId=network.subnets[0])
    ec2.detach_internet_gateway(**network.attachment)
    clock.advance(3600)
    refuses("NatGatewayNotFound", show, network, gateway)
    refuses("NatGatewayNotFound", ec2.delete_nat_gateway, NatGatewayId=gateway)


def test_an_address_is_held_until_its_gateway_is_gone(network: Network, clock: VirtualClock) -> None:
    address, ec2 = network.address(), network.ec2
    gateway = make(network, AllocationId=address)
    clock.advance(120)
    refuses("InvalidIPAddress.InUse", ec2.release_address, AllocationId=address)
    (row,) = ec2.describe_addresses(AllocationIds=[address])["Addresses"]
    assert row["NetworkInterfaceId"] == network.interfaces()[0]["NetworkInterfaceId"]
    refuses("AuthFailure", ec2.disassociate_address, AssociationId=row["AssociationId"])
    ec2.delete_nat_gateway(NatGatewayId=gateway)
    refuses("AuthFailure: permission to access", ec2.release_address, AllocationId=address)
    clock.advance(60)
    ec2.release_address(AllocationId=address)
    refuses("InvalidAllocationID.NotFound", ec2.release_address, AllocationId=address)
    other = network.address()
    ec2.associate_address(InstanceId=network.running(), AllocationId=other)
    refuses("InvalidIPAddress.InUse", ec2.release_address, AllocationId=other)


def failure(network: Network, clock: VirtualClock, gateway: str) -> tuple[str, str]:
    assert show(network, gateway)["State"] == "pending"
    clock.advance(30)
    row = show(network, gateway)
    assert row["State"] == "failed"
    return row["FailureCode"], row["FailureMessage"]


def test_it_fails_without_an_internet_gateway_and_with_an_address_in_use(network: Network, clock: VirtualClock) -> None:
    address = network.address()
    make(network, AllocationId=address, SubnetId=network.subnets[1])
    told = f"Elastic IP address {address} is already associated"
    assert failure(network, clock, make(network, AllocationId=address)) == ("Resource.AlreadyAssociated", told)
    network.ec2.delete_nat_gateway(NatGatewayId=find(network)[0])
    clock.advance(120)
    network.ec2.detach_internet_gateway(**network.attachment)
    gateway = make(network)
    told = f"Network {network.vpc} has no Internet gateway attached"
    assert failure(network, clock, gateway) == ("Gateway.NotAttached", told)
    assert network.interfaces() == []
    private = make(network, **PRIVATE)
    clock.advance(120)
    assert show(network, private)["State"] == "available"
    clock.advance(3600)
    refuses("NatGatewayNotFound", show, network, gateway)


def test_a_route_leads_to_one_that_is_available(network: Network, clock: VirtualClock) -> None:
    gateway, table, ec2 = make(network), network.table(), network.ec2
    route = {"RouteTableId": table, "DestinationCidrBlock": FULL, "NatGatewayId": gateway}
    refuses("InvalidNatGatewayID.NotFound", ec2.create_route, **route)
    clock.advance(120)
    ec2.create_route(**route)
    ec2.delete_nat_gateway(NatGatewayId=gateway)
    clock.advance(60)
    (found,) = ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"]
    assert [item["State"] for item in found["Routes"]] == ["active", "blackhole"]
    refuses("InvalidNatGatewayID.NotFound", ec2.replace_route, **route)


def test_a_route_has_one_target_that_exists(network: Network) -> None:
    table, mine = {"RouteTableId": network.table()}, {"GatewayId": network.gateway}
    route, create, replace = (
        {**table, "DestinationCidrBlock": FULL},
        network.ec2.create_route,
        network.ec2.replace_route,
    )
    refuses("MissingParameter", create, **route)
    refuses("InvalidParameterCombination", create, **route, **mine, NetworkInterfaceId="eni-0a1b2c3d4e5f60718")
    refuses("InvalidTransitGatewayID.NotFound", create, **route, TransitGatewayId="tgw-0a1b2c3d4e5f60718")
    refuses("InvalidParameterValue: no route defined", replace, **route, **mine)
    six = {**table, "DestinationIpv6CidrBlock": "::/0"}
    create(**six, **mine)
    refuses("RouteAlreadyExists", create, **six, **mine)
    create(**route, **mine)
    refuses("InvalidInternetGatewayID.NotFound", replace, **route, GatewayId="igw-0a1b2c3d4e5f60718")
    (found,) = network.ec2.describe_route_tables(RouteTableIds=[route["RouteTableId"]])["RouteTables"]
    assert {item["GatewayId"] for item in found["Routes"]} == {"local", network.gateway}
