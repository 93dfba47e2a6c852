"""Quotas of an account, where it has any."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID

from alb_reconcile.sandbox.strict import StrictAws, VirtualClock
from alb_reconcile.sandbox.strict.quotas import (
    ADDRESSES,
    BALANCERS,
    GATEWAYS,
    GROUP_RULES,
    GROUPS,
    GROUPS_A_BALANCER,
    GROUPS_AN_INTERFACE,
    LISTENERS,
    ROUTE_TABLES,
    ROUTES,
    RULES,
    STANDARD_VCPUS,
    SUBNETS,
    TARGET_GROUPS,
    TARGETS_A_BALANCER,
    TARGETS_A_GROUP,
    VPCS,
)
from alb_reconcile.sandbox.strict.world import World
from tests.sandbox.strict_world import IMAGE, REGION, client, refused, refuses

if TYPE_CHECKING:
    from tests.sandbox.strict_world import Network

INFERENTIA_VCPUS = "L-1945791B"


@pytest.fixture
def quotas(network: Network) -> dict[str, float]:
    return World(DEFAULT_ACCOUNT_ID, REGION).ledger.quotas


def test_vpcs(network: Network, quotas: dict[str, float]) -> None:
    quotas[VPCS] = len(network.ec2.describe_vpcs()["Vpcs"]) + 1
    network.ec2.create_vpc(CidrBlock="10.7.0.0/16")
    refuses("VpcLimitExceeded", network.ec2.create_vpc, CidrBlock="10.8.0.0/16")


def test_vcpus_of_what_runs(network: Network, quotas: dict[str, float]) -> None:
    quotas[STANDARD_VCPUS] = 2
    network.running(InstanceType="t3.micro")
    refuses("VcpuLimitExceeded", network.launch, InstanceType="t3.micro")
    network.launch(InstanceType="g4dn.xlarge")  # another quota
    quotas[STANDARD_VCPUS] = 4
    network.launch(InstanceType="t3.micro")


def test_other_families_and_dedicated_hosts_count_for_quotas_of_their_own(
    network: Network, quotas: dict[str, float]
) -> None:
    quotas |= {STANDARD_VCPUS: 2, INFERENTIA_VCPUS: 4}
    network.running(InstanceType="t3.micro")
    network.running(InstanceType="inf1.xlarge")
    refuses("VcpuLimitExceeded", network.launch, InstanceType="inf1.xlarge")
    network.launch(InstanceType="trn1.2xlarge")
    network.launch(InstanceType="m5.large", Placement={"Tenancy": "host"})


def test_a_launch_makes_as_many_as_the_quota_allows(network: Network, quotas: dict[str, float]) -> None:
    quotas[STANDARD_VCPUS] = 7
    launch = {"ImageId": IMAGE, "InstanceType": "t3.micro", "SubnetId": network.subnets[0]}  # 2 vCPUs each
    refuses("VcpuLimitExceeded", network.ec2.run_instances, **launch, MinCount=4, MaxCount=4)
    assert len(network.ec2.run_instances(**launch, MinCount=2, MaxCount=4)["Instances"]) == 3
    refuses("VcpuLimitExceeded", network.launch)


def test_load_balancers_and_target_groups(network: Network, quotas: dict[str, float]) -> None:
    quotas |= {BALANCERS: 0, TARGET_GROUPS: 0}
    refuses("TooManyLoadBalancers", network.balancer)
    refuses("TooManyTargetGroups", network.target_group)


def test_internet_gateways(network: Network, quotas: dict[str, float]) -> None:
    quotas[GATEWAYS] = 3  # with the default VPC's
    network.ec2.create_internet_gateway()
    refuses("InternetGatewayLimitExceeded", network.ec2.create_internet_gateway)


def test_subnets_and_route_tables_of_a_vpc(network: Network, quotas: dict[str, float]) -> None:
    quotas |= {SUBNETS: 3, ROUTE_TABLES: 2}
    network.subnet("10.0.2.0/24", "us-east-1a")
    refuses("SubnetLimitExceeded", network.subnet, "10.0.3.0/24", "us-east-1a")
    network.ec2.create_route_table(VpcId=network.vpc)
    refuses("RouteTableLimitExceeded", network.ec2.create_route_table, VpcId=network.vpc)
    other = network.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    network.ec2.create_subnet(VpcId=other, CidrBlock="10.9.0.0/24")
    network.ec2.create_route_table(VpcId=other)


def test_routes_of_a_table(network: Network, quotas: dict[str, float]) -> None:
    quotas[ROUTES] = 1
    table = network.ec2.create_route_table(VpcId=network.vpc)["RouteTable"]["RouteTableId"]
    route = {"RouteTableId": table, "GatewayId": network.gateway}
    network.ec2.create_route(DestinationCidrBlock="0.0.0.0/0", **route)
    refuses("RouteLimitExceeded", network.ec2.create_route, DestinationCidrBlock="10.7.0.0/16", **route)


def test_security_groups(network: Network, quotas: dict[str, float]) -> None:
    quotas |= {GROUPS: len(network.ec2.describe_security_groups()["SecurityGroups"]) + 1, GROUPS_AN_INTERFACE: 1}
    more = network.security_group("more")
    refuses("SecurityGroupLimitExceeded", network.security_group, "one too many")
    instance = network.running()
    with refused("SecurityGroupsPerInstanceLimitExceeded"):
        network.ec2.modify_instance_attribute(InstanceId=instance, Groups=[network.group, more])
    refuses("SecurityGroupsPerInstanceLimitExceeded", network.launch, SecurityGroupIds=[network.group, more])


def test_rules_of_a_group_are_counted_by_direction_and_protocol(network: Network, quotas: dict[str, float]) -> None:
    quotas[GROUP_RULES] = 2
    allow, tcp = network.ec2.authorize_security_group_ingress, {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80}
    four = [{"CidrIp": f"10.0.{number}.0/24"} for number in range(2)]
    six = [{"CidrIpv6": f"2001:db8:{number}::/48"} for number in range(2)]
    allow(GroupId=network.group, IpPermissions=[{**tcp, "IpRanges": four}])
    allow(GroupId=network.group, IpPermissions=[{**tcp, "Ipv6Ranges": six}])
    with refused("RulesPerSecurityGroupLimitExceeded"):
        allow(GroupId=network.group, IpPermissions=[{**tcp, "UserIdGroupPairs": [{"GroupId": network.group}]}])
    outbound = {**tcp, "IpRanges": four}
    with refused("RulesPerSecurityGroupLimitExceeded"):  # a new group lets everything out by a rule
        network.ec2.authorize_security_group_egress(GroupId=network.group, IpPermissions=[outbound])
    outbound["IpRanges"] = four[:1]
    network.ec2.authorize_security_group_egress(GroupId=network.group, IpPermissions=[outbound])


def test_listeners_and_rules_of_a_load_balancer(network: Network, quotas: dict[str, float]) -> None:
    quotas |= {LISTENERS: 2, RULES: 2}
    balancer, group = network.balancer(), network.target_group()
    first, second = (network.listener(balancer, group, port) for port in (80, 81))
    refuses("TooManyListeners", network.listener, balancer, group, 82)
    network.rule(first, 1)
    network.rule(second, 1)
    refuses("TooManyRules", network.rule, first, 2)


def test_target_groups_of_a_load_balancer(network: Network, quotas: dict[str, float]) -> None:
    quotas[GROUPS_A_BALANCER] = 2
    one, two, three = (network.target_group(name) for name in ("one", "two", "three"))
    listener = network.listener(network.balancer(), one)
    network.rule(listener, 1, two)
    network.rule(listener, 2, one)
    code = "TooManyUniqueTargetGroupsPerLoadBalancer"
    refuses(code, network.rule, listener, 3, three)
    with refused(code):
        network.elb.modify_listener(ListenerArn=listener, DefaultActions=[{"Type": "forward", "TargetGroupArn": three}])
    network.listener(network.balancer("other"), three)


def test_targets_of_a_group_and_of_a_load_balancer(network: Network, quotas: dict[str, float]) -> None:
    quotas |= {TARGETS_A_GROUP: 2, TARGETS_A_BALANCER: 3}
    one, two = network.target_group("one"), network.target_group("two")
    network.rule(network.listener(network.balancer(), one), 1, two)
    targets = [{"Id": network.running()} for _ in range(3)]
    refuses("TooManyTargets", network.elb.register_targets, TargetGroupArn=one, Targets=targets)
    network.elb.register_targets(TargetGroupArn=one, Targets=targets[:2])
    network.elb.register_targets(TargetGroupArn=one, Targets=targets[:2])  # they are there
    refuses("TooManyTargets", network.elb.register_targets, TargetGroupArn=two, Targets=targets[:2])
    network.elb.register_targets(TargetGroupArn=two, Targets=targets[:1])


def test_they_can_be_read(network: Network, quotas: dict[str, float]) -> None:
    quotas |= {BALANCERS: 7, VPCS: 9}
    limits = {item["Name"]: item["Max"] for item in network.elb.describe_account_limits()["Limits"]}
    assert limits["application-load-balancers"] == "7"
    assert limits["target-groups"] == "3000", "AWS's default"
    assert limits["targets-per-target-group"] == "1000"
    found = client("service-quotas").get_service_quota(ServiceCode="vpc", QuotaCode=VPCS)
    assert found["Quota"]["Value"] == 9
    with refused("NoSuchResourceException"):
        client("service-quotas").get_service_quota(ServiceCode="ec2", QuotaCode=STANDARD_VCPUS)


def test_a_new_account_has_awss_defaults() -> None:
    with StrictAws(clock=VirtualClock().now, limited=True):
        ec2 = client("ec2")
        for _ in range(5):
            ec2.allocate_address(Domain="vpc")
        refuses("AddressLimitExceeded", ec2.allocate_address, Domain="vpc")
        told = client("service-quotas").get_service_quota(ServiceCode="ec2", QuotaCode=ADDRESSES)
        assert told["Quota"]["Value"] == 5
    with StrictAws(clock=VirtualClock().now):
        for _ in range(6):
            client("ec2").allocate_address(Domain="vpc")
