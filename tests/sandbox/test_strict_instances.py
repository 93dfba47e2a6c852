"""Instances: states that take time, tokens, disks, profiles."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID

from alb_reconcile.sandbox.strict import StrictAws, VirtualClock
from alb_reconcile.sandbox.strict.world import World
from tests.sandbox.strict_world import Network, client, refused, refuses

if TYPE_CHECKING:
    from botocore.client import BaseClient

ABSENT = "i-00000000000000000"


def test_states_take_time(network: Network, ec2: Any, clock: VirtualClock) -> None:
    instance = network.launch()
    clock.advance(9)
    assert network.state(instance) == "pending"
    clock.advance(1)
    assert network.state(instance) == "running"
    answer = ec2.stop_instances(InstanceIds=[instance])["StoppingInstances"][0]
    assert answer["PreviousState"]["Name"] == "running"
    assert answer["CurrentState"]["Name"] == network.state(instance) == "stopping"
    refuses("IncorrectInstanceState", ec2.start_instances, InstanceIds=[instance])
    clock.advance(15)
    assert network.state(instance) == "stopped"
    ec2.stop_instances(InstanceIds=[instance])
    assert network.state(instance) == "stopped"
    refuses("IncorrectInstanceState", ec2.reboot_instances, InstanceIds=[instance])
    ec2.start_instances(InstanceIds=[instance])
    assert network.state(instance) == "pending"
    refuses("IncorrectInstanceState", ec2.stop_instances, InstanceIds=[instance])
    clock.advance(10)
    assert network.state(instance) == "running"
    metal = network.running(InstanceType="c5.metal")
    assert network.state(metal) == "pending"
    clock.advance(1200)
    assert network.state(metal) == "running"


def test_a_terminated_instance_stays_for_an_hour(network: Network, ec2: Any, clock: VirtualClock) -> None:
    tags = [{"Key": "name", "Value": "one"}]
    instance = network.running(TagSpecifications=[{"ResourceType": "instance", "Tags": tags}])
    answer = ec2.terminate_instances(InstanceIds=[instance])["TerminatingInstances"][0]
    assert answer["CurrentState"]["Name"] == network.state(instance) == "shutting-down"
    assert len(network.interfaces()) == 1
    clock.advance(15)
    shown = network.show(instance)
    assert (shown["State"]["Name"], shown["Tags"]) == ("terminated", tags)
    assert "SubnetId" not in shown
    assert not shown["NetworkInterfaces"]
    assert network.interfaces() == ec2.describe_volumes()["Volumes"] == []
    assert ec2.terminate_instances(InstanceIds=[instance])["TerminatingInstances"]
    clock.advance(60)
    assert "Tags" not in network.show(instance)
    clock.advance(3539)
    assert network.state(instance) == "terminated"
    clock.advance(1)
    refuses("InvalidInstanceID.NotFound", network.show, instance)
    assert ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [instance]}])["Tags"] == []


def test_termination_protection_is_a_matter_of_zones(network: Network, ec2: Any) -> None:
    """TerminateInstances' own example: A and B in one zone, C, which is protected, and D in another."""
    a, b, d = (network.launch(SubnetId=network.subnets[number]) for number in (0, 0, 1))
    c = network.running(SubnetId=network.subnets[1], DisableApiTermination=True)
    refuses(f"OperationNotPermitted: {c}", ec2.terminate_instances, InstanceIds=[a, b, c, d])
    assert [network.state(item) for item in (a, b, c, d)] == ["shutting-down", "shutting-down", "running", "running"]
    refuses("InvalidInstanceID.NotFound", ec2.terminate_instances, InstanceIds=[d, ABSENT])
    assert network.state(d) == "running"
    ec2.modify_instance_attribute(InstanceId=c, DisableApiTermination={"Value": False})
    ec2.terminate_instances(InstanceIds=[c])


def test_the_type_changes_on_a_stopped_instance_only(network: Network, ec2: Any) -> None:
    change, small = ec2.modify_instance_attribute, {"InstanceType": {"Value": "t3.small"}}
    refuses("IncorrectInstanceState: 'stopped' state", change, InstanceId=network.running(), **small)
    stopped = network.stopped()
    refuses("InvalidInstanceAttributeValue", change, InstanceId=stopped, InstanceType={"Value": "t3.monstrous"})
    change(InstanceId=stopped, **small)
    assert network.show(stopped)["InstanceType"] == "t3.small"


def test_a_token_makes_one_instance(network: Network, ec2: Any, clock: VirtualClock) -> None:
    first = network.launch(ClientToken="t")
    assert network.launch(ClientToken="t") == first
    assert network.show(first)["ClientToken"] == "t"
    by_token = ec2.describe_instances(Filters=[{"Name": "client-token", "Values": ["t"]}])["Reservations"]
    assert [instance["InstanceId"] for r in by_token for instance in r["Instances"]] == [first]
    assert len(ec2.describe_instances(InstanceIds=[first, first])["Reservations"]) == 1
    refuses("IdempotentParameterMismatch", network.launch, ClientToken="t", InstanceType="t3.small")
    assert network.launch(ClientToken="t", SubnetId=network.subnets[1]) != first, "tokens are zonal"
    assert network.launch(ClientToken="u") != first
    ec2.terminate_instances(InstanceIds=[first])
    refuses("IdempotentInstanceTerminated", network.launch, ClientToken="t")
    clock.advance(4000)
    refuses("IdempotentInstanceTerminated", network.launch, ClientToken="t")


def test_a_launch_makes_as_many_as_there_is_room_for(network: Network, ec2: Any) -> None:
    small = network.subnet("10.0.9.0/28", "us-east-1a")
    refuses("InsufficientFreeAddressesInSubnet", network.launch_several, 20, 12, SubnetId=small)
    made = network.launch_several(20, 1, SubnetId=small, ClientToken="m")
    assert sorted(network.show(item)["AmiLaunchIndex"] for item in made) == list(range(11))
    assert network.launch_several(20, 1, SubnetId=small, ClientToken="m") == made, "needs no room"
    refuses("InsufficientFreeAddressesInSubnet", network.launch, SubnetId=small)


@pytest.mark.parametrize(
    ("overrides", "code"),
    [
        ({"InstanceType": "t3.monstrous"}, "InvalidInstanceType.NotFound"),
        ({"ImageId": "ami-00000000000000000"}, "InvalidAMIID.NotFound"),
        ({"KeyName": "nobody"}, "InvalidKeyPair.NotFound"),
        ({"SubnetId": "subnet-00000000000000000"}, "InvalidSubnetID.NotFound"),
        ({"SecurityGroupIds": ["sg-00000000000000000"]}, "InvalidGroup.NotFound"),
        ({"IamInstanceProfile": {"Name": "nobody"}}, "InvalidParameterValue"),
    ],
)
def test_what_a_launch_names_must_exist(network: Network, overrides: dict[str, Any], code: str) -> None:
    refuses(code, network.launch, **overrides)
    assert network.interfaces() == []


def test_groups_are_replaced_on_the_interface_too(network: Network, ec2: Any, elb: Any, clock: VirtualClock) -> None:
    instance, other = network.running(), network.security_group("other")
    ec2.modify_instance_attribute(InstanceId=instance, Groups=[other])
    assert [g["GroupId"] for g in network.show(instance)["SecurityGroups"]] == [other]
    assert [g["GroupId"] for g in network.interfaces()[0]["Groups"]] == [other]
    ec2.delete_security_group(GroupId=network.group)
    (default,) = network.show(network.launch(SecurityGroupIds=[]))["SecurityGroups"]
    assert default["GroupName"] == "default"
    strange = Network.make(ec2, elb, clock, "10.1.0.0/16").group
    change = ec2.modify_instance_attribute
    refuses("InvalidGroup.NotFound", change, InstanceId=instance, Groups=["sg-00000000000000000"])
    refuses("InvalidParameter", change, InstanceId=instance, Groups=[strange])
    refuses("InvalidParameter: different networks", network.launch, SecurityGroupIds=[strange])


@pytest.fixture
def iam(aws: StrictAws) -> BaseClient:
    iam = client("iam")
    allowed = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}
    for name in ("one", "two"):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Statement": [allowed]}))
        iam.create_instance_profile(InstanceProfileName=name)
    return iam


def profiles(ec2: Any, **which: Any) -> list[dict[str, Any]]:
    return list(ec2.describe_iam_instance_profile_associations(**which)["IamInstanceProfileAssociations"])


def test_a_profile_is_replaced_and_taken_away_and_freed(
    network: Network, ec2: Any, iam: Any, clock: VirtualClock
) -> None:
    instance, two = network.running(IamInstanceProfile={"Name": "one"}), {"IamInstanceProfile": {"Name": "two"}}
    ids = {p["InstanceProfileName"]: p for p in iam.list_instance_profiles()["InstanceProfiles"]}
    assert network.show(instance)["IamInstanceProfile"]["Id"] == ids["one"]["InstanceProfileId"]
    (held,) = profiles(ec2, Filters=[{"Name": "instance-id", "Values": [instance]}])
    refuses("IncorrectState", ec2.associate_iam_instance_profile, InstanceId=instance, **two)
    ec2.replace_iam_instance_profile_association(AssociationId=held["AssociationId"], **two)
    assert network.show(instance)["IamInstanceProfile"]["Arn"] == ids["two"]["Arn"]
    gone = {"AssociationIds": [held["AssociationId"]]}
    refuses("InvalidAssociationID.NotFound", ec2.describe_iam_instance_profile_associations, **gone)
    ec2.disassociate_iam_instance_profile(AssociationId=profiles(ec2)[0]["AssociationId"])
    assert "IamInstanceProfile" not in network.show(instance)
    one = {"Arn": ids["one"]["Arn"]}
    ec2.associate_iam_instance_profile(InstanceId=instance, IamInstanceProfile=one)
    assert network.show(instance)["IamInstanceProfile"] == {**one, "Id": ids["one"]["InstanceProfileId"]}
    ec2.terminate_instances(InstanceIds=[instance])
    clock.advance(15)
    assert profiles(ec2) == []
    refuses("IncorrectInstanceState", ec2.associate_iam_instance_profile, InstanceId=instance, IamInstanceProfile=one)


def test_a_launch_refused_for_want_of_capacity_has_used_its_token(network: Network) -> None:
    ledger = World(DEFAULT_ACCOUNT_ID, "us-east-1").ledger
    ledger.no_capacity.add("t3.micro")
    with refused("InsufficientInstanceCapacity", status=500):
        network.launch(ClientToken="t")
    refuses("IdempotentParameterMismatch", network.launch, ClientToken="t", InstanceType="t3.small")
    ledger.no_capacity.remove("t3.micro")
    assert network.launch(ClientToken="t") == network.launch(ClientToken="t")
