"""Eventual consistency, paging and filters: how describes may disappoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.sandbox.strict_world import Network, client, refuses

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


def owned(value: str) -> list[dict[str, str]]:
    return [{"Key": "owner", "Value": value}]


def tagged(ec2: Any, value: str) -> list[str]:
    found = ec2.describe_vpcs(Filters=[{"Name": "tag:owner", "Values": [value]}])["Vpcs"]
    return [vpc["VpcId"] for vpc in found]


def test_what_is_new_is_not_seen_yet(lagging: Network, aws: StrictAws, ec2: Any, clock: VirtualClock) -> None:
    tags = [{"ResourceType": "vpc", "Tags": owned("me")}]
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16", TagSpecifications=tags)["Vpc"]["VpcId"]
    refuses("InvalidVpcID.NotFound", ec2.describe_vpcs, VpcIds=[vpc])
    assert vpc in aws.inventory()
    ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.0.0/24")
    clock.advance(29.9)
    assert tagged(ec2, "me") == []
    clock.advance(0.1)
    assert tagged(ec2, "me") == [vpc]
    later = ec2.create_vpc(CidrBlock="10.8.0.0/16")["Vpc"]["VpcId"]
    aws.lag = 0.0
    assert ec2.describe_vpcs(VpcIds=[later])["Vpcs"]


def test_what_is_deleted_is_still_seen(lagging: Network, ec2: Any, clock: VirtualClock) -> None:
    ec2.delete_security_group(GroupId=lagging.group)
    assert ec2.describe_security_groups(GroupIds=[lagging.group])["SecurityGroups"]
    refuses("InvalidGroup.NotFound", ec2.delete_security_group, GroupId=lagging.group)
    clock.advance(30)
    refuses("InvalidGroup.NotFound", ec2.describe_security_groups, GroupIds=[lagging.group])


def test_states_are_seen_late(lagging: Network, ec2: Any, clock: VirtualClock) -> None:
    instance = lagging.launch()
    for seconds, state in ((30, "pending"), (9, "pending"), (1, "running")):
        clock.advance(seconds)
        assert lagging.state(instance) == state
    ec2.terminate_instances(InstanceIds=[instance])
    for seconds, state, left in ((15, "running", 1), (29, "shutting-down", 1), (1, "terminated", 0)):
        clock.advance(seconds)
        assert (lagging.state(instance), len(lagging.interfaces())) == (state, left)


def test_balancers_lag_too(lagging: Network, elb: Any, clock: VirtualClock) -> None:
    arn = lagging.balancer(Tags=owned("me"))
    refuses("LoadBalancerNotFound", elb.describe_load_balancers, Names=["lb"])
    refuses("LoadBalancerNotFound", elb.describe_tags, ResourceArns=[arn])
    listener = lagging.listener(arn, lagging.target_group())

    def shown() -> tuple[str, int, str]:
        (found,) = elb.describe_listeners(LoadBalancerArn=arn)["Listeners"]
        attributes = elb.describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"]
        values = {item["Key"]: item["Value"] for item in attributes}
        return found["ListenerArn"], found["Port"], values["idle_timeout.timeout_seconds"]

    clock.advance(30)
    assert elb.describe_load_balancers(Names=["lb"])["LoadBalancers"][0]["State"]["Code"] == "provisioning"
    elb.modify_listener(ListenerArn=listener, Port=81)
    pair = {"Key": "idle_timeout.timeout_seconds", "Value": "9"}
    elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=[pair])
    assert shown() == (listener, 80, "60")
    clock.advance(30)
    assert shown() == (listener, 81, "9")


def test_each_read_may_be_behind_by_another_time(
    lagging: Network, aws: StrictAws, ec2: Any, clock: VirtualClock
) -> None:
    """What is new comes and goes."""
    clock.advance(60.0)
    ec2.create_tags(Resources=[lagging.vpc], Tags=owned("me"))
    clock.advance(10.0)
    behind = iter((20.0, 0.0, 15.0, 5.0))
    aws.lag_of_read = lambda: next(behind)
    assert [bool(tagged(ec2, "me")) for _ in range(4)] == [False, True, False, True]


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
    refuses("InvalidSubnetID.NotFound", ec2.create_tags, Resources=[subnet], Tags=owned("me"))
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
    refuses("InvalidKeyPair.NotFound", ec2.create_tags, Resources=[key], Tags=owned("me"))
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
    where = {"Name": "vpc-id", "Values": [f"vpc-{number:017x}" for number in range(200)]}
    assert not ec2.describe_subnets(Filters=[where])["Subnets"]
    where["Values"] = [*where["Values"], many.vpc]
    refuses("FilterLimitExceeded", ec2.describe_subnets, Filters=[where])


def test_pages_are_as_long_as_asked_for_and_a_deletion_between_hides_nothing(many: Network, ec2: Any) -> None:
    first = ec2.describe_subnets(**in_vpc(many), MaxResults=5)
    second = ec2.describe_subnets(**in_vpc(many), MaxResults=5, NextToken=first["NextToken"])
    assert [len(page["Subnets"]) for page in (first, second)] == [5, 4]
    assert "NextToken" not in second
    ids = {subnet["SubnetId"] for page in (first, second) for subnet in page["Subnets"]}
    assert len(ids) == 9
    refuses("InvalidNextToken", ec2.describe_subnets, NextToken="nonsense")
    refuses("InvalidNextToken", ec2.describe_vpcs, NextToken=first["NextToken"])
    for subnet in first["Subnets"]:
        ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    assert ec2.describe_subnets(**in_vpc(many), NextToken=first["NextToken"])["Subnets"] == second["Subnets"]


def test_pages_may_be_short_at_any_time(many: Network, aws: StrictAws, ec2: Any, elb: Any) -> None:
    aws.page_size = 2
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


def test_unknown_filters_fail_and_those_that_the_emulator_lacks(network: Network, ec2: Any) -> None:
    for kind in (
        "vpcs", "subnets", "route_tables", "internet_gateways", "security_groups", "network_interfaces", "instances",
        "volumes", "tags", "iam_instance_profile_associations",
    ):  # fmt: skip
        nonsense = {"Filters": [{"Name": "nonsense", "Values": ["x"]}]}
        told = "InvalidParameterValue: The filter 'nonsense' is invalid"
        refuses(told, getattr(ec2, f"describe_{kind}"), **nonsense)
    network.launch()
    for kind, name in (("instances", "host-id"), ("security_groups", "ip-permission.ipv6-cidr")):
        lacking = {"Filters": [{"Name": name, "Values": ["x"]}]}
        refuses("InvalidParameterValue: sandbox doesn't support", getattr(ec2, f"describe_{kind}"), **lacking)
