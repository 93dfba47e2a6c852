"""Instances: what their options can't be together, and in which state they change; volumes, and how soon they change again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.sandbox.strict_world import Network, refused, refuses

if TYPE_CHECKING:
    from alb_reconcile.sandbox.strict import VirtualClock


def stopped(network: Network, ec2: Any, clock: VirtualClock) -> str:
    instance = network.running()
    ec2.stop_instances(InstanceIds=[instance])
    clock.advance(60)
    return instance


@pytest.mark.parametrize(
    ("code", "params"),
    [
        (
            "InvalidParameterCombination",
            {"CreditSpecification": {"CpuCredits": "unlimited"}, "InstanceType": "m5.large"},
        ),
        (
            "InvalidParameterCombination",
            {"HibernationOptions": {"Configured": True}, "EnclaveOptions": {"Enabled": True}},
        ),
        ("UnsupportedHibernationConfiguration", {"HibernationOptions": {"Configured": True}}),
        ("InvalidParameterCombination", {"CpuOptions": {"CoreCount": 1}}),
        ("Unsupported", {"CpuOptions": {"CoreCount": 1, "ThreadsPerCore": 1}, "InstanceType": "t2.micro"}),
        ("InvalidParameterValue", {"PrivateIpAddress": "192.168.7.7"}),
        ("InvalidParameterValue", {"Ipv6AddressCount": 1}),
        ("MissingParameter", {"BlockDeviceMappings": [{"DeviceName": "/dev/sdf", "Ebs": {"VolumeType": "gp3"}}]}),
        (
            "InvalidBlockDeviceMapping",
            {"BlockDeviceMappings": [{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 1}}] * 2},
        ),
        (
            "InvalidParameterDependency",
            {"BlockDeviceMappings": [{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 1, "KmsKeyId": "alias/a"}}]},
        ),
        (
            "InvalidParameterCombination",
            {
                "BlockDeviceMappings": [
                    {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 1, "VolumeType": "gp2", "Throughput": 200}}
                ]
            },
        ),
        (
            "InvalidParameterValue",
            {
                "BlockDeviceMappings": [
                    {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 1, "VolumeType": "gp3", "Throughput": 1000}}
                ]
            },
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(network: Network, code: str, params: dict[str, Any]) -> None:
    refuses(code, network.launch, **params)


def test_a_network_interface_takes_what_is_its_own(network: Network, ec2: Any) -> None:
    with refused("InvalidParameterCombination"):
        network.launch(NetworkInterfaces=[{"DeviceIndex": 0, "AssociatePublicIpAddress": True}])


def test_a_private_address_is_for_one_instance_and_once(network: Network) -> None:
    address = network.show(network.launch())["PrivateIpAddress"]
    refuses("InvalidIPAddress.InUse", network.launch, PrivateIpAddress=address)
    free = address.rpartition(".")[0] + ".99"
    refuses("InvalidParameterCombination", network.launch, PrivateIpAddress=free, MinCount=2, MaxCount=2)
    assert network.show(network.launch(PrivateIpAddress=free))["PrivateIpAddress"] == free


@pytest.mark.parametrize(
    ("action", "params"),
    [
        ("modify_instance_placement", {"Tenancy": "dedicated"}),
        ("modify_instance_cpu_options", {"CoreCount": 1, "ThreadsPerCore": 1}),
        ("modify_instance_network_performance_options", {"BandwidthWeighting": "vpc-1"}),
        ("modify_private_dns_name_options", {"PrivateDnsHostnameType": "resource-name"}),
        (
            "modify_instance_capacity_reservation_attributes",
            {"CapacityReservationSpecification": {"CapacityReservationPreference": "none"}},
        ),
    ],
)
def test_some_options_change_on_a_stopped_instance_only(
    network: Network, ec2: Any, clock: VirtualClock, action: str, params: dict[str, Any]
) -> None:
    instance = network.running()
    refuses("IncorrectInstanceState", getattr(ec2, action), InstanceId=instance, **params)
    ec2.stop_instances(InstanceIds=[instance])
    clock.advance(60)
    before = network.show(instance)
    getattr(ec2, action)(InstanceId=instance, **params)
    assert network.show(instance) != before


def test_stop_protection_protects_from_termination_as_well(network: Network, ec2: Any) -> None:
    instance = network.running()
    ec2.modify_instance_attribute(InstanceId=instance, DisableApiStop={"Value": True})
    refuses("OperationNotPermitted", ec2.terminate_instances, InstanceIds=[instance])
    ec2.modify_instance_attribute(InstanceId=instance, DisableApiStop={"Value": False})
    ec2.terminate_instances(InstanceIds=[instance])


def test_a_public_address_of_awss_is_told_from_an_elastic_one(network: Network, ec2: Any) -> None:
    instance = network.running()
    interface = network.show(instance)["NetworkInterfaces"][0]["NetworkInterfaceId"]
    ec2.modify_network_interface_attribute(NetworkInterfaceId=interface, AssociatePublicIpAddress=True)
    shown = network.show(instance)["NetworkInterfaces"][0]
    assert shown["Association"]["IpOwnerId"] == "amazon"
    ec2.modify_network_interface_attribute(NetworkInterfaceId=interface, AssociatePublicIpAddress=False)
    assert not network.show(instance)["NetworkInterfaces"][0].get("Association")


def test_a_stopped_instance_gets_its_public_address_when_it_starts(
    network: Network, ec2: Any, clock: VirtualClock
) -> None:
    instance = stopped(network, ec2, clock)
    interface = network.show(instance)["NetworkInterfaces"][0]["NetworkInterfaceId"]
    ec2.modify_network_interface_attribute(NetworkInterfaceId=interface, AssociatePublicIpAddress=True)
    assert "PublicIpAddress" not in network.show(instance)
    ec2.start_instances(InstanceIds=[instance])
    assert "PublicIpAddress" in network.show(instance)


def test_a_volume_grows_only_and_once_in_six_hours(network: Network, ec2: Any, clock: VirtualClock) -> None:
    instance = network.running()
    volume = network.show(instance)["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    size = ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]["Size"]
    refuses("InvalidParameterValue", ec2.modify_volume, VolumeId=volume, Size=size - 1)
    ec2.modify_volume(VolumeId=volume, Size=size + 1)

    def state() -> str:
        (found,) = ec2.describe_volumes_modifications(VolumeIds=[volume])["VolumesModifications"]
        return str(found["ModificationState"])

    assert state() == "modifying"
    refuses("IncorrectModificationState", ec2.modify_volume, VolumeId=volume, Size=size + 2)
    clock.advance(60)
    assert state() == "optimizing"
    clock.advance(3600)
    assert state() == "completed"
    refuses("VolumeModificationRateExceeded", ec2.modify_volume, VolumeId=volume, Size=size + 2)
    clock.advance(6 * 3600)
    ec2.modify_volume(VolumeId=volume, Size=size + 2)


def test_credits_are_those_of_the_launch_and_of_the_last_change(network: Network, ec2: Any) -> None:
    instance = network.running(CreditSpecification={"CpuCredits": "standard"}, InstanceType="t3.micro")

    def credit() -> str:
        found = ec2.describe_instance_credit_specifications(InstanceIds=[instance])["InstanceCreditSpecifications"]
        return str(found[0]["CpuCredits"])

    assert credit() == "standard"
    specification = {"InstanceId": instance, "CpuCredits": "unlimited"}
    ec2.modify_instance_credit_specification(InstanceCreditSpecifications=[specification])
    assert credit() == "unlimited"
