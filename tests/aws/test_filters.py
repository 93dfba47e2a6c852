"""EC2 takes 200 values of filters in a call; whoever asks for more gets the answers of several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.harness import world

if TYPE_CHECKING:
    from alb_reconcile.aws.client import Aws


@pytest.mark.parametrize("count", [1, 200, 201, 500])
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
