"""Targets by address and functions as targets: what AWS refuses, and how their health is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.kinds.test_targets_by_function import ARN, make_function, permit
from tests.sandbox.strict_world import Network, refused, refuses

if TYPE_CHECKING:
    from alb_reconcile.sandbox.strict import VirtualClock

CHECKS = {"HealthCheckIntervalSeconds": 10, "UnhealthyThresholdCount": 2}


def register(network: Network, group: str, target: str, **more: object) -> None:
    network.elb.register_targets(TargetGroupArn=group, Targets=[{"Id": target, **more}])


@pytest.fixture
def group(network: Network) -> str:
    return network.target_group(TargetType="ip", **CHECKS)


@pytest.fixture
def function(network: Network) -> str:
    """A group for functions."""
    made = network.elb.create_target_group(Name="function", TargetType="lambda")
    make_function("orders")
    return str(made["TargetGroups"][0]["TargetGroupArn"])


def test_an_address_s_zone_is_found_inside_of_the_vpc_and_said_outside(network: Network, group: str) -> None:
    register(network, group, "10.0.0.9", Port=80)
    register(network, group, "192.168.0.9", Port=80, AvailabilityZone="all")
    found = network.elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
    zones = {item["Target"]["Id"]: item["Target"]["AvailabilityZone"] for item in found}
    assert zones == {"10.0.0.9": "us-east-1a", "192.168.0.9": "all"}
    with refused("ValidationError", "within the VPC, and cannot have its Availability Zone overridden"):
        register(network, group, "10.0.0.9", Port=80, AvailabilityZone="all")
    refuses(
        "ValidationError: You must specify a valid Availability Zone", register, network, group, "192.168.0.10", Port=80
    )


def test_an_address_is_healthy_while_an_instance_that_runs_has_it(
    network: Network, group: str, clock: VirtualClock
) -> None:
    network.listener(network.balancer(), group)
    instance = network.running()
    row = network.show(instance)
    register(network, group, row["PrivateIpAddress"], Port=80)
    register(network, group, "10.0.0.99", Port=80)
    clock.advance(120)
    assert network.health_of(group, row["PrivateIpAddress"]) == ("healthy", "")
    assert network.health_of(group, "10.0.0.99") == ("unhealthy", "Target.Timeout")
    network.ec2.terminate_instances(InstanceIds=[instance])
    clock.advance(120)
    assert network.health_of(group, row["PrivateIpAddress"]) == ("unhealthy", "Target.Timeout")


def test_a_function_without_permission_is_refused(network: Network, function: str) -> None:
    for source in (None, "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/other/*"):
        if source:
            permit("orders", source)
        with refused("AccessDenied", "does not have permission to invoke", status=403):
            register(network, function, f"{ARN}orders")
    permit("orders", function, "ours")
    with refused("ResourceConflictException", "already exists", status=409):
        permit("orders", function, "ours")
    register(network, function, f"{ARN}orders")


def test_a_group_has_one_function(network: Network, function: str) -> None:
    make_function("better")
    for name in ("orders", "better"):
        permit(name, function)
    register(network, function, f"{ARN}orders")
    refuses("TooManyTargets: only one Lambda function", register, network, function, f"{ARN}better")
    network.elb.deregister_targets(TargetGroupArn=function, Targets=[{"Id": f"{ARN}orders"}])
    register(network, function, f"{ARN}better")


def test_a_function_is_checked_only_where_that_is_enabled(network: Network, function: str, clock: VirtualClock) -> None:
    permit("orders", function)
    register(network, function, f"{ARN}orders")

    def health() -> tuple[str, str]:
        (found,) = network.elb.describe_target_health(TargetGroupArn=function)["TargetHealthDescriptions"]
        assert "Port" not in found["Target"]
        return found["TargetHealth"]["State"], found["TargetHealth"].get("Reason", "")

    assert health() == ("unused", "Target.NotInUse")
    network.listener(network.balancer(), function)
    clock.advance(120)
    assert health() == ("unavailable", "Target.HealthCheckDisabled")
    network.elb.modify_target_group(TargetGroupArn=function, HealthCheckEnabled=True)
    assert health()[0] == "initial"
    clock.advance(60)
    assert health() == ("healthy", "")
