"""Target groups, registrations and their health."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from alb_reconcile.sandbox.strict import StrictAws, VirtualClock
from tests.sandbox.strict_world import Network, refuses

CHECKS = {"HealthCheckIntervalSeconds": 10, "HealthyThresholdCount": 3, "UnhealthyThresholdCount": 2}
NOT_IN_USE = ("unused", "Target.NotInUse")
INVALID_STATE = ("unused", "Target.InvalidState")
STARTING = ("initial", "Elb.RegistrationInProgress")
CHECKING = ("initial", "Elb.InitialHealthChecking")
HEALTHY = ("healthy", "")
MISMATCH = ("unhealthy", "Target.ResponseCodeMismatch")
DRAINING = ("draining", "Target.DeregistrationInProgress")


@dataclass
class Service:
    """A load balancer that is active, with a listener, a group and a running instance."""

    network: Network
    balancer: str
    group: str
    listener: str
    instance: str

    def register(self, *ports: int) -> None:
        targets = [{"Id": self.instance, "Port": port} for port in ports] or [{"Id": self.instance}]
        self.network.elb.register_targets(TargetGroupArn=self.group, Targets=targets)

    def deregister(self) -> None:
        self.network.elb.deregister_targets(TargetGroupArn=self.group, Targets=[{"Id": self.instance}])

    def health(self) -> tuple[str, str] | None:
        return self.network.health_of(self.group, self.instance)

    def healthy(self) -> None:
        self.register()
        self.network.clock.advance(10)
        assert self.health() == HEALTHY


def serve(network: Network) -> Service:
    balancer, group = network.balancer(), network.target_group(**CHECKS)
    listener = network.listener(balancer, group)
    network.clock.advance(60)
    return Service(network, balancer, group, listener, network.running())


@pytest.fixture
def service(network: Network) -> Service:
    return serve(network)


def test_checks_begin_when_the_balancer_is_active_and_one_passed_is_enough(
    network: Network, clock: VirtualClock
) -> None:
    instance = network.running()
    balancer, group = network.balancer(), network.target_group(**CHECKS)
    network.listener(balancer, group)
    network.elb.register_targets(TargetGroupArn=group, Targets=[{"Id": instance}])
    for seconds, health in ((0, STARTING), (60, CHECKING), (9, CHECKING), (1, HEALTHY)):
        clock.advance(seconds)
        assert network.health_of(group, instance) == health


def test_a_target_is_unused_until_something_forwards_to_its_group(network: Network, clock: VirtualClock) -> None:
    instance, group, other = network.running(), network.target_group(**CHECKS), network.target_group("other")
    network.elb.register_targets(TargetGroupArn=group, Targets=[{"Id": instance}])
    clock.advance(1000)
    assert network.health_of(group, instance) == NOT_IN_USE
    balancer = network.balancer()
    clock.advance(60)
    weights = [{"TargetGroupArn": other, "Weight": 1}, {"TargetGroupArn": group, "Weight": 0}]
    forward = {"Type": "forward", "ForwardConfig": {"TargetGroups": weights}}
    listener = network.listener(balancer, group, DefaultActions=[forward])
    assert network.health_of(group, instance) == CHECKING
    clock.advance(10)
    assert network.health_of(group, instance) == HEALTHY
    network.elb.modify_listener(ListenerArn=listener, DefaultActions=[{"Type": "forward", "TargetGroupArn": other}])
    assert network.health_of(group, instance) == NOT_IN_USE
    network.rule(listener, 1, group)
    assert network.health_of(group, instance) == CHECKING


@pytest.mark.parametrize("looks", [True, False])
def test_a_stopped_instance_is_no_target_until_it_runs_again(
    service: Service, clock: VirtualClock, *, looks: bool
) -> None:
    service.healthy()
    service.network.ec2.stop_instances(InstanceIds=[service.instance])
    assert service.health() == INVALID_STATE
    clock.advance(15)
    service.network.ec2.start_instances(InstanceIds=[service.instance])
    clock.advance(10)
    assert not looks or service.health() == CHECKING
    clock.advance(10)
    assert service.health() == HEALTHY


def test_a_zone_that_is_not_enabled(service: Service, network: Network) -> None:
    third = network.subnet("10.0.3.0/24", "us-east-1c")
    instance = network.running(SubnetId=third)
    network.elb.register_targets(TargetGroupArn=service.group, Targets=[{"Id": instance}])
    assert network.health_of(service.group, instance) == NOT_IN_USE
    network.elb.set_subnets(LoadBalancerArn=service.balancer, Subnets=[*network.subnets, third])
    assert network.health_of(service.group, instance) == CHECKING


def test_thresholds(service: Service, aws: StrictAws, clock: VirtualClock) -> None:
    aws.set_target_unhealthy(service.group, service.instance)
    service.register()
    for seconds, health in ((19, CHECKING), (1, MISMATCH)):
        clock.advance(seconds)
        assert service.health() == health
    aws.set_target_healthy(service.group, service.instance)
    for seconds, health in ((29, MISMATCH), (1, HEALTHY)):
        clock.advance(seconds)
        assert service.health() == health
    aws.set_target_unhealthy(service.group, service.instance, "Target.Timeout")
    for seconds, health in ((19, HEALTHY), (1, ("unhealthy", "Target.Timeout"))):
        clock.advance(seconds)
        assert service.health() == health


@pytest.mark.parametrize("delay", [300, 20])
def test_a_deregistered_target_drains_for_its_groups_delay(service: Service, clock: VirtualClock, delay: int) -> None:
    if delay != 300:  # the default
        pair = {"Key": "deregistration_delay.timeout_seconds", "Value": str(delay)}
        service.network.elb.modify_target_group_attributes(TargetGroupArn=service.group, Attributes=[pair])
    service.healthy()
    service.deregister()
    assert service.health() == DRAINING
    clock.advance(delay - 1)
    assert service.health() == DRAINING
    service.deregister()
    clock.advance(1)
    assert service.network.health(service.group) == {}
    service.deregister()


def test_registering_again_cancels_draining(service: Service, clock: VirtualClock) -> None:
    service.healthy()
    service.deregister()
    clock.advance(100)
    service.register()
    assert service.health() == CHECKING
    clock.advance(250)
    assert service.health() == HEALTHY


@pytest.mark.parametrize("how", ["unused", "stopped"])
def test_what_gets_no_traffic_goes_at_once(service: Service, how: str) -> None:
    service.healthy()
    if how == "unused":
        service.network.elb.delete_load_balancer(LoadBalancerArn=service.balancer)
        assert service.health() == NOT_IN_USE
    else:
        service.network.ec2.stop_instances(InstanceIds=[service.instance])
    service.deregister()
    assert service.network.health(service.group) == {}


def test_a_terminated_instance_leaves_its_groups(service: Service, clock: VirtualClock) -> None:
    service.healthy()
    service.network.ec2.terminate_instances(InstanceIds=[service.instance])
    assert service.health() == INVALID_STATE
    clock.advance(15)
    assert service.network.health(service.group) == {}
    asked = {"TargetGroupArn": service.group, "Targets": [{"Id": service.instance}]}
    (told,) = service.network.elb.describe_target_health(**asked)["TargetHealthDescriptions"]
    assert told["TargetHealth"]["Reason"] == "Target.NotRegistered"


def test_only_running_instances_of_the_vpc_are_registered(
    service: Service, ec2: Any, elb: Any, clock: VirtualClock
) -> None:
    other = Network.make(ec2, elb, clock, "10.1.0.0/16")
    for instance in (other.running(), service.network.launch(), "i-00000000000000000"):
        wanted = {"TargetGroupArn": service.group, "Targets": [{"Id": instance}]}
        refuses("InvalidTarget", elb.register_targets, **wanted)
    assert service.network.health(service.group) == {}
    foreign = other.target_group("other")
    refuses("InvalidConfigurationRequest", service.network.listener, service.balancer, foreign, 81)


def test_a_group_serves_one_balancer(service: Service, network: Network, elb: Any) -> None:
    second, code = network.balancer("second"), "TargetGroupAssociationLimit"
    refuses(code, network.listener, second, service.group)
    listener = network.listener(second, network.target_group("other"))
    refuses(code, network.rule, listener, 1, service.group)
    action = {"Type": "forward", "TargetGroupArn": service.group}
    refuses(code, elb.modify_listener, ListenerArn=listener, DefaultActions=[action])
    elb.delete_listener(ListenerArn=service.listener)
    network.rule(listener, 1, service.group)
    (shown,) = elb.describe_target_groups(TargetGroupArns=[service.group])["TargetGroups"]
    assert shown["LoadBalancerArns"] == [second]
    names = [g["TargetGroupName"] for g in elb.describe_target_groups(LoadBalancerArn=second)["TargetGroups"]]
    assert names == ["other", "tg"]
    assert elb.describe_target_groups(LoadBalancerArn=service.balancer)["TargetGroups"] == []


def test_the_same_group_again_is_the_same(network: Network, elb: Any) -> None:
    arn = network.target_group(**CHECKS)
    assert network.target_group(**CHECKS, HealthCheckPath="/", HealthCheckTimeoutSeconds=5) == arn
    for name, value in (
        ("Port", 81), ("Protocol", "HTTPS"), ("HealthCheckPath", "/up"), ("HealthyThresholdCount", 4),
        ("Matcher", {"HttpCode": "204"}), ("ProtocolVersion", "HTTP2"),
    ):  # fmt: skip
        refuses("DuplicateTargetGroupName", network.target_group, **CHECKS | {name: value})
    for bad in ("x" * 33, "-x", "x-", "x_y"):
        refuses("ValidationError", network.target_group, bad)
    refuses("ValidationError", elb.describe_target_groups, TargetGroupArns=[arn] * 21)
