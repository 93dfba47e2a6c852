"""AWS that throttles, or doesn't answer for a while: a run waits for it, and ends only when it lasts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.model.errors import AwsError
from alb_reconcile.sandbox.strict import Timing
from tests.harness import demo, world
from tests.kinds.hand import edited
from tests.kinds.test_load_balancer import ACLS, make_web_acls
from tests.kinds.test_log_bucket import logging
from tests.kinds.test_nat_gateway import ZONAL
from tests.kinds.test_ranges import DUAL, SECONDARY
from tests.kinds.test_rule import rule
from tests.kinds.test_security_group import ALONE as GROUP
from tests.kinds.test_subnet import ALONE as SUBNET
from tests.kinds.test_vpc import ALONE as VPC
from tests.kinds.test_vpc_endpoint import ssm

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.harness import Spec
    from tests.kinds.hand import Faults, Hand


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


UNKNOWN: dict[str, Spec] = {
    "vpc": edited(VPC, "vpcs/main/enable_dns_hostnames", True),
    "vpc with further ranges": SECONDARY,
    "vpc with ipv6": DUAL,
    "subnet": SUBNET,
    "security_group": edited(GROUP, "security_groups/web/ingress", [{"protocol": "all", "security_group": "web"}]),
    "nat_gateway": ZONAL,
    "vpc_endpoint": ssm(private_dns_enabled=True),
}


@pytest.mark.parametrize("kind", UNKNOWN)
def test_new_ids_may_be_unknown_for_a_while(hand: Hand, kind: str) -> None:
    hand.world.strict.reference_lag = 20.0
    hand.make(UNKNOWN[kind])


@pytest.mark.parametrize("operation", ["run_instances", "register_targets", "create_vpc", "create_listener"])
def test_a_change_that_is_throttled_is_made_later_and_once(hand: Hand, faults: Faults, operation: str) -> None:
    faults.refuse(operation, "Throttling", "Rate exceeded", times=6)
    hand.make(demo())
    assert len(hand.ec2.describe_vpcs(Filters=[{"Name": "tag-key", "Values": ["alb-reconcile:stack"]}])["Vpcs"]) == 1


def test_a_load_balancer_that_is_not_shown_yet(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    real, refused = hand.world._call, list[str]()

    def call(service: str, operation: str, params: Mapping[str, Any]) -> Any:
        if params.get("LoadBalancerArns") and len(refused) < 3:
            refused.append(operation)
            raise AwsError(service, operation, "LoadBalancerNotFound", "not found", "req-1")
        return real(service, operation, params)

    monkeypatch.setattr(hand.world, "_call", call)
    hand.make(demo())
    assert len(refused) == 3


def test_what_was_made_a_moment_ago_may_be_unknown(hand: Hand) -> None:
    hand.make(demo())
    spec = demo()
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILmQbJ5nW2fJ0d2S1bZ1m8y0sWgkq6b1vFv0kq0v1o8K somebody@example"
    spec["key_pairs"] = {"ops": {"public_key": key}}
    spec["instance_profiles"] = {"web": {"managed_policies": ["AmazonSSMManagedInstanceCore"]}}
    spec["instances"]["web"] |= {"count": 4, "name": "shop-web", "key_name": "ops", "iam_instance_profile": "web"}
    hand.world.strict.reference_lag = 20.0
    hand.make(spec)
    assert {"run_instances", "create_tags"} <= hand.world.denial.calls.keys()


def test_bare_metal_takes_its_time(hand: Hand) -> None:
    spec = edited(demo(), "instances/web/instance_type", "c5.metal")
    spec["instances"]["web"] |= {"type_change": "in-place", "rollout": {"max_unavailable": 1}}
    hand.make(spec)
    hand.make(edited(spec, "instances/web/instance_type", "t3.micro"))


def test_another_instance_that_never_runs_is_told_after_ten_minutes() -> None:
    with world(Timing(pending=3600)) as here:
        began = here.clock.now()
        failures = here.apply(demo()).failures
        assert here.clock.now() - began < 900
        assert sum("waited 600 s for: i-" in text and "to be running (now pending)" in text for text in failures) == 2


def test_a_wait_without_any_answer_says_what_it_was_for(hand: Hand) -> None:
    spec = edited(rolled(), "instances/web/rollout", {"health_timeout": "2m"})
    hand.make(edited(spec, "instances/web/user_data", "#!/bin/sh\nexec web-api\n"))
    real, registered = hand.world._call, list[float]()

    def call(service: str, operation: str, params: Mapping[str, Any]) -> Any:
        now = hand.world.clock.now()
        if operation == "register_targets":
            registered.append(now)
        elif operation == "describe_target_health" and registered and now < registered[0] + 200:
            raise AwsError(service, operation, "Throttling", "Rate exceeded", "req-1")
        return real(service, operation, params)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hand.world, "_call", call)
        waits = [text for text in hand.world.apply(spec).failures if "waited" in text]
    assert waits
    assert all("waited 150 s for: a first answer about i-" in text for text in waits), waits


@pytest.mark.parametrize(
    ("operation", "code"), [("create_subnet", "RequestLimitExceeded"), ("create_target_group", "Throttling")]
)
def test_throttling_that_lasts_is_told_as_such(hand: Hand, faults: Faults, operation: str, code: str) -> None:
    faults.refuse(operation, code, "Rate exceeded", times=10_000)
    (text, *_) = [item for item in hand.world.apply(demo()).failures if code in item]
    assert "throttles this account's calls" in text
    assert "quota" not in text
