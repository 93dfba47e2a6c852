"""Processes, health checks and the front in step with the local AWS: what follows what, and what is never seen."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_api._internal.models import moto_api_backend

from alb_reconcile.model.errors import ReconcileError
from alb_reconcile.sandbox.client import Door
from alb_reconcile.sandbox.strict.health import Check
from alb_reconcile.sandbox.strict.world import World
from alb_reconcile.sandbox.traffic.driver import Driver
from alb_reconcile.sandbox.traffic.moto_snapshot import take_snapshot
from alb_reconcile.sandbox.traffic.prober import Prober
from alb_reconcile.sandbox.traffic.processes import Processes, Program
from alb_reconcile.sandbox.traffic.reach import find_ingress, find_mute, find_shut_out
from tests.processes import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from alb_reconcile.sandbox.strict import StrictAws, VirtualClock
    from alb_reconcile.sandbox.traffic.snapshot import Addresses, Snapshot
    from tests.sandbox.strict_world import Network

WORLD = World(DEFAULT_ACCOUNT_ID, "us-east-1")
CHECKS = {
    "HealthCheckIntervalSeconds": 10,
    "HealthCheckPath": "/health",
    "HealthyThresholdCount": 3,
    "UnhealthyThresholdCount": 2,
}
HEALTHY = ("healthy", "")
MISMATCH = "Target.ResponseCodeMismatch|Health checks failed with these codes: [500]"
TIMEOUT = "Target.Timeout|Request timed out"


class Service:
    """An instance that is registered behind a load balancer, and real checks of it where a test says what they found."""

    def __init__(self, network: Network, aws: StrictAws) -> None:
        self.network, self.aws = network, aws
        aws._health.is_real = True
        network.ec2.authorize_security_group_ingress(
            GroupId=network.group, IpProtocol="tcp", FromPort=80, ToPort=80, CidrIp="0.0.0.0/0"
        )
        self.balancer, self.group = network.balancer(), network.target_group(**CHECKS)
        network.listener(self.balancer, self.group)
        network.clock.advance(60)
        self.instance = network.running()
        network.elb.register_targets(TargetGroupArn=self.group, Targets=[{"Id": self.instance}])

    def check(self, *reasons: str, began: float | None = None) -> None:
        now = self.aws.clock()
        for reason in reasons:
            found = Check(self.group, self.instance, 80, now if began is None else began, reason)
            self.aws._health.record(WORLD, found, now)

    def health(self) -> tuple[str, str] | None:
        return self.network.health_of(self.group, self.instance)


@pytest.fixture
def service(network: Network, aws: StrictAws) -> Service:
    return Service(network, aws)


class TestRealChecks:
    """What real checks make of a target's health, by how many agree in a row."""

    def test_time_alone_makes_no_target_healthy(self, service: Service, clock: VirtualClock) -> None:
        clock.advance(1000)
        assert service.health() == ("initial", "Elb.InitialHealthChecking")
        service.check("")
        assert service.health() == HEALTHY

    def test_thresholds_count_checks_in_a_row(self, service: Service) -> None:
        service.check("", MISMATCH, "", MISMATCH)
        assert service.health() == HEALTHY
        service.check(MISMATCH)
        assert service.health() == ("unhealthy", "Target.ResponseCodeMismatch")
        service.check("", "", MISMATCH, "", "")
        assert service.health() == ("unhealthy", "Target.ResponseCodeMismatch")
        service.check("")
        assert service.health() == HEALTHY

    def test_the_reason_is_the_last_checks(self, service: Service) -> None:
        service.check(MISMATCH)
        assert service.health() == ("initial", "Elb.InitialHealthChecking")
        service.check(MISMATCH)
        told = service.network.elb.describe_target_health(TargetGroupArn=service.group)
        assert told["TargetHealthDescriptions"][0]["TargetHealth"] == {
            "State": "unhealthy",
            "Reason": "Target.ResponseCodeMismatch",
            "Description": "Health checks failed with these codes: [500]",
        }
        service.check(TIMEOUT)
        assert service.health() == ("unhealthy", "Target.Timeout")

    def test_an_answer_from_before_it_came_into_use_doesnt_count(self, service: Service, clock: VirtualClock) -> None:
        service.check("")
        before = clock.now()
        service.network.ec2.stop_instances(InstanceIds=[service.instance])
        assert service.health() == ("unused", "Target.InvalidState")
        service.check("", MISMATCH, MISMATCH)
        assert service.health() == ("unused", "Target.InvalidState")
        clock.advance(15)
        service.network.ec2.start_instances(InstanceIds=[service.instance])
        clock.advance(10)
        assert service.health() == ("initial", "Elb.InitialHealthChecking")
        service.check("", began=before)
        assert service.health() == ("initial", "Elb.InitialHealthChecking")
        service.check(MISMATCH)  # counts from nothing again
        assert service.health() == ("initial", "Elb.InitialHealthChecking")
        service.check("")
        assert service.health() == HEALTHY

    def test_a_draining_target_and_an_unknown_one_stay_what_they_are(self, service: Service) -> None:
        service.check("")
        service.network.elb.deregister_targets(TargetGroupArn=service.group, Targets=[{"Id": service.instance}])
        service.check(MISMATCH, MISMATCH, "")
        assert service.health() == ("draining", "Target.DeregistrationInProgress")
        service.aws._health.record(WORLD, Check(service.group, "i-0", 80, service.aws.clock(), ""), 0.0)
        assert set(service.network.health(service.group)) == {(service.instance, 80)}


class FakeFront:
    """Remembers what it was shown, and which processes were there at that time."""

    def __init__(self) -> None:
        self.shown: list[tuple[Snapshot, Addresses]] = []
        self.seen_by: dict[tuple[str, str], bool] = {}
        self.processes: Processes | None = None
        self.problem: Exception | None = None
        self.closed = False

    def show(self, snapshot: Snapshot, addresses: Addresses) -> None:
        assert self.processes is not None
        if self.problem:
            raise self.problem
        pids = {item.instance_id: item.pid for item in self.processes.tell()}
        for instance in snapshot.instances:
            pid = pids[instance.id]
            self.seen_by.setdefault((instance.id, instance.state), pid is not None and is_there(pid))
        self.shown.append((snapshot, addresses))

    def doors(self) -> tuple[Door, ...]:
        return (Door("li", "arn:x:loadbalancer/app/lb/1", "HTTP", 80, 18080, "http://127.0.0.1:18080/"),)

    def close(self) -> None:
        self.closed = True


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class Stage:
    """A driver with all of its parts but the front."""

    def __init__(self, aws: StrictAws, folder: Path, serve: str = "", lag: float = 0.0) -> None:
        self.front = FakeFront()
        self.front.processes = Processes(Program.choose(serve, folder), folder / "instances")
        prober = Prober(aws.clock, 50)
        self.driver = Driver(aws, lambda: take_snapshot(aws), self.front, self.front.processes, prober, lag)

    def pid_of(self, instance: str) -> int | None:
        return next((i.pid for i in self.driver.report().processes if i.instance_id == instance), None)


@pytest.fixture
def start(aws: StrictAws, tmp_path: Path) -> Iterator[Callable[..., Stage]]:
    made: list[Stage] = []

    def make(serve: str = "", lag: float = 0.0) -> Stage:
        made.append(Stage(aws, tmp_path, serve, lag))
        return made[-1]

    yield make
    for stage in made:
        stage.driver.close()


def test_a_life_behind_a_load_balancer(start: Callable[..., Stage], service: Service, clock: VirtualClock) -> None:
    stage = start()
    until(lambda: service.health() == HEALTHY)
    service.network.ec2.stop_instances(InstanceIds=[service.instance])
    assert stage.driver.catch_up()
    assert service.health() == ("unused", "Target.InvalidState")
    until(lambda: stage.pid_of(service.instance) is None)
    assert stage.front.seen_by[service.instance, "stopping"], "it ended before the front was told"
    clock.advance(15)
    service.network.ec2.start_instances(InstanceIds=[service.instance])
    clock.advance(10)
    until(lambda: service.health() == HEALTHY)
    before = stage.pid_of(service.instance)
    service.network.ec2.reboot_instances(InstanceIds=[service.instance])
    until(lambda: stage.pid_of(service.instance) not in (None, before))
    pid = stage.pid_of(service.instance)
    assert pid is not None
    service.network.ec2.terminate_instances(InstanceIds=[service.instance])
    until(lambda: stage.pid_of(service.instance) is None)
    assert stage.front.seen_by[service.instance, "shutting-down"], "it ended before the front was told"
    assert not is_there(pid)


def test_what_changed_has_been_shown_when_catching_up_ends(start: Callable[..., Stage], network: Network) -> None:
    stage = start(f"{sys.executable} -I -S -c 'import time; time.sleep(600)'")
    for _ in range(3):
        instance = network.launch()
        assert stage.driver.catch_up()
        snapshot, addresses = stage.front.shown[-1]
        assert instance in {item.id for item in snapshot.instances}
        assert (instance, 80) in addresses
        assert stage.pid_of(instance) is not None


def test_who_changes_more_finds_the_front_as_far_as_awss_nodes(
    start: Callable[..., Stage], service: Service, clock: VirtualClock
) -> None:
    """However busy the machine is: time alone is no proof that the front knows."""
    stage = start(lag=10)
    until(lambda: service.health() == HEALTHY)
    clock.advance(10)
    assert stage.driver.catch_up()
    for _ in range(5):
        service.network.elb.deregister_targets(TargetGroupArn=service.group, Targets=[{"Id": service.instance}])
        assert stage.driver.catch_up()
        clock.advance(10)
        stage.driver.keep_up()
        snapshot, _ = stage.front.shown[-1]
        assert {item.state for item in snapshot.target_groups[service.group].targets} == {"draining"}
        service.network.elb.register_targets(TargetGroupArn=service.group, Targets=[{"Id": service.instance}])
        assert stage.driver.catch_up()
        clock.advance(10)
        stage.driver.keep_up()


def test_what_is_due_is_shown_though_looks_take_long(
    start: Callable[..., Stage], service: Service, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found: on a busy machine nobody looked for more than a second, and a load balancer knew of a change when its target ended."""
    stage = start(lag=10)
    until(lambda: service.health() == HEALTHY)
    clock.advance(10)
    assert stage.driver.catch_up()
    monkeypatch.setattr("alb_reconcile.sandbox.traffic.driver._SHARE", 10**9)
    service.network.elb.deregister_targets(TargetGroupArn=service.group, Targets=[{"Id": service.instance}])
    assert stage.driver.catch_up()
    clock.advance(10)
    until(
        lambda: {item.state for item in stage.front.shown[-1][0].target_groups[service.group].targets} == {"draining"}
    )


def test_a_web_api_that_never_comes_up_is_unhealthy(start: Callable[..., Stage], service: Service) -> None:
    stage = start(f"{sys.executable} -I -S -c 'raise SystemExit(\"no such database\")'")
    until(lambda: service.health() == ("unhealthy", "Target.FailedHealthChecks"))
    until(lambda: stage.driver.report().processes[0].restarts)
    assert stage.driver.report().processes[0].note.startswith("exit code 1: no such database; see /")


@pytest.mark.parametrize("settings", [{"HealthCheckPort": "81"}, {"HealthCheckPort": "traffic-port"}])
def test_a_port_at_which_nobody_listens_is_unhealthy(
    start: Callable[..., Stage], service: Service, settings: dict[str, str]
) -> None:
    """Whether the health check names it, or the target is registered there."""
    network = service.network
    network.ec2.authorize_security_group_ingress(
        GroupId=network.group, IpProtocol="tcp", FromPort=81, ToPort=81, CidrIp="0.0.0.0/0"
    )
    network.elb.modify_target_group(TargetGroupArn=service.group, **settings)
    port = 80 if settings["HealthCheckPort"].isdigit() else 81
    network.elb.register_targets(TargetGroupArn=service.group, Targets=[{"Id": service.instance, "Port": port}])
    start()
    until(lambda: network.health(service.group)[service.instance, port][0] == "unhealthy")
    assert network.health(service.group)[service.instance, port] == ("unhealthy", "Target.FailedHealthChecks")


def test_a_reset_ends_every_process_at_once(start: Callable[..., Stage], service: Service) -> None:
    stage = start()
    assert stage.driver.catch_up()
    pid = stage.pid_of(service.instance)
    assert pid is not None
    with service.aws._lock:
        moto_api_backend.reset()
    stage.driver.clear()
    assert not is_there(pid)
    assert stage.driver.report().processes == ()


def test_what_holds_traffic_up_is_told_until_it_is_mended(start: Callable[..., Stage], service: Service) -> None:
    stage = start()
    assert stage.driver.report().doors[0].port == 80
    for error, told in (
        (
            ReconcileError("Envoy has ended; start the sandbox again"),
            "Envoy has ended; start the sandbox again",
        ),
        (RuntimeError("x"), "an error of its own (RuntimeError: x)"),
    ):
        stage.front.problem = error
        assert stage.driver.catch_up()
        assert told in stage.driver.report().problem
    stage.front.problem = None
    assert stage.driver.catch_up()
    assert stage.driver.report().problem == ""


def test_nothing_is_left_when_it_is_closed(start: Callable[..., Stage], service: Service) -> None:
    stage = start()
    assert stage.driver.catch_up()
    pid = stage.pid_of(service.instance)
    assert pid is not None
    stage.driver.close()
    assert not is_there(pid)
    assert stage.front.closed


class TestRoutes:
    """Which of a load balancer's nodes have no way to clients."""

    def test_a_node_needs_a_route_to_the_gateway_until_it_is_gone(self, service: Service) -> None:
        network, ec2 = service.network, service.network.ec2
        assert dict(find_mute(WORLD)) == {service.balancer: 1.0}
        (main,) = (
            table["RouteTableId"]
            for table in ec2.describe_route_tables()["RouteTables"]
            if table["VpcId"] == network.vpc
        )
        ec2.create_route(RouteTableId=main, DestinationCidrBlock="10.9.0.0/16", GatewayId=network.gateway)
        assert dict(find_mute(WORLD)) == {service.balancer: 1.0}
        ec2.create_route(RouteTableId=main, DestinationCidrBlock="0.0.0.0/0", GatewayId=network.gateway)
        assert dict(find_mute(WORLD)) == {}
        old, *staying = network.subnets
        network.elb.set_subnets(
            LoadBalancerArn=service.balancer, Subnets=[network.subnet("10.0.9.0/24", "us-east-1a"), *staying]
        )
        table = ec2.create_route_table(VpcId=network.vpc)["RouteTable"]["RouteTableId"]
        ec2.associate_route_table(RouteTableId=table, SubnetId=old)
        assert dict(find_mute(WORLD)) == {service.balancer: 1 / 3}
        network.clock.advance(1000)
        ec2.describe_vpcs()
        assert dict(find_mute(WORLD)) == {}

    def test_clients_from_inside_need_none(self, service: Service) -> None:
        service.network.balancer("inside", Scheme="internal")
        assert set(dict(find_mute(WORLD))) == {service.balancer}


PORTS = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 8080}
ANYBODY = {"IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
ALL = {"IpProtocol": "-1"} | ANYBODY


class TestSecurityGroups:
    """Which registrations a load balancer can't get through to."""

    def shut_out(self, service: Service) -> bool:
        return list(find_shut_out(WORLD)) == [(service.group, service.instance, 80)]

    def allow(self, service: Service, group: str, **peer: object) -> None:
        service.network.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[PORTS | peer])

    @pytest.fixture
    def web(self, service: Service) -> str:
        """The instance's own group, which lets nothing in."""
        group = service.network.security_group("instances")
        service.network.ec2.modify_instance_attribute(InstanceId=service.instance, Groups=[group])
        assert self.shut_out(service)
        return group

    def test_a_rule_for_the_load_balancers_group_lets_it_in(self, service: Service, web: str) -> None:
        self.allow(service, web, UserIdGroupPairs=[{"GroupId": web}])
        assert self.shut_out(service)
        self.allow(service, web, UserIdGroupPairs=[{"GroupId": service.network.group}])
        assert not self.shut_out(service)

    def test_a_rule_for_its_nodes_addresses_does(self, service: Service, web: str) -> None:
        self.allow(service, web, IpRanges=[{"CidrIp": "10.9.0.0/16"}])
        assert self.shut_out(service)
        self.allow(service, web, IpRanges=[{"CidrIp": "10.0.0.0/24"}])
        assert not self.shut_out(service)

    def test_the_port_counts_and_that_of_the_check_too(self, service: Service, web: str) -> None:
        self.allow(service, web, IpRanges=[{"CidrIp": "0.0.0.0/0"}])
        service.network.elb.modify_target_group(TargetGroupArn=service.group, HealthCheckPort="8080")
        assert not self.shut_out(service)
        service.network.elb.modify_target_group(TargetGroupArn=service.group, HealthCheckPort="8081")
        assert self.shut_out(service)

    def test_clients_come_in_at_the_ports_that_its_groups_open_to_others(self, service: Service) -> None:
        network = service.network
        other, third = network.security_group("other"), network.security_group("third")
        network.elb.set_security_groups(LoadBalancerArn=service.balancer, SecurityGroups=[other])
        assert dict(find_ingress(WORLD)) == {service.balancer: ()}
        self.allow(service, other, UserIdGroupPairs=[{"GroupId": other}])
        assert dict(find_ingress(WORLD)) == {service.balancer: ()}
        self.allow(service, other, UserIdGroupPairs=[{"GroupId": third}])
        assert dict(find_ingress(WORLD)) == {service.balancer: (range(80, 8081),)}
        network.ec2.authorize_security_group_ingress(
            GroupId=third, IpPermissions=[ALL, {"IpProtocol": "udp", "FromPort": 9, "ToPort": 9} | ANYBODY]
        )
        network.elb.set_security_groups(LoadBalancerArn=service.balancer, SecurityGroups=[other, third])
        assert dict(find_ingress(WORLD)) == {service.balancer: (range(65536),)}

    def test_the_load_balancers_own_group_has_to_let_it_out(self, service: Service) -> None:
        assert not self.shut_out(service)
        own = service.network.group
        service.network.ec2.revoke_security_group_egress(GroupId=own, IpPermissions=[ALL])
        assert self.shut_out(service)
        out = PORTS | {"UserIdGroupPairs": [{"GroupId": own}]}
        service.network.ec2.authorize_security_group_egress(GroupId=own, IpPermissions=[out])
        assert not self.shut_out(service)
