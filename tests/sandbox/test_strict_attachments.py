"""Volumes by themselves: made once, attached where and when AWS allows it, and detached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.sandbox.strict_world import REGION, refuses

if TYPE_CHECKING:
    from alb_reconcile.sandbox.strict import VirtualClock
    from tests.sandbox.strict_world import Network


def make(network: Network, zone: str = "a", **more: Any) -> str:
    params = {"Size": 10, "VolumeType": "gp3", "AvailabilityZone": f"{REGION}{zone}"}
    return str(network.ec2.create_volume(**params | more)["VolumeId"])


def attach(network: Network, volume: str, instance: str, device: str = "/dev/sdf") -> None:
    network.ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device=device)


def states(network: Network, volume: str) -> tuple[str, ...]:
    (row,) = network.ec2.describe_volumes(VolumeIds=[volume])["Volumes"]
    return (row["State"], *(item["State"] for item in row["Attachments"]))


def test_it_is_made_once_for_a_token_and_creating_at_first(network: Network, clock: VirtualClock) -> None:
    volume = make(network, ClientToken="one")
    assert make(network, ClientToken="one") == volume
    refuses("IdempotentParameterMismatch", make, network, ClientToken="one", Size=20)
    assert make(network, ClientToken="two") != volume
    assert states(network, volume) == ("creating",)
    instance = network.running()
    assert states(network, volume) == ("available",)
    attach(network, volume, instance)
    assert states(network, volume) == ("in-use", "attaching")
    clock.advance(2)
    assert states(network, volume) == ("in-use", "attached")


def test_it_is_attached_where_it_is_free_and_near(network: Network, clock: VirtualClock) -> None:
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


def test_it_is_detached_and_outlives_its_instance(network: Network, clock: VirtualClock) -> None:
    volume, instance = make(network), network.running()
    refuses("IncorrectState: available", network.ec2.detach_volume, VolumeId=volume)
    attach(network, volume, instance)
    network.ec2.detach_volume(VolumeId=volume)
    assert states(network, volume) == ("available",)
    root = network.show(instance)["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    refuses("OperationNotPermitted", network.ec2.detach_volume, VolumeId=root)
    attach(network, volume, instance)
    network.ec2.terminate_instances(InstanceIds=[instance])
    assert states(network, volume)[0] == "in-use"
    clock.advance(20)
    assert states(network, volume) == ("available",)


def test_sizes_hold_for_it_as_for_those_of_a_launch(network: Network) -> None:
    refuses("InvalidParameterValue", make, network, VolumeType="st1", Size=10)
