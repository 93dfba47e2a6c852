"""Functions as targets: what AWS refuses, and how their health is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.kinds.test_targets_by_function import ARN, make_function, permit
from tests.sandbox.strict_world import Network, refused, refuses

if TYPE_CHECKING:
    from alb_reconcile.sandbox.strict import VirtualClock


@pytest.fixture
def group(network: Network) -> str:
    made = network.elb.create_target_group(Name="function", TargetType="lambda")
    return str(made["TargetGroups"][0]["TargetGroupArn"])


def register(network: Network, group: str, function: str) -> None:
    network.elb.register_targets(TargetGroupArn=group, Targets=[{"Id": function}])


def test_a_function_without_permission_is_refused(network: Network, group: str) -> None:
    for source in (None, "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/other/*"):
        if source:
            permit("orders", source)
        else:
            make_function("orders")
        with refused("AccessDenied", "does not have permission to invoke", status=403):
            register(network, group, f"{ARN}orders")
    permit("orders", group, "ours")
    register(network, group, f"{ARN}orders")


def test_a_group_has_one_function(network: Network, group: str) -> None:
    for name in ("orders", "better"):
        make_function(name)
        permit(name, group)
    register(network, group, f"{ARN}orders")
    refuses("TooManyTargets: only one Lambda function", register, network, group, f"{ARN}better")
    network.elb.deregister_targets(TargetGroupArn=group, Targets=[{"Id": f"{ARN}orders"}])
    register(network, group, f"{ARN}better")


def test_a_function_is_checked_only_where_that_is_enabled(network: Network, group: str, clock: VirtualClock) -> None:
    make_function("orders")
    permit("orders", group)
    register(network, group, f"{ARN}orders")

    def health() -> tuple[str, str]:
        (found,) = network.elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        assert "Port" not in found["Target"]
        return found["TargetHealth"]["State"], found["TargetHealth"].get("Reason", "")

    assert health() == ("unused", "Target.NotInUse")
    network.listener(network.balancer(), group)
    clock.advance(120)
    assert health() == ("unavailable", "Target.HealthCheckDisabled")
    network.elb.modify_target_group(TargetGroupArn=group, HealthCheckEnabled=True)
    assert health()[0] == "initial"
    clock.advance(60)
    assert health() == ("healthy", "")


def test_its_only_attribute_is_how_headers_are_passed(network: Network, group: str) -> None:
    found = network.elb.describe_target_group_attributes(TargetGroupArn=group)["Attributes"]
    assert found == [{"Key": "lambda.multi_value_headers.enabled", "Value": "false"}]
    with refused("ValidationError", "is not recognized"):
        attribute = {"Key": "deregistration_delay.timeout_seconds", "Value": "5"}
        network.elb.modify_target_group_attributes(TargetGroupArn=group, Attributes=[attribute])


def test_a_statement_s_id_is_taken_once(network: Network, group: str) -> None:
    make_function("orders")
    permit("orders", group)
    with refused("ResourceConflictException", "already exists", status=409):
        permit("orders", group)
