"""NAT gateways and Elastic IP addresses: what takes minutes, what fails, what is held until when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.sandbox.strict_world import refused, refuses

if TYPE_CHECKING:
    from alb_reconcile.sandbox.strict import VirtualClock
    from tests.sandbox.strict_world import Network

FULL = "0.0.0.0/0"


def allocate(ec2: Any) -> str:
    return str(ec2.allocate_address(Domain="vpc")["AllocationId"])


def make(network: Network, **overrides: Any) -> str:
    params = {"SubnetId": network.subnets[0], "AllocationId": allocate(network.ec2)}
    given = {key: value for key, value in (params | overrides).items() if value is not None}
    return str(network.ec2.create_nat_gateway(**given)["NatGateway"]["NatGatewayId"])


def show(network: Network, gateway: str) -> dict[str, Any]:
    (row,) = network.ec2.describe_nat_gateways(NatGatewayIds=[gateway])["NatGateways"]
    return dict(row)


def test_it_is_available_after_minutes_and_deleted_after_another(network: Network, clock: VirtualClock) -> None:
    gateway = make(network)
    assert show(network, gateway)["State"] == "pending"
    clock.advance(119)
    assert show(network, gateway)["State"] == "pending"
    clock.advance(1)
    row = show(network, gateway)
    assert (row["State"], row["ConnectivityType"], row["AvailabilityMode"]) == ("available", "public", "zonal")
    (held,) = row["NatGatewayAddresses"]
    (eni,) = network.interfaces()
    assert (held["NetworkInterfaceId"], held["PrivateIp"]) == (eni["NetworkInterfaceId"], eni["PrivateIpAddress"])
    assert (eni["InterfaceType"], eni["Description"]) == ("nat_gateway", f"Interface for NAT Gateway {gateway}")
    network.ec2.delete_nat_gateway(NatGatewayId=gateway)
    assert show(network, gateway)["State"] == "deleting"
    refuses("DependencyViolation", network.ec2.delete_subnet, SubnetId=network.subnets[0])
    clock.advance(60)
    assert show(network, gateway)["State"] == "deleted"
    assert network.interfaces() == []
    network.ec2.delete_subnet(SubnetId=network.subnets[0])
    clock.advance(3600)
    refuses("NatGatewayNotFound", show, network, gateway)
    refuses("NatGatewayNotFound", network.ec2.delete_nat_gateway, NatGatewayId=gateway)


def test_an_address_is_held_until_its_gateway_is_gone(network: Network, clock: VirtualClock) -> None:
    address = allocate(network.ec2)
    gateway = make(network, AllocationId=address)
    clock.advance(120)
    refuses("InvalidIPAddress.InUse", network.ec2.release_address, AllocationId=address)
    (row,) = network.ec2.describe_addresses(AllocationIds=[address])["Addresses"]
    assert row["NetworkInterfaceId"] == network.interfaces()[0]["NetworkInterfaceId"]
    assert (row["PublicIpv4Pool"], row["NetworkBorderGroup"]) == ("amazon", "us-east-1")
    refuses("AuthFailure", network.ec2.disassociate_address, AssociationId=row["AssociationId"])
    network.ec2.delete_nat_gateway(NatGatewayId=gateway)
    refuses("AuthFailure: permission to access", network.ec2.release_address, AllocationId=address)
    clock.advance(60)
    network.ec2.release_address(AllocationId=address)
    refuses("InvalidAllocationID.NotFound", network.ec2.release_address, AllocationId=address)


def test_an_address_at_an_instance_stays(network: Network) -> None:
    address = allocate(network.ec2)
    network.ec2.associate_address(InstanceId=network.running(), AllocationId=address)
    refuses("InvalidIPAddress.InUse", network.ec2.release_address, AllocationId=address)


def failure(network: Network, clock: VirtualClock, gateway: str) -> tuple[str, str]:
    assert show(network, gateway)["State"] == "pending"
    clock.advance(30)
    row = show(network, gateway)
    assert row["State"] == "failed"
    return row["FailureCode"], row["FailureMessage"]


def test_without_an_internet_gateway_it_fails(network: Network, clock: VirtualClock) -> None:
    network.ec2.detach_internet_gateway(InternetGatewayId=network.gateway, VpcId=network.vpc)
    gateway = make(network)
    told = f"Network {network.vpc} has no Internet gateway attached"
    assert failure(network, clock, gateway) == ("Gateway.NotAttached", told)
    assert network.interfaces() == []
    make(network, ConnectivityType="private", AllocationId=None)
    clock.advance(120)
    network.ec2.delete_subnet(SubnetId=network.subnets[1])
    clock.advance(3600)
    refuses("NatGatewayNotFound", show, network, gateway)


def test_with_an_address_in_use_it_fails(network: Network, clock: VirtualClock) -> None:
    address = allocate(network.ec2)
    make(network, AllocationId=address)
    gateway = make(network, AllocationId=address)
    told = f"Elastic IP address {address} is already associated"
    assert failure(network, clock, gateway) == ("Resource.AlreadyAssociated", told)


def test_a_token_makes_one(network: Network) -> None:
    address = allocate(network.ec2)
    gateway = make(network, AllocationId=address, ClientToken="once")
    assert make(network, AllocationId=address, ClientToken="once") == gateway
    with refused("IdempotentParameterMismatch"):
        make(network, AllocationId=address, SubnetId=network.subnets[1], ClientToken="once")


@pytest.mark.parametrize(
    ("overrides", "code"),
    [
        ({"AllocationId": None}, "MissingParameter"),
        ({"SubnetId": None}, "MissingParameter"),
        ({"SubnetId": "subnet-0a1b2c3d4e5f60718"}, "InvalidSubnetID.NotFound"),
        ({"AllocationId": "eipalloc-0a1b2c3d4e5f60718"}, "InvalidAllocationID.NotFound"),
        ({"ConnectivityType": "private"}, "InvalidParameterCombination"),
        ({"SecondaryPrivateIpAddressCount": 1}, "InvalidParameterCombination"),
        (
            {
                "ConnectivityType": "private",
                "AllocationId": None,
                "SecondaryPrivateIpAddressCount": 1,
                "SecondaryPrivateIpAddresses": ["10.0.0.70"],
            },
            "InvalidParameterCombination",
        ),
        ({"AvailabilityMode": "regional"}, "InvalidParameterCombination"),
        ({"AvailabilityMode": "regional", "SubnetId": None, "AllocationId": None}, "MissingParameter"),
        ({"VpcId": "vpc-0a1b2c3d4e5f60718"}, "InvalidParameterCombination"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    network: Network, overrides: dict[str, Any], code: str
) -> None:
    refuses(code, make, network, **overrides)


def test_they_are_found_by_their_tags(network: Network) -> None:
    tags = [{"ResourceType": "natgateway", "Tags": [{"Key": "owner", "Value": "me"}]}]
    mine = make(network, TagSpecifications=tags)
    make(network)
    for name, values in (("tag:owner", ["me", "you"]), ("tag-key", ["owner"])):
        found = network.ec2.describe_nat_gateways(Filters=[{"Name": name, "Values": values}])["NatGateways"]
        assert [item["NatGatewayId"] for item in found] == [mine]
    with refused("InvalidParameterValue"):
        make(network, TagSpecifications=[{"ResourceType": "nat-gateway", "Tags": tags[0]["Tags"]}])
    with refused("InvalidParameterValue", "filter 'zone' is invalid"):
        network.ec2.describe_nat_gateways(Filters=[{"Name": "zone", "Values": ["a"]}])
    (tag,) = network.ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [mine]}])["Tags"]
    assert tag["ResourceType"] == "natgateway"


def test_a_regional_one_has_a_route_table_of_its_own_and_zones(network: Network, clock: VirtualClock) -> None:
    one, two = allocate(network.ec2), allocate(network.ec2)
    zones = [{"AvailabilityZone": "us-east-1a", "AllocationIds": [one]}]
    regional = {"AvailabilityMode": "regional", "VpcId": network.vpc, "SubnetId": None, "AllocationId": None}
    gateway = make(network, **regional, AvailabilityZoneAddresses=zones)
    clock.advance(120)
    row = show(network, gateway)
    assert (row["AutoProvisionZones"], row["State"]) == ("disabled", "available")
    (table,) = network.ec2.describe_route_tables(RouteTableIds=[row["RouteTableId"]])["RouteTables"]
    assert {item.get("GatewayId") for item in table["Routes"]} == {"local", network.gateway}
    network.ec2.associate_nat_gateway_address(NatGatewayId=gateway, AllocationIds=[two], AvailabilityZone="us-east-1b")
    with refused("Resource.AlreadyAssociated"):
        network.ec2.associate_nat_gateway_address(
            NatGatewayId=gateway, AllocationIds=[two], AvailabilityZone="us-east-1c"
        )
    assert [item["Status"] for item in show(network, gateway)["NatGatewayAddresses"]] == ["succeeded", "associating"]
    clock.advance(20)
    first, second = show(network, gateway)["NatGatewayAddresses"]
    assert (second["Status"], second["AvailabilityZone"]) == ("succeeded", "us-east-1b")
    network.ec2.disassociate_nat_gateway_address(NatGatewayId=gateway, AssociationIds=[first["AssociationId"]])
    clock.advance(349)
    assert show(network, gateway)["NatGatewayAddresses"][0]["Status"] == "disassociating"
    clock.advance(1)
    assert [item["AllocationId"] for item in show(network, gateway)["NatGatewayAddresses"]] == [two]
    network.ec2.release_address(AllocationId=one)
    network.ec2.delete_nat_gateway(NatGatewayId=gateway)
    clock.advance(60)
    refuses("InvalidRouteTableID.NotFound", network.ec2.describe_route_tables, RouteTableIds=[row["RouteTableId"]])


def test_zones_that_aws_chooses_cannot_be_given_addresses(network: Network, clock: VirtualClock) -> None:
    gateway = make(network, AvailabilityMode="regional", VpcId=network.vpc, SubnetId=None, AllocationId=None)
    joining = {"NatGatewayId": gateway, "AllocationIds": [allocate(network.ec2)], "AvailabilityZone": "us-east-1a"}
    refuses("IncorrectState", network.ec2.associate_nat_gateway_address, **joining)
    clock.advance(120)
    assert show(network, gateway)["AutoProvisionZones"] == "enabled"
    refuses("InvalidParameterCombination", network.ec2.associate_nat_gateway_address, **joining)


def test_a_private_one_takes_further_addresses(network: Network, clock: VirtualClock) -> None:
    gateway = make(network, ConnectivityType="private", AllocationId=None)
    public = make(network)
    assign = network.ec2.assign_private_nat_gateway_address
    refuses("IncorrectState", assign, NatGatewayId=gateway, PrivateIpAddresses=["10.0.0.70"])
    clock.advance(120)
    refuses("InvalidParameterValue: not private", assign, NatGatewayId=public, PrivateIpAddresses=["10.0.0.70"])
    assign(NatGatewayId=gateway, PrivateIpAddresses=["10.0.0.70"])
    statuses = [item["Status"] for item in show(network, gateway)["NatGatewayAddresses"]]
    assert statuses == ["succeeded", "assigning"]
    clock.advance(20)
    primary, other = (item["PrivateIp"] for item in show(network, gateway)["NatGatewayAddresses"])
    assert other == "10.0.0.70"
    unassign = network.ec2.unassign_private_nat_gateway_address
    refuses("InvalidParameterValue", unassign, NatGatewayId=gateway, PrivateIpAddresses=[primary])
    unassign(NatGatewayId=gateway, PrivateIpAddresses=[other])
    assert show(network, gateway)["NatGatewayAddresses"][1]["Status"] == "unassigning"
    clock.advance(350)
    assert [item["PrivateIp"] for item in show(network, gateway)["NatGatewayAddresses"]] == [primary]


def test_a_public_one_takes_a_second_address(network: Network, clock: VirtualClock) -> None:
    gateway, second = make(network), allocate(network.ec2)
    clock.advance(120)
    network.ec2.associate_nat_gateway_address(NatGatewayId=gateway, AllocationIds=[second])
    clock.advance(20)
    held = show(network, gateway)["NatGatewayAddresses"]
    assert [(item["IsPrimary"], item["Status"]) for item in held] == [(True, "succeeded"), (False, "succeeded")]
    assert len({item["NetworkInterfaceId"] for item in held}) == 1
    assert len({item["PrivateIp"] for item in held}) == 2


def table_of(network: Network) -> str:
    return str(network.ec2.create_route_table(VpcId=network.vpc)["RouteTable"]["RouteTableId"])


def test_a_route_leads_to_one_that_is_available(network: Network, clock: VirtualClock) -> None:
    gateway, table = make(network), table_of(network)
    route = {"RouteTableId": table, "DestinationCidrBlock": FULL, "NatGatewayId": gateway}
    refuses("InvalidNatGatewayID.NotFound", network.ec2.create_route, **route)
    clock.advance(120)
    network.ec2.create_route(**route)
    network.ec2.delete_nat_gateway(NatGatewayId=gateway)
    clock.advance(60)
    (found,) = network.ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"]
    assert [item["State"] for item in found["Routes"]] == ["active", "blackhole"]
    refuses("InvalidNatGatewayID.NotFound", network.ec2.replace_route, **route)


def test_a_route_has_one_target_that_exists(network: Network) -> None:
    route = {"RouteTableId": table_of(network), "DestinationCidrBlock": FULL}
    refuses("MissingParameter", network.ec2.create_route, **route)
    with refused("InvalidParameterCombination"):
        network.ec2.create_route(**route, GatewayId=network.gateway, NetworkInterfaceId="eni-0a1b2c3d4e5f60718")
    with refused("InvalidTransitGatewayID.NotFound"):
        network.ec2.create_route(**route, TransitGatewayId="tgw-0a1b2c3d4e5f60718")
    refuses("InvalidParameterValue: no route defined", network.ec2.replace_route, **route, GatewayId=network.gateway)
    six = {**route, "DestinationIpv6CidrBlock": "::/0"}
    del six["DestinationCidrBlock"]
    network.ec2.create_route(**six, GatewayId=network.gateway)
    refuses("RouteAlreadyExists", network.ec2.create_route, **six, GatewayId=network.gateway)
    network.ec2.create_route(**route, GatewayId=network.gateway)
    refuses("InvalidInternetGatewayID.NotFound", network.ec2.replace_route, **route, GatewayId="igw-0a1b2c3d4e5f60718")
    (found,) = network.ec2.describe_route_tables(RouteTableIds=[route["RouteTableId"]])["RouteTables"]
    assert {item["GatewayId"] for item in found["Routes"]} == {"local", network.gateway}


def test_a_gateway_under_a_nat_gateway_stays(network: Network, clock: VirtualClock) -> None:
    gateway = make(network)
    clock.advance(120)
    detach = {"InternetGatewayId": network.gateway, "VpcId": network.vpc}
    refuses("DependencyViolation", network.ec2.detach_internet_gateway, **detach)
    network.ec2.delete_nat_gateway(NatGatewayId=gateway)
    clock.advance(60)
    network.ec2.detach_internet_gateway(**detach)
