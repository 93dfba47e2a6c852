"""Throttling as AWS documents it: token buckets by action and category, per account and region; off unless asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from alb_reconcile.sandbox.strict import StrictAws, VirtualClock
from tests.sandbox.strict_world import Network, client, refused, refuses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.slow

EC2 = "RequestLimitExceeded"
ELB = "Throttling"
FILTER = {"Filters": [{"Name": "tag-key", "Values": ["a"]}]}
GROUP = {"TargetGroupArn": "arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/a/b"}


@pytest.fixture
def aws(clock: VirtualClock) -> Iterator[StrictAws]:
    with StrictAws(clock=clock.now, throttling=True) as strict:
        yield strict


def granted(call: Callable[..., Any], **params: Any) -> int:
    """How many calls at once are answered before one is throttled."""
    for number in range(1_100):
        try:
            call(**params)
        except ClientError as error:
            if error.response["Error"]["Code"] in (EC2, ELB):
                return number
    raise AssertionError("none was throttled")


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize(
    ("service", "operation", "params", "burst", "seconds", "refill"),
    [
        ("ec2", "describe_vpcs", {}, 100, 1, 20),
        ("ec2", "describe_instances", {"InstanceIds": ["i-1"]}, 50, 1, 10),
        ("ec2", "describe_instances", FILTER, 100, 1, 20),
        ("ec2", "revoke_security_group_ingress", {"GroupId": "sg-1"}, 50, 1, 5),
        ("ec2", "terminate_instances", {"InstanceIds": ["i-1"]}, 100, 1, 5),
        ("elbv2", "delete_target_group", GROUP, 20, 1, 3),
        ("elbv2", "create_load_balancer", {"Name": "a", "Subnets": ["subnet-1"]}, 10, 10, 2),
    ],
)
def test_requests(
    clock: VirtualClock, service: str, operation: str, params: dict[str, Any], burst: int, seconds: int, refill: int
) -> None:
    """Refused ones count as well; what is left grows by the second."""
    call = getattr(client(service), operation)
    assert granted(call, **params) == burst
    clock.advance(seconds)
    assert granted(call, **params) == refill
    clock.advance(1_000)
    assert granted(call, **params) == burst


def test_actions_of_elb_share_those_of_their_category_and_the_accounts(elb: Any) -> None:
    assert granted(elb.delete_target_group, **GROUP) == 20
    arn = "arn:aws:elasticloadbalancing:us-east-1:1:loadbalancer/app/a/b"
    refuses(f"{ELB}: Rate exceeded", elb.delete_load_balancer, LoadBalancerArn=arn)
    assert granted(elb.describe_load_balancers) == 20


def test_actions_of_ec2_accounts_regions_and_services_are_apart(ec2: Any, elb: Any) -> None:
    assert granted(ec2.describe_vpcs) == 100
    with refused(EC2, r"Request limit exceeded\.", status=503):
        ec2.describe_vpcs()
    assert granted(ec2.describe_subnets) == 100
    client("ec2", "eu-west-1").describe_vpcs()
    elb.describe_load_balancers()


def test_instances_count(ec2: Any, elb: Any, clock: VirtualClock) -> None:
    """Of tokens for a thousand, in however many requests."""
    network = Network.make(ec2, elb, clock, "10.0.0.0/16")
    subnet: dict[str, Any] = {"SubnetId": network.subnets[0]}
    ids = [*network.launch_several(60, **subnet), *network.launch_several(10, **subnet)]
    left = 1_000 - len(ids)
    with refused(EC2, status=503):
        network.launch_several(left + 1, **subnet)
    clock.advance(1)
    refuses("InsufficientFreeAddressesInSubnet", network.launch_several, left + 1, **subnet)
    with refused(EC2, status=503):
        network.launch_several(2, **subnet)
    ec2.terminate_instances(InstanceIds=ids)
    with refused(EC2, status=503):
        ec2.terminate_instances(InstanceIds=ids * 14)


def test_it_is_off_unless_asked_for(clock: VirtualClock) -> None:
    with StrictAws(clock=clock.now):
        for _ in range(150):
            client("ec2").describe_vpcs()
