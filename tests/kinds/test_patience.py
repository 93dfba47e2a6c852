"""AWS that throttles, or doesn't answer for a while: a run waits for it, and ends only when it lasts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.harness import demo
from tests.kinds.hand import edited
from tests.kinds.test_load_balancer import ACLS, make_web_acls
from tests.kinds.test_log_bucket import logging
from tests.kinds.test_rule import rule

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.kinds.hand import Faults, Hand

pytestmark = pytest.mark.slow


def rolled() -> Spec:
    spec = demo()
    spec["instances"]["web"]["user_data"] = "#!/bin/sh\nexec web-api two\n"
    return spec


@pytest.mark.parametrize(
    ("operation", "after", "code"),
    [
        ("describe_instances", "run_instances", "Throttling"),
        ("describe_target_health", "register_targets", "RequestLimitExceeded"),
        ("describe_load_balancers", "create_listener", "InternalFailure"),
    ],
)
def test_a_poll_survives(hand: Hand, faults: Faults, operation: str, after: str, code: str) -> None:
    faults.refuse(operation, code, times=5, after=after)
    hand.make(demo())
    faults.refuse(operation, code, times=5, after=after)
    hand.make(rolled())


@pytest.mark.parametrize(
    ("operation", "code", "made"),
    [
        ("create_load_balancer", "InvalidSubnet: VPC has no internet gateway", 3),
        ("create_listener", "LoadBalancerNotFound", 3),
        ("create_listener", "TargetGroupNotFound", 3),
        ("create_listener", "CertificateNotFound", 3),
        ("create_rule", "ListenerNotFound", 4),
        ("create_rule", "TargetGroupNotFound", 4),
        ("register_targets", "InvalidTarget: not in a running state", 3),
        ("associate_route_table", "InvalidRouteTableID.NotFound", 4),
        ("associate_route_table", "InvalidSubnetID.NotFound", 4),
        ("authorize_security_group_ingress", "InvalidGroup.NotFound", 4),
        ("associate_web_acl", "WAFUnavailableEntityException", 3),
        ("modify_load_balancer_attributes", "InvalidConfigurationRequest: Access Denied for bucket: x. Please", 3),
        ("delete_vpc", "DependencyViolation", 3),
        ("delete_subnet", "DependencyViolation", 4),
        ("delete_security_group", "DependencyViolation", 4),
        ("delete_security_group", "InvalidGroup.InUse", 4),
        ("delete_route_table", "DependencyViolation", 3),
        ("delete_target_group", "ResourceInUse", 3),
    ],
)
def test_what_aws_does_not_take_yet_is_asked_for_again(
    hand: Hand, faults: Faults, operation: str, code: str, made: int
) -> None:
    make_web_acls()
    code, _, message = code.partition(": ")
    faults.refuse(operation, code, message, times=2)
    spec = edited(logging(), "load_balancers/public/web_acl", ACLS[0])
    spec["load_balancers"]["public"]["listeners"]["http"]["rules"] = {"a": rule(10, "/a/*"), "b": rule(20, "/b/*")}
    hand.make(spec)
    hand.world.destroy(spec)
    assert faults.made[operation] == made
