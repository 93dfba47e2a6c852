"""Instances: what their options can't be together, and in which state they change; volumes, and how soon they change again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.sandbox.strict_world import Network, refuses

if TYPE_CHECKING:
    from alb_reconcile.sandbox.strict import VirtualClock

COMBINATION = "InvalidParameterCombination"


def disk(times: int = 1, **settings: Any) -> dict[str, Any]:
    return {"BlockDeviceMappings": [{"DeviceName": "/dev/sdf", "Ebs": settings}] * times}


@pytest.mark.parametrize(
    ("code", "params"),
    [
        (COMBINATION, {"CreditSpecification": {"CpuCredits": "unlimited"}, "InstanceType": "m5.large"}),
        ("InvalidParameterValue", {"PrivateIpAddress": "192.168.7.7"}),
        (COMBINATION, {"NetworkInterfaces": [{"DeviceIndex": 0, "AssociatePublicIpAddress": True}]}),
        ("MissingParameter", disk(VolumeType="gp3")),
        ("InvalidBlockDeviceMapping", disk(2, VolumeSize=1)),
        ("InvalidParameterDependency", disk(VolumeSize=1, KmsKeyId="alias/a")),
        (COMBINATION, disk(VolumeSize=1, VolumeType="gp2", Throughput=200)),
        ("InvalidParameterValue", disk(VolumeSize=1, VolumeType="gp3", Throughput=1000)),
    ],
)
def test_what_does_not_fit_together_is_refused(network: Network, code: str, params: dict[str, Any]) -> None:
    refuses(code, network.launch, **params)


def test_a_private_address_is_for_one_instance_and_once(network: Network) -> None:
    address = network.show(network.launch())["PrivateIpAddress"]
    refuses("InvalidIPAddress.InUse", network.launch, PrivateIpAddress=address)
    free = address.rpartition(".")[0] + ".99"
    refuses(COMBINATION, network.launch, PrivateIpAddress=free, MinCount=2, MaxCount=2)
    assert network.show(network.launch(PrivateIpAddress=free))["PrivateIpAddress"] == free


def test_placement_changes_on_a_stopped_instance_only(network: Network, ec2: Any) -> None:
    refuses("IncorrectInstanceState", ec2.modify_instance_placement, InstanceId=network.running(), Tenancy="dedicated")
    stopped = network.stopped()
    ec2.modify_instance_placement(InstanceId=stopped, Tenancy="dedicated")
    assert network.show(stopped)["Placement"]["Tenancy"] == "dedicated"


def test_stop_protection_protects_from_termination_as_well(network: Network, ec2: Any) -> None:
    instance = network.running()
    ec2.modify_instance_attribute(InstanceId=instance, DisableApiStop={"Value": True})
    refuses("OperationNotPermitted", ec2.terminate_instances, InstanceIds=[instance])
    ec2.modify_instance_attribute(InstanceId=instance, DisableApiStop={"Value": False})
    ec2.terminate_instances(InstanceIds=[instance])


def test_a_public_address_of_awss_is_told_from_an_elastic_one_and_comes_with_a_start(
    network: Network, ec2: Any
) -> None:
    def interface(instance: str) -> dict[str, Any]:
        return dict(network.show(instance)["NetworkInterfaces"][0])

    def associate(instance: str, value: object) -> None:
        nic = interface(instance)["NetworkInterfaceId"]
        ec2.modify_network_interface_attribute(NetworkInterfaceId=nic, AssociatePublicIpAddress=value)

    running, stopped = network.running(), network.stopped()
    associate(running, value=True)
    assert interface(running)["Association"]["IpOwnerId"] == "amazon"
    associate(running, value=False)
    assert not interface(running).get("Association")
    associate(stopped, value=True)
    assert "PublicIpAddress" not in network.show(stopped)
    ec2.start_instances(InstanceIds=[stopped])
    assert "PublicIpAddress" in network.show(stopped)


def test_a_volume_grows_only_and_once_in_six_hours(network: Network, ec2: Any, clock: VirtualClock) -> None:
    volume = network.show(network.running())["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    size = ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]["Size"]

    def grow(by: int) -> None:
        ec2.modify_volume(VolumeId=volume, Size=size + by)

    def state() -> str:
        (found,) = ec2.describe_volumes_modifications(VolumeIds=[volume])["VolumesModifications"]
        return str(found["ModificationState"])

    refuses("InvalidParameterValue", grow, -1)
    grow(1)
    assert state() == "modifying"
    refuses("IncorrectModificationState", grow, 2)
    clock.advance(60)
    assert state() == "optimizing"
    clock.advance(3600)
    assert state() == "completed"
    refuses("VolumeModificationRateExceeded", grow, 2)
    clock.advance(6 * 3600)
    grow(2)
