"""Installing and uninstalling: nothing leaks, nothing stays, several may ask at once, and dry runs do nothing."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import moto.settings
import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ec2.models.security_groups import SecurityGroupRule
from moto.ec2.responses import EC2Response

from alb_reconcile.sandbox.strict import StrictAws, VirtualClock
from alb_reconcile.sandbox.strict.world import World
from tests.sandbox.strict_world import IMAGE, REGION, Network, refused, refuses

if TYPE_CHECKING:
    from collections.abc import Callable

ANYTHING = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}


def test_everything_is_restored_even_after_a_failure(clock: VirtualClock) -> None:
    def settings() -> list[Any]:
        equals, checked = vars(SecurityGroupRule)["__eq__"], moto.settings.ENABLE_AMI_VALIDATION
        return [EC2Response.call_action, equals, os.environ.get("MOTO_ENABLE_AMI_VALIDATION"), checked]

    def fail() -> None:
        with StrictAws(clock=clock.now):
            assert EC2Response.call_action is not before[0]
            assert settings()[2:] == ["true", True]
            raise RuntimeError("x")

    before = settings()
    with pytest.raises(RuntimeError, match="x"):
        fail()
    assert settings() == before
    assert "call_action" not in vars(EC2Response)


def test_several_threads_may_ask_at_once(network: Network, ec2: Any) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda number: network.subnet(f"10.0.{number}.0/24", "us-east-1a"), range(10, 42)))
        list(pool.map(lambda subnet: ec2.delete_subnet(SubnetId=subnet), made))
    assert len(set(made)) == 32
    left = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [network.vpc]}])["Subnets"]
    assert {subnet["SubnetId"] for subnet in left} == set(network.subnets)


def test_the_inventory_sees_every_change_and_no_dry_run_makes_one(network: Network, aws: StrictAws) -> None:
    ec2, instance = network.ec2, network.running()
    ids, on = {"InstanceIds": [instance]}, {"Value": True}
    calls: list[tuple[Callable[..., object], dict[str, Any]]] = [
        (ec2.create_tags, {"Resources": [network.vpc], "Tags": [{"Key": "a", "Value": "b"}]}),
        (ec2.modify_instance_metadata_options, {"InstanceId": instance, "HttpTokens": "required"}),
        (ec2.modify_instance_attribute, {"InstanceId": instance, "DisableApiStop": on}),
        (ec2.modify_instance_attribute, {"InstanceId": instance, "DisableApiStop": {"Value": False}}),
        (ec2.run_instances, {"ImageId": IMAGE, "MinCount": 1, "MaxCount": 1, "SubnetId": network.subnets[0]}),
        (ec2.revoke_security_group_egress, {"GroupId": network.group, "IpPermissions": [ANYTHING]}),
        (ec2.stop_instances, ids),
        (ec2.terminate_instances, ids),
        (ec2.create_vpc, {"CidrBlock": "10.8.0.0/16"}),
        (ec2.delete_subnet, {"SubnetId": network.subnets[1]}),
    ]
    for call, params in calls:
        before = aws.inventory()
        refuses("DryRunOperation: would have succeeded", call, **params, DryRun=True)
        assert aws.inventory() == before
        call(**params)
        assert aws.inventory() != before


@pytest.mark.parametrize("dry", [True, False])
def test_what_the_caller_may_not_do(network: Network, aws: StrictAws, *, dry: bool) -> None:
    World(DEFAULT_ACCOUNT_ID, REGION).ledger.denied |= {"DeleteVpc", "CreateVpc"}
    before = aws.inventory()
    with refused("UnauthorizedOperation", status=403):
        network.ec2.delete_vpc(VpcId=network.vpc, DryRun=dry)
    with refused("UnauthorizedOperation", status=403):
        network.ec2.create_vpc(CidrBlock="10.8.0.0/16", DryRun=dry)
    assert aws.inventory() == before
    refuses("DryRunOperation", network.ec2.create_internet_gateway, DryRun=True)
