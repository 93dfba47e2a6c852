"""Throttling as AWS documents it: token buckets by action and category, per account and region; off unless asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from alb_reconcile.sandbox.strict import StrictAws, VirtualClock
from tests.at_length import SOAK
from tests.sandbox.strict_world import IMAGE, Network, client, refused, refuses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EC2 = "RequestLimitExceeded"
ELB = "Throttling"
FILTER = {"Filters": [{"Name": "tag-key", "Values": ["a"]}]}


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def aws(clock: VirtualClock) -> Iterator[StrictAws]:
    with StrictAws(clock=clock.now, throttling=True) as strict:
        yield strict


def granted(call: Callable[[], Any]) -> int:
    """How many calls at once are answered before one is throttled."""
    for number in range(1_100):
        try:
            call()
        except ClientError as error:
            if error.response["Error"]["Code"] in (EC2, ELB):
                return number
    raise AssertionError("none was throttled")


EC2_REQUESTS: list[tuple[str, dict[str, Any], int, int]] = [
    ("describe_vpcs", {}, 100, 20),
    ("describe_instances", {}, 50, 10),
    ("describe_instances", {"InstanceIds": ["i-1"]}, 50, 10),
    ("describe_instances", FILTER, 100, 20),
    ("describe_network_interfaces", {"MaxResults": 5}, 100, 20),
    ("create_tags", {"Resources": ["vpc-1"], "Tags": [{"Key": "a", "Value": "b"}]}, 100, 10),
    ("delete_vpc", {"VpcId": "vpc-1"}, 50, 5),
    ("revoke_security_group_ingress", {"GroupId": "sg-1"}, 50, 5),
    ("start_instances", {"InstanceIds": ["i-1"]}, 5, 2),
    ("terminate_instances", {"InstanceIds": ["i-1"]}, 100, 5),
]


@pytest.mark.parametrize(("operation", "params", "burst", "refill"), EC2_REQUESTS if SOAK else EC2_REQUESTS[::3])
def test_requests_of_ec2(
    ec2: Any, clock: VirtualClock, operation: str, params: dict[str, Any], burst: int, refill: int
) -> None:
    """Refused ones count as well; what is left grows by the second."""
    call = getattr(ec2, operation)
    assert granted(lambda: call(**params)) == burst
    clock.advance(1)
    assert granted(lambda: call(**params)) == refill
    clock.advance(1_000)
    assert granted(lambda: call(**params)) == burst


@pytest.mark.parametrize(
    ("operation", "params", "burst", "seconds", "refill"),
    [
        ("describe_load_balancers", {}, 40, 1, 10),
        (
            "delete_target_group",
            {"TargetGroupArn": "arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/a/b"},
            20,
            1,
            3,
        ),
        ("create_load_balancer", {"Name": "a", "Subnets": ["subnet-1"]}, 10, 10, 2),
    ],
)
def test_requests_of_elb(
    elb: Any, clock: VirtualClock, operation: str, params: dict[str, Any], burst: int, seconds: float, refill: int
) -> None:
    call = getattr(elb, operation)
    assert granted(lambda: call(**params)) == burst
    clock.advance(seconds)
    assert granted(lambda: call(**params)) == refill


def test_each_action_of_ec2_has_its_own(ec2: Any) -> None:
    assert granted(ec2.describe_vpcs) == 100
    assert granted(ec2.describe_subnets) == 100


def test_actions_of_elb_share_those_of_their_category_and_the_accounts(elb: Any) -> None:
    group = "arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/a/b"
    assert granted(lambda: elb.delete_target_group(TargetGroupArn=group)) == 20
    with refused(ELB, "Rate exceeded"):
        elb.delete_load_balancer(LoadBalancerArn="arn:aws:elasticloadbalancing:us-east-1:1:loadbalancer/app/a/b")
    assert granted(elb.describe_load_balancers) == 20


def test_instances_count(ec2: Any, elb: Any, clock: VirtualClock) -> None:
    """A launch of 600 leaves tokens for 400 more, in however many requests."""
    network = Network.make(ec2, elb, clock, "10.0.0.0/16")

    def launch(count: int) -> list[str]:
        answer = ec2.run_instances(
            ImageId=IMAGE, InstanceType="t3.micro", MinCount=count, MaxCount=count, SubnetId=network.subnets[0]
        )
        return [item["InstanceId"] for item in answer["Instances"]]

    ids = [*launch(200), *launch(10)]
    strict_left = 1_000 - 210
    with refused(EC2, status=503):
        launch(strict_left + 1)
    clock.advance(1)
    refuses("InsufficientFreeAddressesInSubnet", launch, strict_left + 1)
    with refused(EC2, status=503):
        launch(2)
    ec2.terminate_instances(InstanceIds=ids)
    with refused(EC2, status=503):
        ec2.terminate_instances(InstanceIds=ids * 4)


def test_accounts_regions_and_services_are_apart(ec2: Any, elb: Any) -> None:
    assert granted(ec2.describe_vpcs) == 100
    client("ec2", "eu-west-1").describe_vpcs()
    elb.describe_load_balancers()


def test_how_it_is_said(ec2: Any, elb: Any) -> None:
    granted(ec2.describe_instances)
    with refused(EC2, r"Request limit exceeded\.", status=503):
        ec2.describe_instances()
    granted(elb.describe_load_balancers)
    with refused(ELB, "Rate exceeded", status=400):
        elb.describe_load_balancers()


def test_it_is_off_unless_asked_for(clock: VirtualClock) -> None:
    with StrictAws(clock=clock.now):
        for _ in range(150):
            client("ec2").describe_vpcs()
