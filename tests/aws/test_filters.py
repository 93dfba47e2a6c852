"""Filters: EC2 takes 200 values in a call, and who asks for more gets the answers of several. Regions and their partitions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.aws.partitions import main_region_of, partition_of
from alb_reconcile.spec.schema import resolved
from tests.harness import world

if TYPE_CHECKING:
    from alb_reconcile.aws.client import Aws


@pytest.mark.parametrize("count", [1, 200, 500])
def test_more_values_than_a_call_takes(count: int) -> None:
    with world() as here:
        ec2 = here.client("ec2")
        vpcs = [ec2.create_vpc(CidrBlock=f"10.{number}.0.0/16")["Vpc"]["VpcId"] for number in range(2)]
        wanted = [vpcs[0], *(f"vpc-{number:017x}" for number in range(count - 1))]

        async def main(aws: Aws) -> list[Any]:
            where: dict[str, list[str] | str] = {"vpc-id": wanted, "state": "available"}
            return await aws.pages("ec2", "describe_vpcs", "Vpcs", where=where)

        assert [item["VpcId"] for item in here._run(main)] == [vpcs[0]]
        assert len(here.log) == -(-count // 199)


def test_all_regions_of_a_partition_have_one_main_region_in_it() -> None:
    """A lock that is named by it can be broken with the credentials of that partition."""
    regions = resolved("stack")["properties"]["region"]["examples"]
    mains: dict[str, set[str]] = {}
    for region in regions:
        main = main_region_of(region)
        assert main in regions
        assert partition_of(main) == partition_of(region)
        mains.setdefault(partition_of(region), set()).add(main)
    assert {len(found) for found in mains.values()} == {1}
    assert mains["aws-cn"] == {"cn-north-1"}
