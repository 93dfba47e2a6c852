"""Quotas of an account, where it has any."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID

from alb_reconcile.sandbox.strict import StrictAws, VirtualClock, quotas
from alb_reconcile.sandbox.strict.world import World
from tests.sandbox.strict_world import REGION, client, refuses

if TYPE_CHECKING:
    from tests.sandbox.strict_world import Network

INFERENTIA_VCPUS = "L-1945791B"
Quotas = dict[str, float]


@pytest.fixture
def held(network: Network) -> Quotas:
    return World(DEFAULT_ACCOUNT_ID, REGION).ledger.quotas


def test_vcpus_of_what_runs_by_family(network: Network, held: Quotas) -> None:
    held |= {quotas.STANDARD_VCPUS: 2, INFERENTIA_VCPUS: 4}
    network.running()
    refuses("VcpuLimitExceeded", network.launch)
    network.launch(InstanceType="g4dn.xlarge")  # another quota
    network.running(InstanceType="inf1.xlarge")
    refuses("VcpuLimitExceeded", network.launch, InstanceType="inf1.xlarge")
    network.launch(InstanceType="trn1.2xlarge")
    network.launch(InstanceType="m5.large", Placement={"Tenancy": "host"})
    held[quotas.STANDARD_VCPUS] = 4
    network.launch()


def test_a_launch_makes_as_many_as_the_quota_allows(network: Network, held: Quotas) -> None:
    held[quotas.STANDARD_VCPUS] = 7  # an instance has 2
    refuses("VcpuLimitExceeded", network.launch_several, 4, SubnetId=network.subnets[0])
    assert len(network.launch_several(4, 2, SubnetId=network.subnets[0])) == 3
    refuses("VcpuLimitExceeded", network.launch)


def test_what_a_region_has(network: Network, held: Quotas) -> None:
    ec2 = network.ec2
    held |= {quotas.VPCS: len(ec2.describe_vpcs()["Vpcs"]) + 1, quotas.GATEWAYS: 3}  # with the default VPC's
    ec2.create_vpc(CidrBlock="10.7.0.0/16")
    refuses("VpcLimitExceeded", ec2.create_vpc, CidrBlock="10.8.0.0/16")
    ec2.create_internet_gateway()
    refuses("InternetGatewayLimitExceeded", ec2.create_internet_gateway)
    held |= {quotas.BALANCERS: 0, quotas.TARGET_GROUPS: 0}
    refuses("TooManyLoadBalancers", network.balancer)
    refuses("TooManyTargetGroups", network.target_group)


def test_what_a_vpc_has(network: Network, held: Quotas) -> None:
    held |= {quotas.SUBNETS: 3, quotas.ROUTE_TABLES: 2, quotas.ROUTES: 1}
    network.subnet("10.0.2.0/24", "us-east-1a")
    refuses("SubnetLimitExceeded", network.subnet, "10.0.3.0/24", "us-east-1a")
    route = {"RouteTableId": network.table(), "GatewayId": network.gateway}
    refuses("RouteTableLimitExceeded", network.table)
    network.ec2.create_route(DestinationCidrBlock="0.0.0.0/0", **route)
    refuses("RouteLimitExceeded", network.ec2.create_route, DestinationCidrBlock="10.7.0.0/16", **route)
    network.vpc = network.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    network.subnet("10.9.0.0/24", "us-east-1a")
    network.table()


def test_security_groups(network: Network, held: Quotas) -> None:
    held[quotas.GROUPS] = len(network.ec2.describe_security_groups()["SecurityGroups"]) + 1
    held[quotas.GROUPS_AN_INTERFACE] = 1
    groups, code = [network.group, network.security_group("more")], "SecurityGroupsPerInstanceLimitExceeded"
    refuses("SecurityGroupLimitExceeded", network.security_group, "one too many")
    change = network.ec2.modify_instance_attribute
    refuses(code, change, InstanceId=network.running(), Groups=groups)
    refuses(code, network.launch, SecurityGroupIds=groups)


def test_rules_of_a_group_are_counted_by_direction_and_protocol(network: Network, held: Quotas) -> None:
    held[quotas.GROUP_RULES], code = 2, "RulesPerSecurityGroupLimitExceeded"
    group, tcp = {"GroupId": network.group}, {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80}
    into, out = network.ec2.authorize_security_group_ingress, network.ec2.authorize_security_group_egress
    four = [{"CidrIp": f"10.0.{number}.0/24"} for number in range(2)]
    six = [{"CidrIpv6": f"2001:db8:{number}::/48"} for number in range(2)]
    into(**group, IpPermissions=[{**tcp, "IpRanges": four}])
    into(**group, IpPermissions=[{**tcp, "Ipv6Ranges": six}])
    refuses(code, into, **group, IpPermissions=[{**tcp, "UserIdGroupPairs": [group]}])
    refuses(code, out, **group, IpPermissions=[{**tcp, "IpRanges": four}])  # a new group has a rule that lets all out
    out(**group, IpPermissions=[{**tcp, "IpRanges": four[:1]}])


def test_what_a_load_balancer_has(network: Network, held: Quotas) -> None:
    held |= {quotas.LISTENERS: 2, quotas.RULES: 2, quotas.GROUPS_A_BALANCER: 2}
    code = "TooManyUniqueTargetGroupsPerLoadBalancer"
    balancer, (one, two, three) = network.balancer(), (network.target_group(name) for name in ("one", "two", "three"))
    first, second = (network.listener(balancer, one, port) for port in (80, 81))
    refuses("TooManyListeners", network.listener, balancer, one, 82)
    network.rule(first, 1, two)
    network.rule(second, 1, one)
    refuses("TooManyRules", network.rule, first, 2)
    held[quotas.RULES] = 3
    refuses(code, network.rule, first, 3, three)
    change = {"ListenerArn": first, "DefaultActions": [{"Type": "forward", "TargetGroupArn": three}]}
    refuses(code, network.elb.modify_listener, **change)
    network.listener(network.balancer("other"), three)


def test_targets_of_a_group_and_of_a_load_balancer(network: Network, held: Quotas) -> None:
    held |= {quotas.TARGETS_A_GROUP: 2, quotas.TARGETS_A_BALANCER: 3}
    one, two = network.target_group("one"), network.target_group("two")
    network.rule(network.listener(network.balancer(), one), 1, two)
    targets, register = [{"Id": network.running()} for _ in range(3)], network.elb.register_targets
    refuses("TooManyTargets", register, TargetGroupArn=one, Targets=targets)
    register(TargetGroupArn=one, Targets=targets[:2])
    register(TargetGroupArn=one, Targets=targets[:2])  # they are there
    refuses("TooManyTargets", register, TargetGroupArn=two, Targets=targets[:2])
    register(TargetGroupArn=two, Targets=targets[:1])


def test_they_can_be_read(network: Network, held: Quotas) -> None:
    held |= {quotas.BALANCERS: 7, quotas.VPCS: 9}
    limits = {item["Name"]: item["Max"] for item in network.elb.describe_account_limits()["Limits"]}
    assert limits["application-load-balancers"] == "7"
    assert limits["target-groups"] == "3000", "AWS's default"
    assert limits["targets-per-target-group"] == "1000"
    read = client("service-quotas").get_service_quota
    assert read(ServiceCode="vpc", QuotaCode=quotas.VPCS)["Quota"]["Value"] == 9
    refuses("NoSuchResourceException", read, ServiceCode="ec2", QuotaCode=quotas.STANDARD_VCPUS)


def test_a_new_account_has_awss_defaults() -> None:
    ec2 = client("ec2")
    with StrictAws(clock=VirtualClock().now, limited=True):
        for _ in range(5):
            ec2.allocate_address(Domain="vpc")
        refuses("AddressLimitExceeded", ec2.allocate_address, Domain="vpc")
        told = client("service-quotas").get_service_quota(ServiceCode="ec2", QuotaCode=quotas.ADDRESSES)
        assert told["Quota"]["Value"] == 5
    with StrictAws(clock=VirtualClock().now):
        for _ in range(6):
            ec2.allocate_address(Domain="vpc")
