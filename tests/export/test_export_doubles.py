"""Of several resources at an address of a stack, the one that `export` writes is the one that the next plan keeps."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.export.scope import ExportScope
from alb_reconcile.model.tags import STACK
from tests.export.exporting import exported, loaded, plain
from tests.harness import by_hand, demo
from tests.kinds.hand import Faults
from tests.kinds.many import HOUR
from tests.properties.test_gaps import in_another_network

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.properties.watched import WatchedWorld

OURS = [{"Name": f"tag:{STACK}", "Values": ["demo"]}]
ALLOWED = {"delete": 99, "delete-load-balancer": 1}
LATE = ("deregister_targets", "terminate_instances", "delete_listener", "delete_load_balancer", "delete_target_group")


def tagged(kind: str, row: dict[str, Any]) -> dict[str, Any]:
    return {"TagSpecifications": [{"ResourceType": kind, "Tags": row["Tags"]}]}


def copied_network() -> set[str]:
    """A network with the tags of the stack's own. More names it, but no load balancer is there."""
    ec2 = by_hand("ec2")
    (vpc,) = ec2.describe_vpcs(Filters=OURS)["Vpcs"]
    copy = ec2.create_vpc(CidrBlock=vpc["CidrBlock"], **tagged("vpc", vpc))["Vpc"]["VpcId"]
    subnet, _ = ec2.describe_subnets(Filters=OURS)["Subnets"]
    place = {"VpcId": copy, "AvailabilityZone": subnet["AvailabilityZone"], **tagged("subnet", subnet)}
    return {
        copy,
        *(ec2.create_subnet(CidrBlock=f"10.0.{number}.0/24", **place)["Subnet"]["SubnetId"] for number in range(9)),
    }


def add_listeners(load_balancer: str, group: str) -> None:
    answer = {"Type": "forward", "TargetGroupArn": group}
    for port in (8080, 8081, 8082):
        by_hand("elbv2").create_listener(
            LoadBalancerArn=load_balancer, Protocol="HTTP", Port=port, DefaultActions=[answer]
        )


def copied_load_balancer() -> set[str]:
    """One with the tags of the stack's own, and with more listeners."""
    elb = by_hand("elbv2")
    (old,) = elb.describe_load_balancers()["LoadBalancers"]
    (told,) = elb.describe_tags(ResourceArns=[old["LoadBalancerArn"]])["TagDescriptions"]
    subnets = [zone["SubnetId"] for zone in old["AvailabilityZones"]]
    made = elb.create_load_balancer(
        Name="copy", Subnets=subnets, SecurityGroups=old["SecurityGroups"], Tags=told["Tags"]
    )
    arn = made["LoadBalancers"][0]["LoadBalancerArn"]
    other = elb.create_target_group(Name="theirs", Protocol="HTTP", Port=80, VpcId=old["VpcId"])["TargetGroups"][0]
    add_listeners(arn, other["TargetGroupArn"])
    return {arn}


@pytest.mark.parametrize("copied", [copied_network, copied_load_balancer])
def test_of_a_copy_by_hand_nothing_is_written_and_the_next_plan_deletes_it(
    world: WatchedWorld, tmp_path: Path, copied: Callable[[], set[str]]
) -> None:
    world.converge(demo())
    before = plain(exported(world, ExportScope(stack="demo"), tmp_path))
    copies = copied()
    world.clock.advance(HOUR)
    found = exported(world, ExportScope(stack="demo"), tmp_path)
    assert plain(found) == before
    assert {text.rpartition(" ")[2] for text in found.problems if "exists twice" in text} == copies
    plan = world.plan(loaded(found, tmp_path), allow=ALLOWED)
    assert {(step.action, step.id) for step in plan.steps if not step.part_of} == {("delete", key) for key in copies}


@pytest.mark.slow
def test_all_that_is_written_is_in_the_network_that_stays(world: WatchedWorld, tmp_path: Path) -> None:
    """A move to another network was cut short. More names the new network, and more the load balancer and the target group in the old one."""
    world.converge(demo())
    elb, ec2 = by_hand("elbv2"), by_hand("ec2")
    (old,) = elb.describe_load_balancers()["LoadBalancers"]
    (group,) = elb.describe_target_groups()["TargetGroups"]
    faults = Faults(world)
    for call in LATE:
        faults.refuse(call, "AccessDenied", times=99)
    allowed = {**ALLOWED, "replace": 99, "replace-load-balancer": 1}
    assert world.apply(in_another_network(demo()), allow=allowed).failures
    faults.refusals.clear()
    add_listeners(old["LoadBalancerArn"], group["TargetGroupArn"])
    (row,) = ec2.describe_subnets(Filters=[{"Name": "cidr-block", "Values": ["10.1.1.0/24"]}])["Subnets"]
    for number in (8, 9):
        ec2.create_subnet(VpcId=row["VpcId"], CidrBlock=f"10.1.{number}.0/24", **tagged("subnet", row))
    world.clock.advance(HOUR)
    found = exported(world, ExportScope(stack="demo"), tmp_path)
    assert plain(found)["vpcs"]["main"]["cidr_block"] == "10.1.0.0/16"
    assert not re.findall(r"(?:vpc|subnet|sg|i)-[0-9a-f]{17}", str(plain(found)))
    plan = world.plan(loaded(found, tmp_path), allow=allowed)
    assert {step.action for step in plan.steps} == {"delete"}
