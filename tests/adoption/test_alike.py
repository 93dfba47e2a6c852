"""A plan of a spec that describes what runs, and that nobody adopted: it says what `adopt` would take over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from alb_reconcile.model.errors import RefusedError
from tests.adoption.adopting import RUNBOOK_NAMES, build_runbook, keeper, runbook
from tests.harness import demo
from tests.kinds.many import web

if TYPE_CHECKING:
    from tests.harness import World


def test_what_exists_and_nobody_owns_is_named_in_one_line() -> None:
    with keeper() as (world, keep):
        spec = web(2)
        world.converge(spec)
        keep.release(spec)
        (line,) = [text for text in world.plan(spec).warnings if "adopt" in text]
        assert line.startswith("vpc.main (vpc-")
        assert "load_balancer.public (demo-public-" in line
        assert "exist already, and no stack owns them: this plan makes new ones; alb-reconcile adopt spec.yaml" in line
        keep.adopt(spec)
        assert not [text for text in world.plan(spec).warnings if "adopt" in text]
        spec["stack"] = "other"
        spec["vpcs"]["main"]["name"] = "demo-main"
        assert not [text for text in world.plan(spec).warnings if "adopt" in text], "another stack's"


def test_a_name_that_aws_has_once_is_refused_with_both_ways_out() -> None:
    with keeper() as (world, _):
        ids = build_runbook(world, RUNBOOK_NAMES)
        with pytest.raises(RefusedError) as refused:
            world.plan(runbook())
        balancer = ids["load_balancer.main"]
        assert (
            f'"alb" belongs to {balancer}, which is outside this stack; alb-reconcile adopt spec.yaml takes it over; or'
            in str(refused.value)
        )
        world.client("elbv2").add_tags(
            ResourceArns=[balancer], Tags=[{"Key": "alb-reconcile:stack", "Value": "another"}]
        )
        with pytest.raises(RefusedError) as refused:
            world.plan(runbook())
        assert f'"alb" belongs to {balancer}, which is outside this stack; choose another name' in str(refused.value)


def test_a_group_that_lost_its_tags_is_refused_with_the_one_way_out() -> None:
    """Found: the create failed minutes later, and its advice, another name, builds a second group beside the one that serves."""
    with keeper() as (world, keep):
        spec = web(2)
        world.converge(spec)
        (group,) = world.client("elbv2").describe_target_groups()["TargetGroups"]
        arn, name = group["TargetGroupArn"], group["TargetGroupName"]
        world.client("elbv2").remove_tags(ResourceArns=[arn], TagKeys=["alb-reconcile:stack"])
        with pytest.raises(RefusedError) as refused:
            world.plan(spec)
        told = f"{name} is in this stack's VPC, and no stack owns it; alb-reconcile adopt spec.yaml takes it over"
        assert told in str(refused.value)
        (failure,) = [item for item in world.sync(spec).outcomes if item.how == "failed"]
        told = f'a target group named "{name}" exists outside this stack; alb-reconcile adopt spec.yaml takes it over'
        assert str(failure.error) == told
        keep.adopt(spec)
        assert world.plan(spec).is_empty


def test_an_instance_that_lost_its_tag_is_named() -> None:
    """Found: a second one was launched, and the first one ran on and cost, without a word."""
    with keeper() as (world, keep):
        spec = web(2)
        world.converge(spec)
        where = [{"Name": "tag:alb-reconcile:address", "Values": ["instance.web-1"]}]
        (found,) = world.client("ec2").describe_instances(Filters=where)["Reservations"]
        first = found["Instances"][0]["InstanceId"]
        world.client("ec2").delete_tags(Resources=[first], Tags=[{"Key": "alb-reconcile:stack"}])
        (line,) = [text for text in world.plan(spec).warnings if "adopt" in text]
        assert line.startswith(
            f"instance.web-1 ({first}) exists already, and no stack owns it: this plan makes new ones"
        )
        keep.adopt(spec)
        assert world.plan(spec).is_empty


def test_what_is_in_another_vpc_makes_doubt_whether_this_is_the_right_one() -> None:
    """Found: `plan` advised an `adopt` that then found nothing, since it looks in the stack's VPC only."""
    with keeper() as (world, keep):
        spec = web(2)
        world.converge(spec)
        keep.release(spec)
        cidr = spec["vpcs"]["main"]["cidr_block"]
        right = world.client("elbv2").describe_load_balancers()["LoadBalancers"][0]["VpcId"]
        wrong = world.client("ec2").create_vpc(CidrBlock=cidr)["Vpc"]["VpcId"]
        found = keep.adopt(spec, f"vpc.main={wrong}")
        for lines in (found.notes, world.plan(spec).warnings):
            (line,) = [text for text in lines if "exist" in text]
            assert line.startswith("load_balancer.public (demo-public-"), "what people know by name comes first"
            assert line.endswith(
                f"exist already in {right}, not in {wrong} (vpc.main), and no stack owns them: is that the right VPC?"
            )
        spec["load_balancers"]["public"]["name"] = "theirs"
        world.client("elbv2").create_load_balancer(Name="theirs", Subnets=_subnets_of(world, right))
        with pytest.raises(RefusedError) as refused:
            world.plan(spec)
        assert f"it is in {right}, not in {wrong} (vpc.main): is that the right VPC? Or choose" in str(refused.value)


def _subnets_of(world: World, vpc: str) -> list[str]:
    found = world.client("ec2").describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"]
    return [item["SubnetId"] for item in found]


def test_a_fresh_account_has_nothing_to_take_over() -> None:
    with keeper() as (world, _):
        assert not [text for text in world.plan(demo()).warnings if "adopt" in text]
