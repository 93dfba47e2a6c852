"""Quotas of an account, where it has any."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID

from alb_reconcile.sandbox.strict.quotas import BALANCERS, STANDARD_VCPUS, TARGET_GROUPS, VPCS
from alb_reconcile.sandbox.strict.world import World
from tests.sandbox.strict_world import IMAGE, REGION, client, refused

if TYPE_CHECKING:
    from tests.sandbox.strict_world import Network


@pytest.fixture
def quotas(network: Network) -> dict[str, float]:
    return World(DEFAULT_ACCOUNT_ID, REGION).ledger.quotas


def test_vpcs(network: Network, quotas: dict[str, float]) -> None:
    quotas[VPCS] = len(network.ec2.describe_vpcs()["Vpcs"]) + 1
    network.ec2.create_vpc(CidrBlock="10.7.0.0/16")
    with refused("VpcLimitExceeded"):
        network.ec2.create_vpc(CidrBlock="10.8.0.0/16")


def test_vcpus_of_what_runs(network: Network, quotas: dict[str, float]) -> None:
    quotas[STANDARD_VCPUS] = 2
    network.running(InstanceType="t3.micro")
    with refused("VcpuLimitExceeded"):
        network.launch(InstanceType="t3.micro")
    network.launch(InstanceType="g4dn.xlarge")  # another quota
    quotas[STANDARD_VCPUS] = 4
    network.launch(InstanceType="t3.micro")


def test_a_launch_makes_as_many_as_the_quota_allows(network: Network, quotas: dict[str, float]) -> None:
    quotas[STANDARD_VCPUS] = 7
    launch = {"ImageId": IMAGE, "InstanceType": "t3.micro", "SubnetId": network.subnets[0]}  # 2 vCPUs each
    with refused("VcpuLimitExceeded"):
        network.ec2.run_instances(**launch, MinCount=4, MaxCount=4)
    assert len(network.ec2.run_instances(**launch, MinCount=2, MaxCount=4)["Instances"]) == 3
    with refused("VcpuLimitExceeded"):
        network.launch()


def test_load_balancers_and_target_groups(network: Network, quotas: dict[str, float]) -> None:
    quotas |= {BALANCERS: 0, TARGET_GROUPS: 0}
    with refused("TooManyLoadBalancers"):
        network.balancer()
    with refused("TooManyTargetGroups"):
        network.target_group()


def test_they_can_be_read(network: Network, quotas: dict[str, float]) -> None:
    quotas |= {BALANCERS: 7, VPCS: 9}
    limits = {item["Name"]: item["Max"] for item in network.elb.describe_account_limits()["Limits"]}
    assert limits["application-load-balancers"] == "7"
    assert limits["target-groups"] == "3000", "AWS's default"
    found = client("service-quotas").get_service_quota(ServiceCode="vpc", QuotaCode=VPCS)
    assert found["Quota"]["Value"] == 9
    with refused("NoSuchResourceException"):
        client("service-quotas").get_service_quota(ServiceCode="ec2", QuotaCode=STANDARD_VCPUS)
