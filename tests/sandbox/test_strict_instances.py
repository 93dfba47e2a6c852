"""Instances: states that take time, tokens, disks, profiles."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID

from alb_reconcile.sandbox.strict import StrictAws, Timing, VirtualClock
from alb_reconcile.sandbox.strict.world import World
from tests.sandbox.strict_world import IMAGE, Network, client, refused, refuses

if TYPE_CHECKING:
    from botocore.client import BaseClient


def test_an_instance_is_pending_before_it_runs(network: Network, clock: VirtualClock) -> None:
    instance = network.launch()
    assert network.state(instance) == "pending"
    clock.advance(9)
    assert network.state(instance) == "pending"
    clock.advance(1)
    assert network.state(instance) == "running"


def test_stopping_and_starting_take_time(network: Network, ec2: Any, clock: VirtualClock) -> None:
    instance = network.running()
    answer = ec2.stop_instances(InstanceIds=[instance])["StoppingInstances"][0]
    assert answer["PreviousState"]["Name"] == "running"
    assert answer["CurrentState"]["Name"] == "stopping"
    assert network.state(instance) == "stopping"
    refuses("IncorrectInstanceState", ec2.start_instances, InstanceIds=[instance])
    clock.advance(15)
    assert network.state(instance) == "stopped"
    ec2.stop_instances(InstanceIds=[instance])
    assert network.state(instance) == "stopped"
    ec2.start_instances(InstanceIds=[instance])
    assert network.state(instance) == "pending"
    refuses("IncorrectInstanceState", ec2.stop_instances, InstanceIds=[instance])
    clock.advance(10)
    assert network.state(instance) == "running"


def test_a_terminated_instance_stays_for_an_hour(network: Network, ec2: Any, clock: VirtualClock) -> None:
    instance = network.running(
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "name", "Value": "one"}]}]
    )
    answer = ec2.terminate_instances(InstanceIds=[instance])["TerminatingInstances"][0]
    assert answer["CurrentState"]["Name"] == "shutting-down"
    assert network.state(instance) == "shutting-down"
    clock.advance(15)
    shown = network.show(instance)
    assert shown["State"]["Name"] == "terminated"
    assert shown["Tags"] == [{"Key": "name", "Value": "one"}]
    assert "SubnetId" not in shown
    assert not shown["NetworkInterfaces"]
    clock.advance(60)
    assert "Tags" not in network.show(instance)
    clock.advance(3539)
    assert network.state(instance) == "terminated"
    clock.advance(1)
    refuses("InvalidInstanceID.NotFound", network.show, instance)
    assert ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [instance]}])["Tags"] == []


def test_termination_releases_interfaces_and_disks(network: Network, ec2: Any, clock: VirtualClock) -> None:
    instance = network.running()
    assert len(network.interfaces()) == 1
    ec2.terminate_instances(InstanceIds=[instance])
    assert len(network.interfaces()) == 1
    clock.advance(15)
    assert network.interfaces() == []
    assert ec2.describe_volumes()["Volumes"] == []
    assert ec2.terminate_instances(InstanceIds=[instance])["TerminatingInstances"]


def test_termination_protection(network: Network, ec2: Any) -> None:
    instance = network.running(DisableApiTermination=True)
    refuses("OperationNotPermitted", ec2.terminate_instances, InstanceIds=[instance])
    ec2.modify_instance_attribute(InstanceId=instance, DisableApiTermination={"Value": False})
    ec2.terminate_instances(InstanceIds=[instance])


def test_termination_protection_is_a_matter_of_zones(network: Network, ec2: Any) -> None:
    """TerminateInstances' own example: A and B in one zone, C, which is protected, and D in another."""
    a, b, d = (network.launch(SubnetId=network.subnets[number]) for number in (0, 0, 1))
    c = network.running(SubnetId=network.subnets[1], DisableApiTermination=True)
    refuses(f"OperationNotPermitted: {c}", ec2.terminate_instances, InstanceIds=[a, b, c, d])
    assert [network.state(item) for item in (a, b, c, d)] == ["shutting-down", "shutting-down", "running", "running"]
    refuses("InvalidInstanceID.NotFound", ec2.terminate_instances, InstanceIds=[d, "i-00000000000000000"])
    assert network.state(d) == "running"


def test_zero_makes_a_change_immediate() -> None:
    clock = VirtualClock()
    timing = Timing(pending=0, shutting_down=0, provisioning=0, interfaces_linger=0)
    with StrictAws(clock=clock.now, timing=timing):
        network = Network.make(client("ec2"), client("elbv2"), clock)
        instance = network.launch()
        assert network.state(instance) == "running"
        network.ec2.terminate_instances(InstanceIds=[instance])
        assert network.state(instance) == "terminated"
        arn = network.balancer()
        assert network.elb.describe_load_balancers()["LoadBalancers"][0]["State"]["Code"] == "active"
        network.elb.delete_load_balancer(LoadBalancerArn=arn)
        assert network.interfaces() == []


def test_the_type_changes_on_a_stopped_instance_only(network: Network, ec2: Any, clock: VirtualClock) -> None:
    instance = network.running()
    with refused("IncorrectInstanceState", "'stopped' state"):
        ec2.modify_instance_attribute(InstanceId=instance, InstanceType={"Value": "t3.small"})
    ec2.stop_instances(InstanceIds=[instance])
    clock.advance(15)
    with refused("InvalidInstanceAttributeValue"):
        ec2.modify_instance_attribute(InstanceId=instance, InstanceType={"Value": "t3.monstrous"})
    ec2.modify_instance_attribute(InstanceId=instance, InstanceType={"Value": "t3.small"})
    assert network.show(instance)["InstanceType"] == "t3.small"


def test_reboot_needs_a_running_instance(network: Network, ec2: Any, clock: VirtualClock) -> None:
    instance = network.running()
    ec2.stop_instances(InstanceIds=[instance])
    refuses("IncorrectInstanceState", ec2.reboot_instances, InstanceIds=[instance])


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


def test_as_many_instances_as_asked_for(network: Network, ec2: Any) -> None:
    answer = ec2.run_instances(ImageId=IMAGE, InstanceType="t3.micro", MinCount=1, MaxCount=3, ClientToken="m")
    again = ec2.run_instances(ImageId=IMAGE, InstanceType="t3.micro", MinCount=1, MaxCount=3, ClientToken="m")
    assert len(answer["Instances"]) == 3
    assert [i["InstanceId"] for i in again["Instances"]] == [i["InstanceId"] for i in answer["Instances"]]


def test_a_full_subnet_takes_no_instance(network: Network) -> None:
    small = network.subnet("10.0.9.0/28", "us-east-1a")
    network.ec2.run_instances(ImageId=IMAGE, InstanceType="t3.micro", MinCount=11, MaxCount=11, SubnetId=small)
    refuses("InsufficientFreeAddressesInSubnet", network.launch, SubnetId=small)


def test_a_launch_makes_as_many_as_there_is_room_for(network: Network, ec2: Any) -> None:
    launch = {"ImageId": IMAGE, "InstanceType": "t3.micro", "SubnetId": network.subnet("10.0.9.0/28", "us-east-1a")}
    refuses("InsufficientFreeAddressesInSubnet", ec2.run_instances, **launch, MinCount=12, MaxCount=20)
    made = ec2.run_instances(**launch, MinCount=1, MaxCount=20, ClientToken="m")["Instances"]
    assert [item["AmiLaunchIndex"] for item in made] == list(range(11))
    again = ec2.run_instances(**launch, MinCount=1, MaxCount=20, ClientToken="m")["Instances"]
    assert [item["InstanceId"] for item in again] == [item["InstanceId"] for item in made], "needs no room"


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


def test_a_group_of_another_vpc_is_refused(network: Network, ec2: Any, elb: Any, clock: VirtualClock) -> None:
    other = Network.make(ec2, elb, clock, "10.1.0.0/16")
    refuses("InvalidParameter: different networks", network.launch, SecurityGroupIds=[other.group])
    instance = network.running()
    refuses("InvalidParameter", ec2.modify_instance_attribute, InstanceId=instance, Groups=[other.group])


def test_bare_metal_takes_its_time(network: Network, clock: VirtualClock) -> None:
    instance = network.running(InstanceType="c5.metal")
    assert network.state(instance) == "pending"
    clock.advance(1200)
    assert network.state(instance) == "running"


def test_metadata_options_are_shown_and_change_one_by_one(network: Network, ec2: Any) -> None:
    options = {"HttpEndpoint": "enabled", "HttpTokens": "required", "HttpPutResponseHopLimit": 1}
    instance = network.launch(MetadataOptions=options)
    assert network.show(instance)["MetadataOptions"]["HttpTokens"] == "required"
    ec2.modify_instance_metadata_options(InstanceId=instance, HttpPutResponseHopLimit=2)
    options = network.show(instance)["MetadataOptions"]
    assert options["HttpTokens"] == "required"
    assert options["HttpPutResponseHopLimit"] == 2


def test_metadata_options_need_the_endpoint_that_is_on_unless_it_is_off(network: Network, ec2: Any) -> None:
    off: dict[str, Any] = {"HttpEndpoint": "disabled"}
    refuses("InvalidParameterCombination", network.launch, MetadataOptions={**off, "HttpPutResponseHopLimit": 2})
    instance = network.launch(MetadataOptions={"HttpTokens": "required"})
    ec2.modify_instance_metadata_options(InstanceId=instance, HttpTokens="optional")
    assert network.show(instance)["MetadataOptions"]["HttpTokens"] == "optional"
    with refused("InvalidParameterCombination"):
        ec2.modify_instance_metadata_options(InstanceId=instance, **off, HttpPutResponseHopLimit=2)
    ec2.modify_instance_metadata_options(InstanceId=instance, **off)
    with refused("InvalidParameterCombination"):
        ec2.modify_instance_metadata_options(InstanceId=instance, HttpTokens="required")
    ec2.modify_instance_metadata_options(InstanceId=instance, HttpTokens="required", HttpEndpoint="enabled")


def test_disks_are_observable(network: Network, ec2: Any) -> None:
    root = ec2.describe_images(ImageIds=[IMAGE])["Images"][0]["RootDeviceName"]
    tags = [{"Key": "of", "Value": "root"}]
    instance = network.launch(
        BlockDeviceMappings=[
            {
                "DeviceName": root,
                "Ebs": {"VolumeSize": 20, "VolumeType": "io2", "Iops": 500, "Encrypted": True},
            }
        ],
        TagSpecifications=[{"ResourceType": "volume", "Tags": tags}],
    )
    (device,) = network.show(instance)["BlockDeviceMappings"]
    assert device["DeviceName"] == root
    assert device["Ebs"]["DeleteOnTermination"] is True
    (volume,) = ec2.describe_volumes(VolumeIds=[device["Ebs"]["VolumeId"]])["Volumes"]
    assert (volume["Size"], volume["VolumeType"], volume["Iops"]) == (20, "io2", 500)
    assert volume["Encrypted"] is True
    assert volume["Tags"] == tags


def test_the_root_disk_has_defaults(network: Network, ec2: Any) -> None:
    instance = network.launch(BlockDeviceMappings=[{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 3}}])
    devices = network.show(instance)["BlockDeviceMappings"]
    assert [device["Ebs"]["DeleteOnTermination"] for device in devices] == [True, False]
    volumes = {v["VolumeId"]: v for v in ec2.describe_volumes()["Volumes"]}
    root = volumes[devices[0]["Ebs"]["VolumeId"]]
    assert (root["Size"], root["VolumeType"], root["Iops"], root["Throughput"]) == (15, "gp3", 3000, 125)


def test_public_addresses_follow_the_subnet(network: Network, ec2: Any) -> None:
    assert "PublicIpAddress" not in network.show(network.launch())
    ec2.modify_subnet_attribute(SubnetId=network.subnets[0], MapPublicIpOnLaunch={"Value": True})
    assert network.show(network.launch())["PublicIpAddress"]


def test_groups_are_replaced_on_the_interface_too(network: Network, ec2: Any) -> None:
    instance, other = network.running(), network.security_group("other")
    ec2.modify_instance_attribute(InstanceId=instance, Groups=[other])
    assert [g["GroupId"] for g in network.show(instance)["SecurityGroups"]] == [other]
    assert [g["GroupId"] for g in network.interfaces()[0]["Groups"]] == [other]
    with refused("InvalidGroup.NotFound"):
        ec2.modify_instance_attribute(InstanceId=instance, Groups=["sg-00000000000000000"])
    ec2.delete_security_group(GroupId=network.group)


def test_an_instance_without_groups_has_the_default_one(network: Network) -> None:
    instance = network.launch(SecurityGroupIds=[])
    assert [g["GroupName"] for g in network.show(instance)["SecurityGroups"]] == ["default"]


@pytest.fixture
def iam(aws: StrictAws) -> BaseClient:
    iam = client("iam")
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}],
    }
    for name in ("one", "two"):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
        iam.create_instance_profile(InstanceProfileName=name)
    return iam


def test_a_profile_can_be_replaced_and_taken_away(network: Network, ec2: Any, iam: Any) -> None:
    instance = network.running(IamInstanceProfile={"Name": "one"})
    ids = {p["InstanceProfileName"]: p for p in iam.list_instance_profiles()["InstanceProfiles"]}
    assert network.show(instance)["IamInstanceProfile"]["Id"] == ids["one"]["InstanceProfileId"]
    (held,) = ec2.describe_iam_instance_profile_associations(Filters=[{"Name": "instance-id", "Values": [instance]}])[
        "IamInstanceProfileAssociations"
    ]
    with refused("IncorrectState"):
        ec2.associate_iam_instance_profile(InstanceId=instance, IamInstanceProfile={"Name": "two"})
    ec2.replace_iam_instance_profile_association(
        AssociationId=held["AssociationId"], IamInstanceProfile={"Name": "two"}
    )
    assert network.show(instance)["IamInstanceProfile"]["Arn"] == ids["two"]["Arn"]
    with refused("InvalidAssociationID.NotFound"):
        ec2.describe_iam_instance_profile_associations(AssociationIds=[held["AssociationId"]])
    (held,) = ec2.describe_iam_instance_profile_associations()["IamInstanceProfileAssociations"]
    ec2.disassociate_iam_instance_profile(AssociationId=held["AssociationId"])
    assert "IamInstanceProfile" not in network.show(instance)
    ec2.associate_iam_instance_profile(InstanceId=instance, IamInstanceProfile={"Arn": ids["one"]["Arn"]})
    held_now = network.show(instance)["IamInstanceProfile"]
    assert held_now == {"Arn": ids["one"]["Arn"], "Id": ids["one"]["InstanceProfileId"]}


def test_more_profiles_than_a_page_of_the_emulator(network: Network, ec2: Any, iam: Any) -> None:
    ec2.run_instances(
        ImageId=IMAGE,
        InstanceType="t3.micro",
        MinCount=101,
        MaxCount=101,
        SubnetId=network.subnets[0],
        IamInstanceProfile={"Name": "one"},
    )
    found = ec2.describe_iam_instance_profile_associations()["IamInstanceProfileAssociations"]
    assert len(found) == 101


def test_the_profile_of_the_dead_is_free(network: Network, ec2: Any, iam: Any, clock: VirtualClock) -> None:
    instance = network.running(IamInstanceProfile={"Name": "one"})
    ec2.terminate_instances(InstanceIds=[instance])
    clock.advance(15)
    assert ec2.describe_iam_instance_profile_associations()["IamInstanceProfileAssociations"] == []
    with refused("IncorrectInstanceState"):
        ec2.associate_iam_instance_profile(InstanceId=instance, IamInstanceProfile={"Name": "one"})


def test_launch_times_follow_the_clock(network: Network, clock: VirtualClock) -> None:
    first = network.launch()
    clock.advance(100)
    second = network.launch()
    apart = network.show(second)["LaunchTime"] - network.show(first)["LaunchTime"]
    assert apart.total_seconds() == pytest.approx(100, abs=1)


def test_a_dry_run_does_nothing(ec2: Any) -> None:
    before = len(ec2.describe_vpcs()["Vpcs"])
    refuses("DryRunOperation", ec2.create_vpc, CidrBlock="10.0.0.0/16", DryRun=True)
    assert len(ec2.describe_vpcs()["Vpcs"]) == before


def test_gp3_volumes_have_defaults(ec2: Any) -> None:
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1, VolumeType="gp3")["VolumeId"]
    (shown,) = ec2.describe_volumes(VolumeIds=[volume])["Volumes"]
    assert (shown["Iops"], shown["Throughput"]) == (3000, 125)


def test_a_launch_refused_for_want_of_capacity_has_used_its_token(network: Network) -> None:
    ledger = World(DEFAULT_ACCOUNT_ID, "us-east-1").ledger
    ledger.no_capacity.add("t3.micro")
    with refused("InsufficientInstanceCapacity", status=500):
        network.launch(ClientToken="t", InstanceType="t3.micro")
    refuses("IdempotentParameterMismatch", network.launch, ClientToken="t", InstanceType="t3.small")
    ledger.no_capacity.remove("t3.micro")
    assert network.launch(ClientToken="t", InstanceType="t3.micro") == network.launch(
        ClientToken="t", InstanceType="t3.micro"
    )
