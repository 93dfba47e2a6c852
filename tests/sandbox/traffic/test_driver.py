"""Processes, health checks and the front in step with the local AWS: what follows what, and what is never seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID

from alb_reconcile.sandbox.strict.health import Check
from alb_reconcile.sandbox.strict.world import World
from alb_reconcile.sandbox.traffic.driver import Driver
from alb_reconcile.sandbox.traffic.moto_snapshot import take_snapshot
from alb_reconcile.sandbox.traffic.prober import Prober
from alb_reconcile.sandbox.traffic.processes import Processes, Program
from alb_reconcile.sandbox.traffic.reach import find_ingress, find_mute, find_shut_out
from tests.processes import until
from tests.sandbox.traffic.test_processes import is_there

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from alb_reconcile.sandbox.client import Door
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
INITIAL = ("initial", "Elb.InitialHealthChecking")
MISMATCH = "Target.ResponseCodeMismatch|Health checks failed with these codes: [500]"


class Service:
    """An instance that is registered behind a load balancer, and real checks of it where a test says what they found."""

    def __init__(self, network: Network, aws: StrictAws) -> None:
        self.network, self.aws = network, aws
        aws._health.is_real = True
        ports = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 81, "CidrIp": "0.0.0.0/0"}
        network.ec2.authorize_security_group_ingress(GroupId=network.group, **ports)
        self.balancer, self.group = network.balancer(), network.target_group(**CHECKS)
        network.listener(self.balancer, self.group)
        network.clock.advance(60)
        self.instance = network.running()
        self.register()

    def register(self) -> None:
        targets = [{"Id": self.instance, "Port": 80}]
        self.network.elb.register_targets(TargetGroupArn=self.group, Targets=targets)

    def deregister(self) -> None:
        self.network.elb.deregister_targets(TargetGroupArn=self.group, Targets=[{"Id": self.instance}])

    def check(self, *reasons: str, began: float | None = None) -> tuple[str, str] | None:
        """What these make of its health."""
        now = self.aws.clock()
        for reason in reasons:
            found = Check(self.group, self.instance, 80, now if began is None else began, reason)
            self.aws._health.record(WORLD, found, now)
        return self.health()

    def health(self) -> tuple[str, str] | None:
        return self.network.health_of(self.group, self.instance)


@pytest.fixture
def service(network: Network, aws: StrictAws) -> Service:
    return Service(network, aws)


class TestRealChecks:
    """What real checks make of a target's health, by how many agree in a row."""

    def test_thresholds_count_checks_in_a_row_and_time_alone_does_nothing(
        self, service: Service, clock: VirtualClock
    ) -> None:
        clock.advance(1000)
        assert service.health() == INITIAL
        assert service.check("") == HEALTHY
        assert service.check(MISMATCH, "", MISMATCH) == HEALTHY
        assert service.check(MISMATCH) == ("unhealthy", "Target.ResponseCodeMismatch")
        assert service.check("", "", MISMATCH, "", "") == ("unhealthy", "Target.ResponseCodeMismatch")
        assert service.check("") == HEALTHY

    def test_an_answer_from_before_it_came_into_use_doesnt_count(self, service: Service, clock: VirtualClock) -> None:
        service.check("")
        before, ec2, ids = clock.now(), service.network.ec2, {"InstanceIds": [service.instance]}
        ec2.stop_instances(**ids)
        assert service.check("", MISMATCH, MISMATCH) == ("unused", "Target.InvalidState")
        clock.advance(15)
        ec2.start_instances(**ids)
        clock.advance(10)
        assert service.check("", began=before) == INITIAL
        assert service.check(MISMATCH) == INITIAL  # counts from nothing again
        assert service.check("") == HEALTHY

    def test_a_draining_target_and_an_unknown_one_stay_what_they_are(self, service: Service) -> None:
        service.check("")
        service.deregister()
        assert service.check(MISMATCH, MISMATCH, "") == ("draining", "Target.DeregistrationInProgress")
        service.aws._health.record(WORLD, Check(service.group, "i-0", 80, service.aws.clock(), ""), 0.0)
        assert set(service.network.health(service.group)) == {(service.instance, 80)}


class FakeFront:
    """Remembers what it was shown."""

    def __init__(self) -> None:
        self.shown: list[tuple[Snapshot, Addresses]] = []

    def show(self, snapshot: Snapshot, addresses: Addresses) -> None:
        self.shown.append((snapshot, addresses))

    def doors(self) -> tuple[Door, ...]:
        return ()

    def close(self) -> None:
        """There is nothing to end."""


class Stage:
    """A driver with all of its parts but the front."""

    def __init__(self, aws: StrictAws, folder: Path, lag: float) -> None:
        self.front = FakeFront()
        processes = Processes(Program.choose("", folder), folder / "instances")
        prober = Prober(aws.clock, 50)
        self.driver = Driver(aws, lambda: take_snapshot(aws), self.front, processes, prober, lag)

    def pid_of(self, instance: str) -> int | None:
        return next((i.pid for i in self.driver.report().processes if i.instance_id == instance), None)


Start = Callable[..., Stage]


@pytest.fixture
def start(aws: StrictAws, tmp_path: Path) -> Iterator[Start]:
    made: list[Stage] = []

    def make(lag: float = 0.0) -> Stage:
        made.append(Stage(aws, tmp_path, lag))
        return made[-1]

    yield make
    for stage in made:
        stage.driver.close()


@pytest.mark.slow
def test_a_life_behind_a_load_balancer(start: Start, service: Service, clock: VirtualClock) -> None:
    stage, ec2, ids = start(), service.network.ec2, {"InstanceIds": [service.instance]}
    until(lambda: service.health() == HEALTHY)
    ec2.stop_instances(**ids)
    assert stage.driver.catch_up()
    assert service.health() == ("unused", "Target.InvalidState")
    until(lambda: stage.pid_of(service.instance) is None)
    clock.advance(15)
    ec2.start_instances(**ids)
    clock.advance(10)
    until(lambda: service.health() == HEALTHY)
    before = stage.pid_of(service.instance)
    ec2.reboot_instances(**ids)
    until(lambda: stage.pid_of(service.instance) not in (None, before))
    pid = stage.pid_of(service.instance)
    assert pid is not None
    ec2.terminate_instances(**ids)
    assert stage.driver.catch_up()
    until(lambda: stage.pid_of(service.instance) is None)
    assert not is_there(pid)


def test_who_changes_more_finds_the_front_as_far_as_awss_nodes(
    start: Start, service: Service, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However busy the machine is: time alone is no proof that the front knows."""
    stage = start(lag=10)
    until(lambda: service.health() == HEALTHY)
    clock.advance(10)
    assert stage.driver.catch_up()

    def states() -> set[str]:
        return {item.state for item in stage.front.shown[-1][0].target_groups[service.group].targets}

    for _ in range(5):
        service.deregister()
        assert stage.driver.catch_up()
        clock.advance(10)
        stage.driver.keep_up()
        assert states() == {"draining"}
        service.register()
        assert stage.driver.catch_up()
        clock.advance(10)
        stage.driver.keep_up()
    # Found: on a busy machine nobody looked for more than a second, and a load balancer knew of a change when its target ended.
    monkeypatch.setattr("alb_reconcile.sandbox.traffic.driver._SHARE", 10**9)
    service.deregister()
    assert stage.driver.catch_up()
    clock.advance(10)
    until(lambda: states() == {"draining"})


def test_a_node_needs_a_route_to_the_gateway_until_it_is_gone_but_for_clients_from_inside(service: Service) -> None:
    network, ec2 = service.network, service.network.ec2
    tables = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [network.vpc]}])["RouteTables"]
    route = {"RouteTableId": tables[0]["RouteTableId"], "GatewayId": network.gateway}
    network.balancer("inside", Scheme="internal")
    assert dict(find_mute(WORLD)) == {service.balancer: 1.0}
    ec2.create_route(DestinationCidrBlock="10.9.0.0/16", **route)
    assert dict(find_mute(WORLD)) == {service.balancer: 1.0}
    ec2.create_route(DestinationCidrBlock="0.0.0.0/0", **route)
    assert dict(find_mute(WORLD)) == {}
    old, *staying = network.subnets
    subnets = [network.subnet("10.0.9.0/24", "us-east-1a"), *staying]
    network.elb.set_subnets(LoadBalancerArn=service.balancer, Subnets=subnets)
    ec2.associate_route_table(RouteTableId=network.table(), SubnetId=old)
    assert dict(find_mute(WORLD)) == {service.balancer: 1 / 3}
    network.clock.advance(1000)
    ec2.describe_vpcs()
    assert dict(find_mute(WORLD)) == {}


ALL = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
UDP = ALL | {"IpProtocol": "udp", "FromPort": 9, "ToPort": 9}
PORTS = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 8080}


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

    @pytest.mark.parametrize("by", ["group", "address"])
    def test_a_rule_for_the_load_balancers_group_or_nodes_lets_it_in(self, service: Service, web: str, by: str) -> None:
        own, ranges = service.network.group, ("10.9.0.0/16", "10.0.0.0/24")
        for number in range(2):
            self.allow(
                service, web,
                **{"UserIdGroupPairs": [{"GroupId": (web, own)[number]}]} if by == "group"
                else {"IpRanges": [{"CidrIp": ranges[number]}]},
            )  # fmt: skip
            assert self.shut_out(service) == (number == 0)

    def test_the_port_counts_and_that_of_the_check_too(self, service: Service, web: str) -> None:
        self.allow(service, web, IpRanges=ALL["IpRanges"])
        for port, is_shut in (("8080", False), ("8081", True)):
            service.network.elb.modify_target_group(TargetGroupArn=service.group, HealthCheckPort=port)
            assert self.shut_out(service) == is_shut

    def test_clients_come_in_at_the_ports_that_its_groups_open_to_others(self, service: Service) -> None:
        network = service.network
        other, third = network.security_group("other"), network.security_group("third")
        network.elb.set_security_groups(LoadBalancerArn=service.balancer, SecurityGroups=[other])
        assert dict(find_ingress(WORLD)) == {service.balancer: ()}
        for source, ports in ((other, ()), (third, (range(80, 8081),))):
            self.allow(service, other, UserIdGroupPairs=[{"GroupId": source}])
            assert dict(find_ingress(WORLD)) == {service.balancer: ports}
        network.ec2.authorize_security_group_ingress(GroupId=third, IpPermissions=[ALL, UDP])
        network.elb.set_security_groups(LoadBalancerArn=service.balancer, SecurityGroups=[other, third])
        assert dict(find_ingress(WORLD)) == {service.balancer: (range(65536),)}

    def test_the_load_balancers_own_group_has_to_let_it_out(self, service: Service) -> None:
        own, ec2 = service.network.group, service.network.ec2
        assert not self.shut_out(service)
        ec2.revoke_security_group_egress(GroupId=own, IpPermissions=[ALL])
        assert self.shut_out(service)
        out = PORTS | {"UserIdGroupPairs": [{"GroupId": own}]}
        ec2.authorize_security_group_egress(GroupId=own, IpPermissions=[out])
        assert not self.shut_out(service)
