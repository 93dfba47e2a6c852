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
