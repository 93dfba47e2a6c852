"""Eventual consistency, paging and filters: how describes may disappoint."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from moto.ec2.models.vpcs import VPC

from tests.at_length import only_at_length
from tests.sandbox.strict_world import Network, client, refused, refuses

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alb_reconcile.sandbox.strict import StrictAws, VirtualClock


@pytest.fixture
def lagging(aws: StrictAws, network: Network, clock: VirtualClock) -> Iterator[Network]:
    """The network is well known; what comes now is seen thirty seconds later."""
    clock.advance(100)
    aws.lag = 30.0
    yield network
    aws.lag = 0.0


def tagged(ec2: Any, value: str) -> list[str]:
    found = ec2.describe_vpcs(Filters=[{"Name": "tag:owner", "Values": [value]}])["Vpcs"]
    return [vpc["VpcId"] for vpc in found]


def test_what_is_new_is_not_seen_yet(lagging: Network, ec2: Any, clock: VirtualClock) -> None:
    tags = [{"ResourceType": "vpc", "Tags": [{"Key": "owner", "Value": "me"}]}]
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16", TagSpecifications=tags)["Vpc"]["VpcId"]
    assert tagged(ec2, "me") == []
    refuses("InvalidVpcID.NotFound", ec2.describe_vpcs, VpcIds=[vpc])
    ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.0.0/24")
    clock.advance(29.9)
    assert tagged(ec2, "me") == []
    clock.advance(0.1)
    assert tagged(ec2, "me") == [vpc]


def test_new_tags_are_not_seen_yet(lagging: Network, ec2: Any, clock: VirtualClock) -> None:
    ec2.create_tags(Resources=[lagging.vpc], Tags=[{"Key": "owner", "Value": "me"}])
    assert tagged(ec2, "me") == []
    clock.advance(20)
    ec2.create_tags(Resources=[lagging.vpc], Tags=[{"Key": "owner", "Value": "you"}])
    clock.advance(10)
    assert tagged(ec2, "me") == [lagging.vpc]
    clock.advance(20)
    assert tagged(ec2, "you") == [lagging.vpc]


def test_what_is_deleted_is_still_seen(lagging: Network, ec2: Any, clock: VirtualClock) -> None:
    ec2.delete_security_group(GroupId=lagging.group)
    assert ec2.describe_security_groups(GroupIds=[lagging.group])["SecurityGroups"]
    refuses("InvalidGroup.NotFound", ec2.delete_security_group, GroupId=lagging.group)
    clock.advance(30)
    refuses("InvalidGroup.NotFound", ec2.describe_security_groups, GroupIds=[lagging.group])


@only_at_length("tests/sandbox/test_strict_lag.py::test_what_is_deleted_is_still_seen")
def test_what_nobody_can_see_any_more_takes_no_room(lagging: Network, ec2: Any, clock: VirtualClock) -> None:
    """moto keeps whatever it has made; what is looked back to is made each time."""
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    clock.advance(40)
    assert ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"]
    ec2.delete_vpc(VpcId=vpc)
    clock.advance(20)
    assert ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"]
    clock.advance(20)
    ec2.create_tags(Resources=[lagging.vpc], Tags=[{"Key": "owner", "Value": "me"}])
    gc.collect()
    assert not [item for item in gc.get_objects() if isinstance(item, VPC) and item.id == vpc]


def test_changes_are_not_seen_yet(lagging: Network, ec2: Any, clock: VirtualClock) -> None:
    subnet = lagging.subnets[0]

    def public() -> bool:
        return bool(ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["MapPublicIpOnLaunch"])

    ec2.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={"Value": True})
    assert public() is False
    clock.advance(30)
    assert public() is True


def test_states_are_seen_late(lagging: Network, ec2: Any, clock: VirtualClock) -> None:
    instance = lagging.launch()
    clock.advance(30)
    assert lagging.state(instance) == "pending"
    clock.advance(9)
    assert lagging.state(instance) == "pending"
    clock.advance(1)
    assert lagging.state(instance) == "running"
    ec2.terminate_instances(InstanceIds=[instance])
    clock.advance(15)
    assert lagging.state(instance) == "running"
    assert len(lagging.interfaces()) == 1
    clock.advance(29)
    assert lagging.state(instance) == "shutting-down"
    assert len(lagging.interfaces()) == 1
    clock.advance(1)
    assert lagging.state(instance) == "terminated"
    assert lagging.interfaces() == []


def test_balancers_lag_too(lagging: Network, elb: Any, clock: VirtualClock) -> None:
    arn = lagging.balancer(Tags=[{"Key": "owner", "Value": "me"}])
    refuses("LoadBalancerNotFound", elb.describe_load_balancers, Names=["lb"])
    refuses("LoadBalancerNotFound", elb.describe_tags, ResourceArns=[arn])
    group = lagging.target_group()
    listener = lagging.listener(arn, group)
    clock.advance(30)
    assert elb.describe_load_balancers(Names=["lb"])["LoadBalancers"][0]["State"]["Code"] == "provisioning"
    assert elb.describe_listeners(LoadBalancerArn=arn)["Listeners"][0]["ListenerArn"] == listener
    elb.modify_listener(ListenerArn=listener, Port=81)
    elb.modify_load_balancer_attributes(
        LoadBalancerArn=arn, Attributes=[{"Key": "idle_timeout.timeout_seconds", "Value": "9"}]
    )
    assert elb.describe_listeners(LoadBalancerArn=arn)["Listeners"][0]["Port"] == 80
    attributes = elb.describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"]
    assert {"Key": "idle_timeout.timeout_seconds", "Value": "60"} in attributes
    clock.advance(30)
    assert elb.describe_listeners(LoadBalancerArn=arn)["Listeners"][0]["Port"] == 81


def test_health_is_seen_late(lagging: Network, elb: Any, clock: VirtualClock) -> None:
    instance, arn, group = lagging.running(), lagging.balancer(), lagging.target_group()
    lagging.listener(arn, group)
    clock.advance(60)
    elb.register_targets(TargetGroupArn=group, Targets=[{"Id": instance}])
    assert lagging.health(group) == {}
    clock.advance(30)
    assert lagging.health_of(group, instance) == ("initial", "Elb.InitialHealthChecking")
    clock.advance(29)
    assert lagging.health_of(group, instance) == ("initial", "Elb.InitialHealthChecking")
    clock.advance(1)
    assert lagging.health_of(group, instance) == ("healthy", "")


def test_the_inventory_does_not_lag(lagging: Network, aws: StrictAws, ec2: Any) -> None:
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    assert vpc in aws.inventory()


def test_without_lag_all_is_seen_at_once(lagging: Network, aws: StrictAws, ec2: Any) -> None:
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    aws.lag = 0.0
    assert ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"]


def test_a_new_id_may_be_unknown_to_other_actions(
    network: Network, aws: StrictAws, ec2: Any, elb: Any, clock: VirtualClock
) -> None:
    aws.reference_lag = 5.0
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    refuses("InvalidVpcID.NotFound", ec2.create_subnet, VpcId=vpc, CidrBlock="10.9.0.0/24")
    ec2.describe_vpcs(VpcIds=[vpc])
    clock.advance(5)
    group = network.target_group()
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.0.0/24")["Subnet"]["SubnetId"]
    refuses("InvalidSubnetID.NotFound", ec2.create_tags, Resources=[subnet], Tags=[{"Key": "a", "Value": "b"}])
    refuses("TargetGroupNotFound", elb.delete_target_group, TargetGroupArn=group)
    clock.advance(5)
    elb.delete_target_group(TargetGroupArn=group)


def test_a_new_key_pair_or_profile_may_be_unknown_to_a_launch(
    network: Network, aws: StrictAws, ec2: Any, clock: VirtualClock
) -> None:
    """InvalidKeyPair.NotFound (terraform-provider-aws, issue 44835); "Invalid IAM Instance Profile"."""
    clock.advance(10)
    aws.reference_lag = 5.0
    key = ec2.create_key_pair(KeyName="ops")["KeyPairId"]
    made = client("iam").create_instance_profile(InstanceProfileName="web")["InstanceProfile"]
    refuses("InvalidKeyPair.NotFound", network.launch, KeyName="ops")
    refuses("InvalidKeyPair.NotFound", ec2.create_tags, Resources=[key], Tags=[{"Key": "a", "Value": "b"}])
    for profile in ({"Name": "web"}, {"Arn": made["Arn"]}):
        refuses("InvalidParameterValue: Invalid IAM Instance Profile", network.launch, IamInstanceProfile=profile)
    assert aws.denied == 4
    clock.advance(5)
    network.launch(KeyName="ops", IamInstanceProfile={"Name": "web"})


@pytest.fixture
def many(network: Network) -> Network:
    for number in range(10, 17):
        network.subnet(f"10.0.{number}.0/24", "us-east-1a")
    return network


def in_vpc(network: Network) -> dict[str, Any]:
    return {"Filters": [{"Name": "vpc-id", "Values": [network.vpc]}]}


def test_filters_have_200_values_at_most(many: Network, ec2: Any) -> None:
    values = [f"vpc-{number:017x}" for number in range(200)]
    assert not ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": values}])["Subnets"]
    refuses("FilterLimitExceeded", ec2.describe_subnets, Filters=[{"Name": "vpc-id", "Values": [*values, many.vpc]}])


def test_pages_are_as_long_as_asked_for(many: Network, ec2: Any) -> None:
    first = ec2.describe_subnets(**in_vpc(many), MaxResults=5)
    assert len(first["Subnets"]) == 5
    second = ec2.describe_subnets(**in_vpc(many), MaxResults=5, NextToken=first["NextToken"])
    assert len(second["Subnets"]) == 4
    assert "NextToken" not in second
    ids = {subnet["SubnetId"] for page in (first, second) for subnet in page["Subnets"]}
    assert len(ids) == 9
    refuses("InvalidNextToken", ec2.describe_subnets, NextToken="nonsense")
    refuses("InvalidNextToken", ec2.describe_vpcs, NextToken=first["NextToken"])


def test_a_deletion_between_pages_hides_nothing(many: Network, ec2: Any) -> None:
    first = ec2.describe_subnets(**in_vpc(many), MaxResults=5)
    for subnet in first["Subnets"]:
        ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    rest = ec2.describe_subnets(**in_vpc(many), NextToken=first["NextToken"])["Subnets"]
    assert len(rest) == 4


@pytest.mark.parametrize(("operation", "most"), [("describe_vpcs", 1000), ("describe_route_tables", 100)])
def test_page_lengths_have_limits(network: Network, operation: str, most: int) -> None:
    unchecked = Config(parameter_validation=False)
    describe = getattr(boto3.client("ec2", region_name="us-east-1", config=unchecked), operation)
    refuses("InvalidParameterValue: greater than 5", describe, MaxResults=4)
    refuses(f"InvalidParameterValue: less than {most}", describe, MaxResults=most + 1)
    describe(MaxResults=5)


def test_ids_and_page_lengths_exclude_each_other(network: Network, ec2: Any) -> None:
    refuses("InvalidParameterCombination", ec2.describe_instances, InstanceIds=[network.running()], MaxResults=5)


def test_pages_may_be_short_at_any_time(many: Network, aws: StrictAws, ec2: Any, elb: Any) -> None:
    aws.page_size = 2
    assert len(ec2.describe_subnets(**in_vpc(many))["Subnets"]) == 2
    pages = list(ec2.get_paginator("describe_subnets").paginate(**in_vpc(many)))
    assert [len(page["Subnets"]) for page in pages] == [2, 2, 2, 2, 1]
    groups = [many.target_group(f"tg{number}") for number in range(5)]
    assert len(elb.describe_target_groups(TargetGroupArns=groups)["TargetGroups"]) == 5
    found = elb.get_paginator("describe_target_groups").paginate().build_full_result()["TargetGroups"]
    assert len(found) == 5
    listener = many.listener(many.balancer(), groups[0])
    for priority in range(1, 6):
        many.rule(listener, priority)
    rules = elb.get_paginator("describe_rules").paginate(ListenerArn=listener).build_full_result()["Rules"]
    assert [rule["Priority"] for rule in rules] == ["1", "2", "3", "4", "5", "default"]
    refuses("ValidationError", elb.describe_rules, ListenerArn=listener, Marker="nonsense")


def test_balancer_pages(network: Network, elb: Any) -> None:
    for number in range(3):
        network.balancer(f"lb{number}")
    first = elb.describe_load_balancers(PageSize=2)
    assert [lb["LoadBalancerName"] for lb in first["LoadBalancers"]] == ["lb0", "lb1"]
    second = elb.describe_load_balancers(Marker=first["NextMarker"])
    assert [lb["LoadBalancerName"] for lb in second["LoadBalancers"]] == ["lb2"]


@pytest.mark.parametrize(
    "operation",
    [
        "describe_vpcs",
        "describe_subnets",
        "describe_route_tables",
        "describe_internet_gateways",
        "describe_security_groups",
        "describe_network_interfaces",
        "describe_instances",
        "describe_volumes",
        "describe_tags",
        "describe_iam_instance_profile_associations",
    ],
)
def test_unknown_filters_fail(network: Network, ec2: Any, operation: str) -> None:
    with refused("InvalidParameterValue", "The filter 'nonsense' is invalid"):
        getattr(ec2, operation)(Filters=[{"Name": "nonsense", "Values": ["x"]}])


def test_filters_that_the_emulator_lacks_fail_clearly(network: Network, ec2: Any) -> None:
    network.launch()
    with refused("InvalidParameterValue", "sandbox doesn't support"):
        ec2.describe_instances(Filters=[{"Name": "host-id", "Values": ["x"]}])
    with refused("InvalidParameterValue", "sandbox doesn't support"):
        ec2.describe_security_groups(Filters=[{"Name": "ip-permission.ipv6-cidr", "Values": ["::/0"]}])


def test_each_read_may_be_behind_by_another_time(
    lagging: Network, aws: StrictAws, ec2: Any, clock: VirtualClock
) -> None:
    """What is new comes and goes."""
    clock.advance(60.0)
    ec2.create_tags(Resources=[lagging.vpc], Tags=[{"Key": "owner", "Value": "me"}])
    clock.advance(10.0)
    behind = iter((20.0, 0.0, 15.0, 5.0))
    aws.lag_of_read = lambda: next(behind)
    assert [bool(tagged(ec2, "me")) for _ in range(4)] == [False, True, False, True]
