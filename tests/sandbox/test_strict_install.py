"""Installing and uninstalling: nothing leaks, nothing stays, and several may ask at once."""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import moto.settings
import pytest
from moto.ec2.models.security_groups import SecurityGroupRule
from moto.ec2.responses import EC2Response

from alb_reconcile.sandbox.strict import StrictAws, Timing, VirtualClock
from tests.sandbox.strict_world import Network, client, refuses

if TYPE_CHECKING:
    from collections.abc import Callable


def test_the_clock_only_moves_forward() -> None:
    clock = VirtualClock(5.0)
    clock.advance(2.5)
    assert clock.now() == 7.5
    with pytest.raises(ValueError, match="forward"):
        clock.advance(-1)


def validates_images() -> bool:
    return moto.settings.ENABLE_AMI_VALIDATION


def test_everything_is_restored(clock: VirtualClock) -> None:
    variable = "MOTO_ENABLE_AMI_VALIDATION"
    before = (EC2Response.call_action, vars(SecurityGroupRule)["__eq__"], os.environ.get(variable))
    with StrictAws(clock=clock.now):
        assert EC2Response.call_action is not before[0]
        assert validates_images() is True
        assert os.environ[variable] == "true"
    after = (EC2Response.call_action, vars(SecurityGroupRule)["__eq__"], os.environ.get(variable))
    assert after == before
    assert validates_images() is False
    assert "call_action" not in vars(EC2Response)


def test_one_after_another_know_nothing_of_each_other(clock: VirtualClock) -> None:
    seen = []
    for _ in range(3):
        with StrictAws(clock=clock.now) as aws:
            seen.append(kinds(aws.inventory()))
            Network.make(client("ec2"), client("elbv2"), clock).balancer()
    assert seen[0] == seen[1] == seen[2]


def kinds(inventory: dict[str, Any]) -> list[str]:
    return sorted(key.split("-")[0] for key in inventory)


def test_installing_is_fast(clock: VirtualClock) -> None:
    with StrictAws(clock=clock.now):
        client("ec2").describe_vpcs()
    started = time.process_time()
    for _ in range(10):
        with StrictAws(clock=clock.now):
            client("ec2").describe_vpcs()
    assert (time.process_time() - started) / 10 < 0.1


def test_it_can_be_installed_within_a_mock_of_somebody_else(clock: VirtualClock) -> None:
    with moto.mock_aws():
        ec2 = client("ec2")
        old = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        strict = StrictAws(clock=clock.now, mock=False)
        strict.install()
        refuses("InvalidNextToken", ec2.describe_vpcs, NextToken="nonsense")
        assert old in strict.inventory()
        strict.uninstall()
        assert ec2.describe_vpcs(VpcIds=[old])["Vpcs"], "the world outlives the rules"


def test_a_failed_body_restores_too(clock: VirtualClock) -> None:
    with pytest.raises(RuntimeError, match="x"), StrictAws(clock=clock.now):
        raise RuntimeError("x")
    assert "call_action" not in vars(EC2Response)


def test_several_threads_may_ask_at_once(network: Network, ec2: Any) -> None:
    def make(number: int) -> str:
        return network.subnet(f"10.0.{number}.0/24", "us-east-1a")

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(make, range(10, 42)))
        list(pool.map(lambda subnet: ec2.delete_subnet(SubnetId=subnet), made))
    assert len(set(made)) == 32
    left = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [network.vpc]}])["Subnets"]
    assert {subnet["SubnetId"] for subnet in left} == set(network.subnets)


def test_a_stack_that_goes_leaves_the_account_as_it_was(aws: StrictAws, clock: VirtualClock) -> None:
    ec2, elb = client("ec2"), client("elbv2")
    mine = Network.make(ec2, elb, clock, "10.5.0.0/16")
    mine.running()
    before = json.dumps(aws.inventory())
    network = Network.make(ec2, elb, clock)
    table = ec2.create_route_table(VpcId=network.vpc)["RouteTable"]["RouteTableId"]
    ec2.associate_route_table(RouteTableId=table, SubnetId=network.subnets[0])
    instance, balancer, group = network.running(), network.balancer(), network.target_group()
    listener = network.listener(balancer, group)
    rule = network.rule(listener, 1)
    elb.register_targets(TargetGroupArn=group, Targets=[{"Id": instance}])
    during = aws.inventory()
    wanted = {network.vpc, *network.subnets, network.gateway, network.group, table, instance}
    assert wanted | {balancer, group, listener, rule} <= set(during)
    assert during[group]["Targets"] == [{"Id": instance, "Port": 80}]
    assert during[instance]["State"]["Name"] == "running"
    json.dumps(during)
    elb.delete_load_balancer(LoadBalancerArn=balancer)
    elb.delete_target_group(TargetGroupArn=group)
    ec2.terminate_instances(InstanceIds=[instance])
    lingering = [key for key in aws.inventory() if key.startswith("eni-")]
    assert len(lingering) == 4
    clock.advance(60)
    for subnet in network.subnets:
        ec2.delete_subnet(SubnetId=subnet)
    ec2.delete_route_table(RouteTableId=table)
    ec2.detach_internet_gateway(InternetGatewayId=network.gateway, VpcId=network.vpc)
    ec2.delete_internet_gateway(InternetGatewayId=network.gateway)
    ec2.delete_security_group(GroupId=network.group)
    ec2.delete_vpc(VpcId=network.vpc)
    assert json.dumps(aws.inventory()) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda n, i: n.ec2.create_tags(Resources=[n.vpc], Tags=[{"Key": "a", "Value": "b"}]),
        lambda n, i: n.ec2.modify_vpc_attribute(VpcId=n.vpc, EnableDnsHostnames={"Value": True}),
        lambda n, i: n.ec2.modify_instance_attribute(InstanceId=i, DisableApiTermination={"Value": True}),
        lambda n, i: n.ec2.stop_instances(InstanceIds=[i]),
    ],
)
def test_the_inventory_sees_every_change(
    network: Network, aws: StrictAws, change: Callable[[Network, str], Any]
) -> None:
    instance = network.running()
    before = aws.inventory()
    assert aws.inventory() == before
    change(network, instance)
    assert aws.inventory() != before


def test_a_server_process_can_carry_the_rules(clock: VirtualClock) -> None:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    strict = StrictAws(clock=clock.now, timing=Timing(), mock=False)
    strict.install()
    try:
        host, port = server.get_host_and_port()
        import boto3

        ec2 = boto3.client("ec2", region_name="us-east-1", endpoint_url=f"http://{host}:{port}")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")
        refuses("DependencyViolation", ec2.delete_vpc, VpcId=vpc)
        assert vpc in strict.inventory()
    finally:
        strict.uninstall()
        server.stop()
        moto.mock_aws().reset()
