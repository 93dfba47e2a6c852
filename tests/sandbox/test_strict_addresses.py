"""Targets by address, and what AWS refuses of target groups by their type."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.sandbox.strict_world import Network, refused, refuses

if TYPE_CHECKING:
    from alb_reconcile.sandbox.strict import VirtualClock

CHECKS = {"HealthCheckIntervalSeconds": 10, "UnhealthyThresholdCount": 2}


def register(network: Network, group: str, address: str, **more: object) -> None:
    network.elb.register_targets(TargetGroupArn=group, Targets=[{"Id": address, "Port": 80, **more}])


@pytest.fixture
def group(network: Network) -> str:
    return network.target_group(TargetType="ip", **CHECKS)


def test_an_address_s_zone_is_found_inside_of_the_vpc_and_said_outside(network: Network, group: str) -> None:
    register(network, group, "10.0.0.9")
    register(network, group, "192.168.0.9", AvailabilityZone="all")
    found = network.elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
    zones = {item["Target"]["Id"]: item["Target"]["AvailabilityZone"] for item in found}
    assert zones == {"10.0.0.9": "us-east-1a", "192.168.0.9": "all"}
    with refused("ValidationError", "within the VPC, and cannot have its Availability Zone overridden"):
        register(network, group, "10.0.0.9", AvailabilityZone="all")
    refuses("ValidationError: You must specify a valid Availability Zone", register, network, group, "192.168.0.10")


def test_only_private_addresses_of_the_group_s_family_are_taken(network: Network, group: str) -> None:
    refuses("InvalidTarget: not within the private ranges", register, network, group, "8.8.8.8", AvailabilityZone="all")
    refuses("ValidationError: not of the type", register, network, group, "fd00::1")
    refuses("ValidationError: not a valid", register, network, group, "i-0a1b2c3d4e5f60718")


def test_an_address_is_healthy_while_an_instance_that_runs_has_it(
    network: Network, group: str, clock: VirtualClock
) -> None:
    network.listener(network.balancer(), group)
    instance = network.running()
    row = network.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    register(network, group, row["PrivateIpAddress"])
    register(network, group, "10.0.0.99")
    clock.advance(120)
    assert network.health_of(group, row["PrivateIpAddress"]) == ("healthy", "")
    assert network.health_of(group, "10.0.0.99") == ("unhealthy", "Target.Timeout")
    network.ec2.terminate_instances(InstanceIds=[instance])
    clock.advance(120)
    assert network.health_of(group, row["PrivateIpAddress"]) == ("unhealthy", "Target.Timeout")


def test_health_checks_are_switched_off_for_functions_only(network: Network, group: str) -> None:
    with refused("ValidationError", "Health check enabled must be true"):
        network.elb.modify_target_group(TargetGroupArn=group, HealthCheckEnabled=False)
    network.elb.create_target_group(Name="function", TargetType="lambda")
    for name, value in (("HealthCheckProtocol", "HTTP"), ("HealthCheckPort", "80"), ("TargetControlPort", 81)):
        with refused("ValidationError", "cannot be specified for target groups with target type 'lambda'"):
            network.elb.create_target_group(Name="other", TargetType="lambda", **{name: value})
