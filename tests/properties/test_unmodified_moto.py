"""Two stacks on moto as it is, without the strict rules, beside what others have: whole lives, and destroys that were cut short."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from moto import mock_aws

from alb_reconcile.sandbox.strict import StrictAws, VirtualClock
from tests.harness import FAKE_ENVIRONMENT, READS, World, demo
from tests.properties.faults import error_of, spoilt
from tests.properties.scenarios import crowded, in_place, rolled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.harness import Spec

SOAK = bool(os.environ.get("SOAK"))


@pytest.fixture
def world() -> Iterator[World]:
    os.environ.update(FAKE_ENVIRONMENT)
    clock = VirtualClock()
    with mock_aws():
        made = World(StrictAws(clock=clock.now, mock=False), clock)  # whose rules aren't installed
        made.endpoint = "http://localhost:5000"
        yield made


@pytest.fixture
def others(world: World) -> Any:
    """What somebody else has there, of each sort."""
    ec2, elb = world.client("ec2"), world.client("elbv2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{number}.0/24", AvailabilityZone=zone)["Subnet"]["SubnetId"]
        for number, zone in enumerate(("us-east-1a", "us-east-1b"))
    ]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(VpcId=vpc, InternetGatewayId=gateway)
    image = ec2.describe_images()["Images"][0]["ImageId"]
    for state in ("running", "terminated"):
        made = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, SubnetId=subnets[0])
        if state == "terminated":
            ec2.terminate_instances(InstanceIds=[made["Instances"][0]["InstanceId"]])
    balancer = elb.create_load_balancer(Name="theirs", Subnets=subnets)["LoadBalancers"][0]["LoadBalancerArn"]
    group = elb.create_target_group(Name="theirs", Protocol="HTTP", Port=80, VpcId=vpc)["TargetGroups"][0][
        "TargetGroupArn"
    ]
    forward = [{"Type": "forward", "TargetGroupArn": group}]
    elb.create_listener(LoadBalancerArn=balancer, Protocol="HTTP", Port=80, DefaultActions=forward)
    return seen(world)


def seen(world: World) -> dict[str, Any]:
    """Everything but the dead, by its id, as AWS describes it."""
    ec2, elb = world.client("ec2"), world.client("elbv2")
    found = {
        item[key]: item
        for items, key in (
            (ec2.describe_vpcs()["Vpcs"], "VpcId"),
            (ec2.describe_subnets()["Subnets"], "SubnetId"),
            (ec2.describe_internet_gateways()["InternetGateways"], "InternetGatewayId"),
            (ec2.describe_route_tables()["RouteTables"], "RouteTableId"),
            (ec2.describe_security_groups()["SecurityGroups"], "GroupId"),
            (elb.describe_load_balancers()["LoadBalancers"], "LoadBalancerArn"),
            (elb.describe_target_groups()["TargetGroups"], "TargetGroupArn"),
        )
        for item in items
    }
    for each in ec2.describe_instances()["Reservations"]:
        found |= {item["InstanceId"]: item for item in each["Instances"] if item["State"]["Name"] != "terminated"}
    for item in elb.describe_load_balancers()["LoadBalancers"]:
        listeners = elb.describe_listeners(LoadBalancerArn=item["LoadBalancerArn"])["Listeners"]
        found |= {listener["ListenerArn"]: listener for listener in listeners}
    return found


def named(stack: str, spec: Spec) -> Spec:
    return {**spec, "stack": stack}


def changed() -> Spec:
    """Other settings nearly everywhere; rules keep their places, since moto can't let two change theirs."""
    spec = in_place()
    rules = spec["load_balancers"]["public"]["listeners"]["http"]["rules"]
    for name, before in crowded()["load_balancers"]["public"]["listeners"]["http"]["rules"].items():
        rules[name]["priority"] = before["priority"]
    return spec


def test_two_stacks_live_beside_others(world: World, others: Any) -> None:
    """Created, changed in place, rolled and destroyed, each without a trace in the other or in what is somebody else's."""
    world.converge(named("one", crowded()))
    one = seen(world)
    world.converge(named("two", demo()))
    assert one.items() <= seen(world).items()
    world.converge(named("one", changed()))
    world.converge(named("two", rolled()))
    assert world.plan(named("one", changed())).is_empty
    world.destroy(named("one", changed()))
    assert world.plan(named("two", rolled())).is_empty
    world.destroy(named("two", rolled()))
    assert seen(world) == others


class CutShort:
    """Nothing is changed any more after so many calls."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, service: str, operation: str, call: Callable[[], Any]) -> Any:
        if not operation.startswith(READS):
            self.left -= 1
            if self.left < 0:
                raise error_of(service, operation, "InternalFailure")
        return call()


def test_a_destroy_that_was_cut_short_goes_on(world: World, others: Any) -> None:
    """moto keeps the interfaces of dead instances, also of those that a roll replaced. At length after each of its calls."""
    world.converge(demo())
    world.converge(rolled())
    for calls in range(1, 20) if SOAK else (9, 14):
        with spoilt(world, CutShort(calls)):
            world.apply(rolled(), destroy=True)
        world.destroy(rolled())
        assert seen(world) == others, calls
        world.converge(rolled())
