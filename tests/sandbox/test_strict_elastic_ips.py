"""Elastic IP addresses of instances: who can have one, how it moves, and when it is free again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.sandbox.strict_world import IMAGE, refused, refuses

if TYPE_CHECKING:
    from alb_reconcile.sandbox.strict import VirtualClock
    from tests.sandbox.strict_world import Network


def allocate(network: Network) -> str:
    return str(network.ec2.allocate_address(Domain="vpc")["AllocationId"])


def associate(network: Network, allocation: str, instance: str, **more: Any) -> str:
    answer = network.ec2.associate_address(AllocationId=allocation, InstanceId=instance, **more)
    return str(answer["AssociationId"])


def holder(network: Network, allocation: str) -> str:
    (row,) = network.ec2.describe_addresses(AllocationIds=[allocation])["Addresses"]
    return str(row.get("InstanceId", ""))


def test_an_instance_can_have_one_when_it_runs_or_is_stopped(network: Network, clock: VirtualClock) -> None:
    address, instance = allocate(network), network.launch()
    with refused("InvalidInstanceID", f"The pending instance '{instance}' is not in a valid state"):
        associate(network, address, instance)
    clock.advance(10)
    association = associate(network, address, instance)
    network.ec2.stop_instances(InstanceIds=[instance])
    clock.advance(60)
    assert holder(network, address) == instance
    network.ec2.disassociate_address(AssociationId=association)
    associate(network, address, instance)
    network.ec2.terminate_instances(InstanceIds=[instance])
    refuses("InvalidInstanceID: shutting-down", associate, network, allocate(network), instance)
    refuses("InvalidIPAddress.InUse", network.ec2.release_address, AllocationId=address)
    clock.advance(120)
    network.ec2.release_address(AllocationId=address)


def test_what_it_names_exists_and_a_gateway_leads_there(network: Network) -> None:
    instance = network.running()
    refuses("InvalidAllocationID.NotFound", associate, network, "eipalloc-0a1b2c3d4e5f60718", instance)
    refuses("InvalidInstanceID.NotFound", associate, network, allocate(network), "i-0a1b2c3d4e5f60718")
    with refused("InvalidAssociationID.NotFound"):
        network.ec2.disassociate_address(AssociationId="eipassoc-0a1b2c3d4e5f60718")
    network.ec2.detach_internet_gateway(InternetGatewayId=network.gateway, VpcId=network.vpc)
    refuses("Gateway.NotAttached", associate, network, allocate(network), instance)


def test_it_moves_by_itself_unless_that_is_not_allowed(network: Network) -> None:
    address, one, two = allocate(network), network.running(), network.running()
    associate(network, address, one)
    assert associate(network, address, one, AllowReassociation=False)
    refuses("Resource.AlreadyAssociated", associate, network, address, two, AllowReassociation=False)
    associate(network, address, two)
    assert holder(network, address) == two
    assert "PublicIpAddress" not in network.show(one)


def test_another_one_takes_its_place_and_it_stays_allocated(network: Network) -> None:
    first, second, instance = allocate(network), allocate(network), network.running()
    associate(network, first, instance)
    associate(network, second, instance, AllowReassociation=False)
    assert (holder(network, first), holder(network, second)) == ("", instance)


def test_a_nat_gateway_keeps_its_own(network: Network, clock: VirtualClock) -> None:
    address, instance = allocate(network), network.running()
    network.ec2.create_nat_gateway(SubnetId=network.subnets[0], AllocationId=address)
    clock.advance(120)
    refuses("AuthFailure", associate, network, address, instance)


def test_an_instance_that_had_one_of_amazon_s_gets_another_when_it_is_taken_away(
    network: Network, clock: VirtualClock
) -> None:
    interface = {"DeviceIndex": 0, "AssociatePublicIpAddress": True, "SubnetId": network.subnets[0]}
    asked = {
        "ImageId": IMAGE,
        "InstanceType": "t3.micro",
        "MinCount": 1,
        "MaxCount": 1,
        "NetworkInterfaces": [interface],
    }
    instance = network.ec2.run_instances(**asked)["Instances"][0]["InstanceId"]
    clock.advance(10)
    address = allocate(network)
    association = associate(network, address, instance)
    (row,) = network.ec2.describe_addresses(AllocationIds=[address])["Addresses"]
    assert network.show(instance)["PublicIpAddress"] == row["PublicIp"]
    network.ec2.disassociate_address(AssociationId=association)
    assert network.show(instance)["PublicIpAddress"] != row["PublicIp"]
