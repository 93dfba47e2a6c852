"""Instances without public addresses, behind a load balancer, with a NAT gateway in each zone: their changes cost no request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.load.specs import private

if TYPE_CHECKING:
    from tests.load.stage import Stage


def test_a_private_stack_is_rolled(hasty: Stage) -> None:
    """Then its NAT gateways are replaced, with other addresses, and it is rolled back after that."""
    with hasty.under_load(private(version="first"), around=80) as proof:
        hasty.apply(private(version="second"))
        hasty.apply(private(version="second", addresses="other"), "--allow", "delete-elastic-ip=2")
        hasty.apply(private(version="first", addresses="other"))
        hasty.apply(private(version="second", addresses="other"))
    proof.holds(least=2)
    proof.moves("first", "second")
    assert all("PublicIpAddress" not in item for item in instances(hasty))
    hasty.is_settled(private(version="second", addresses="other"))


def instances(stage: Stage) -> list[dict[str, object]]:
    """Those of the stack that run, as AWS shows them."""
    wanted = {"tag:alb-reconcile:stack": "private", "instance-state-name": "running"}
    filters = [{"Name": name, "Values": [value]} for name, value in wanted.items()]
    found = stage.account.ec2.describe_instances(Filters=filters)["Reservations"]
    return [item for reservation in found for item in reservation["Instances"]]
