"""Alike instances of one subnet, which one call launches: few calls, and each member is who it should be."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID

from alb_reconcile.model import tags
from alb_reconcile.model.address import Address
from alb_reconcile.sandbox.strict.quotas import STANDARD_VCPUS
from alb_reconcile.sandbox.strict.world import World as Place
from tests.harness import Spec, World, demo, world
from tests.kinds.hand import Faults, calls

if TYPE_CHECKING:
    from collections.abc import Iterator

HOUR = 3700.0
"""After that terminated instances aren't shown any more."""


@pytest.fixture
def here() -> Iterator[World]:
    with world() as found:
        yield found


def web(count: int, version: str = "one", **more: Any) -> Spec:
    spec = demo()
    spec["instances"]["web"] |= {"count": count, "user_data": f"#!/bin/sh\nexec web-api {version}\n", **more}
    return spec


def rows(here: World) -> list[dict[str, Any]]:
    """All that lives, with the tags that say whose it is."""
    ec2 = here.client("ec2")
    alive = ec2.describe_instances(
        Filters=[{"Name": "instance-state-name", "Values": ["pending", "running", "stopped"]}]
    )
    return [item for reservation in alive["Reservations"] for item in reservation["Instances"]]


def members(here: World) -> dict[str, str]:
    """Who is where: instance ids by number. Raises AssertionError for two of one."""
    found = {}
    for item in rows(here):
        own = tags.own_tags(tags.from_list(item["Tags"]), item["AmiLaunchIndex"])
        number = own[tags.ADDRESS].removeprefix("instance.web-")
        assert number not in found, f"two of {number}"
        found[number] = item["InstanceId"]
    return found


def targets(here: World) -> Counter[str]:
    elb = here.client("elbv2")
    (group,) = elb.describe_target_groups()["TargetGroups"]
    told = elb.describe_target_health(TargetGroupArn=group["TargetGroupArn"])["TargetHealthDescriptions"]
    return Counter(item["TargetHealth"]["State"] for item in told)


def numbers(*, upto: int) -> set[str]:
    return {str(number) for number in range(1, upto + 1)}


def test_twelve_are_launched_by_two_calls_and_go_by_one(here: World) -> None:
    spec = web(12)
    spec["instances"]["web"]["root_volume"] = {"volume_size": 20}
    result = here.converge(spec)
    assert result.writes["run_instances"] == 2
    assert result.writes["register_targets"] == 1
    assert "create_tags" not in result.writes or result.writes["create_tags"] <= 1, result.writes
    assert members(here).keys() == numbers(upto=12)
    for item in rows(here):
        own = tags.own_tags(tags.from_list(item["Tags"]), item["AmiLaunchIndex"])
        assert result.rest is not None
        assert result.rest.ids[Address.parse(own[tags.ADDRESS])] == item["InstanceId"]
    subnets = {
        number: item["SubnetId"]
        for item in rows(here)
        for number, own in members(here).items()
        if own == item["InstanceId"]
    }
    assert len({subnets[str(number)] for number in range(1, 12, 2)}) == 1
    assert len(set(subnets.values())) == 2
    volumes = here.client("ec2").describe_volumes()["Volumes"]
    assert len(volumes) == 12
    assert all({"Key": tags.STACK, "Value": "demo"} in item["Tags"] for item in volumes)
    gone = here.destroy(spec).writes
    assert gone["terminate_instances"] == 1
    assert not here.client("ec2").describe_volumes()["Volumes"]


def test_a_copy_of_one_of_them_is_left_alone(here: World) -> None:
    """'Launch more like this' copies the tags: it has another token, and the launch index of another member."""
    here.converge(web(6))
    original = next(item for item in rows(here) if item["AmiLaunchIndex"] == 1)
    ours = members(here)
    here.client("ec2").run_instances(
        ImageId=original["ImageId"], InstanceType="t3.micro", MinCount=2, MaxCount=2, SubnetId=original["SubnetId"],
        TagSpecifications=[{"ResourceType": "instance", "Tags": original["Tags"]}],
    )  # fmt: skip
    here.clock.advance(60)
    assert here.plan(web(6)).is_empty
    assert set(here.plan(web(6)).ids.values()) >= set(ours.values())
    ids = [item["InstanceId"] for item in rows(here) if item["InstanceId"] not in ours.values()]
    assert len(ids) == 2
    here.client("ec2").terminate_instances(InstanceIds=ids)
    here.clock.advance(60)
    here.destroy(web(6))


def room(spec: Spec) -> Spec:
    """The demo in subnets that have room for 11, of which the load balancer takes some."""
    for name, number in (("public-a", 1), ("public-b", 2)):
        spec["subnets"][name]["cidr_block"] = f"10.0.{number}.0/28"
    return spec


def test_a_subnet_with_room_for_fewer_gets_those(here: World) -> None:
    result = here.apply(room(web(30)))
    failed = [text for text in result.failures if "instance.web" in text and ": failed: " in text]
    assert failed
    assert all("InsufficientFreeAddressesInSubnet" in text for text in failed), failed
    made = members(here)
    here.clock.advance(60)
    assert len(made) == 30 - len(failed)
    assert targets(here) == {"healthy": len(made)}
    assert len(calls(here, "run_instances")) == 4
    again = here.apply(room(web(30)))
    assert again.failures
    assert members(here) == made
    assert again.writes.get("run_instances", 0) == 2
    here.converge(room(web(len(made) // 2)), allow={"delete": 30})


@pytest.mark.parametrize("later", [0, 1200])
def test_a_quota_allows_fewer_and_then_more(here: World, later: float) -> None:
    """Also a moment later, when the rest of the launch may only not be shown yet."""
    quotas = Place(DEFAULT_ACCOUNT_ID, "us-east-1").ledger.quotas
    here.converge(web(0))
    faults = Faults(here)
    faults.refuse("get_service_quota", "AccessDeniedException", times=9)
    quotas[STANDARD_VCPUS] = 2 * 8
    result = here.apply(web(12))
    assert any("VcpuLimitExceeded" in text for text in result.failures)
    assert len(members(here)) == 8
    here.clock.advance(60)
    assert targets(here) == {"healthy": 8}
    assert faults.made["run_instances"] <= 4
    quotas.clear()
    here.clock.advance(later)
    faults.made.clear()
    before = members(here)
    result = here.converge(web(12))
    assert faults.made["run_instances"] <= 2
    assert members(here).keys() == numbers(upto=12)
    assert before.items() <= members(here).items()
    assert targets(here) == {"healthy": 12}
