"""Elastic IP addresses and volumes: which instance can have one, how it moves, and when it is free again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.sandbox.strict_world import REGION, refuses

if TYPE_CHECKING:
    from alb_reconcile.sandbox.strict import VirtualClock
    from tests.sandbox.strict_world import Network


def associate(network: Network, allocation: str, instance: str, **more: Any) -> str:
    answer = network.ec2.associate_address(AllocationId=allocation, InstanceId=instance, **more)
    return str(answer["AssociationId"])


def holder(network: Network, allocation: str) -> str:
    (row,) = network.ec2.describe_addresses(AllocationIds=[allocation])["Addresses"]
    return str(row.get("InstanceId", ""))


def test_an_instance_can_have_an_address_when_it_runs_or_is_stopped(network: Network, clock: VirtualClock) -> None:
    address, instance, ec2 = network.address(), network.launch(), network.ec2
    told = f"InvalidInstanceID: The pending instance '{instance}' is not in a valid state"
    refuses(told, associate, network, address, instance)
    clock.advance(10)
    association = associate(network, address, instance)
    ec2.stop_instances(InstanceIds=[instance])
    clock.advance(60)
    assert holder(network, address) == instance
    ec2.disassociate_address(AssociationId=association)
    associate(network, address, instance)
    ec2.terminate_instances(InstanceIds=[instance])
    refuses("InvalidInstanceID: shutting-down", associate, network, network.address(), instance)
    refuses("InvalidIPAddress.InUse", ec2.release_address, AllocationId=address)
    clock.advance(120)
    ec2.release_address(AllocationId=address)


def test_it_moves_by_itself_unless_that_is_not_allowed(network: Network) -> None:
    first, second, one, two = network.address(), network.address(), network.running(), network.running()
    associate(network, first, one)
    assert associate(network, first, one, AllowReassociation=False)
    refuses("Resource.AlreadyAssociated", associate, network, first, two, AllowReassociation=False)
    associate(network, first, two)
    assert holder(network, first) == two
    assert "PublicIpAddress" not in network.show(one)
    associate(network, second, two, AllowReassociation=False)
    assert (holder(network, first), holder(network, second)) == ("", two)


def make(network: Network, zone: str = "a", **more: Any) -> str:
    params = {"Size": 10, "VolumeType": "gp3", "AvailabilityZone": f"{REGION}{zone}"}
    return str(network.ec2.create_volume(**params | more)["VolumeId"])


def attach(network: Network, volume: str, instance: str, device: str = "/dev/sdf") -> None:
    network.ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device=device)


def states(network: Network, volume: str) -> tuple[str, ...]:
    (row,) = network.ec2.describe_volumes(VolumeIds=[volume])["Volumes"]
    return (row["State"], *(item["State"] for item in row["Attachments"]))


def test_a_volume_is_made_once_for_a_token_and_creating_at_first(network: Network, clock: VirtualClock) -> None:
    volume = make(network, ClientToken="one")
    assert make(network, ClientToken="one") == volume != make(network, ClientToken="two")
    refuses("IdempotentParameterMismatch", make, network, ClientToken="one", Size=20)
    refuses("InvalidParameterValue", make, network, VolumeType="st1", Size=10)
    assert states(network, volume) == ("creating",)
    instance = network.running()
    assert states(network, volume) == ("available",)
    attach(network, volume, instance)
    assert states(network, volume) == ("in-use", "attaching")
    clock.advance(2)
    assert states(network, volume) == ("in-use", "attached")


def test_a_volume_is_attached_where_it_is_free_and_near(network: Network, clock: VirtualClock) -> None:
    volume, far, pending = make(network), make(network, "b"), network.launch()
    refuses("IncorrectState: is not 'running'", attach, network, volume, pending)
    clock.advance(10)
    new = make(network)
    refuses("IncorrectState: is not 'available'", attach, network, new, pending)
    refuses("InvalidVolume.ZoneMismatch", attach, network, far, pending)
    refuses("InvalidVolume.NotFound", attach, network, "vol-0a1b2c3d4e5f60718", pending)
    refuses("InvalidInstanceID.NotFound", attach, network, volume, "i-0a1b2c3d4e5f60718")
    attach(network, volume, pending)
    refuses("VolumeInUse", attach, network, volume, network.running(), "/dev/sdg")
    refuses("InvalidParameterValue: already in use", attach, network, new, pending)


def test_a_volume_is_detached_and_outlives_its_instance(network: Network, clock: VirtualClock) -> None:
    volume, instance, detach = make(network), network.running(), network.ec2.detach_volume
    refuses("IncorrectState: available", detach, VolumeId=volume)
    attach(network, volume, instance)
    detach(VolumeId=volume)
    assert states(network, volume) == ("available",)
    root = network.show(instance)["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    refuses("OperationNotPermitted", detach, VolumeId=root)
    attach(network, volume, instance)
    network.ec2.terminate_instances(InstanceIds=[instance])
    assert states(network, volume)[0] == "in-use"
    clock.advance(20)
    assert states(network, volume) == ("available",)
