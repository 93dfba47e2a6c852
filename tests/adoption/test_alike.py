"""A plan of a spec that describes what runs, and that nobody adopted: it says what `adopt` would take over."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.model.errors import RefusedError
from tests.adoption.adopting import RUNBOOK_NAMES, build_runbook, keeper, runbook
from tests.at_length import at_length
from tests.harness import demo
from tests.kinds.many import members, rows, web

if TYPE_CHECKING:
    from collections.abc import Mapping

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
        arn = group["TargetGroupArn"]
        world.client("elbv2").remove_tags(ResourceArns=[arn], TagKeys=["alb-reconcile:stack"])
        with pytest.raises(RefusedError) as refused:
            world.plan(spec)
        told = f"and no stack owns it; alb-reconcile adopt spec.yaml target_group.web={arn}"
        assert told in str(refused.value)
        ending = world.sync(spec)
        assert not ending.outcomes
        assert f"adopt spec.yaml target_group.web={arn} takes it over" in str(ending.selection.withheld)
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
        told = f"{first} is there already, at target_group.web, and no stack owns it; alb-reconcile adopt spec.yaml instance.web-1={first} takes"
        assert told in line
        keep.adopt(spec)
        assert world.plan(spec).is_empty


@pytest.mark.parametrize("lost", ["security_group.main", *at_length("target_group.main", "vpc.main")])
def test_what_its_users_still_name_isnt_made_a_second_time(lost: str) -> None:
    """Found: of a stack that was made by hand, whose names are its own, `sync` built a second group and security group, and
    moved the instances and listeners over, without a word of the old ones."""
    with keeper() as (world, keep):
        ids = build_runbook(world, {})
        spec = runbook()
        for room in ("target_groups", "security_groups"):
            del spec[room]["main"]["name"]
        chosen = ("vpc.main", "security_group.main", "instance.web-a-1", "instance.web-b-1")
        keep.adopt(spec, *(f"{name}={ids[name]}" for name in chosen))
        world.converge(spec)
        _forget(world, ids[lost])
        with pytest.raises(RefusedError, match=f"alb-reconcile adopt spec.yaml {lost}={ids[lost]} takes it over"):
            world.plan(spec)
        ending = world.sync(spec)
        assert not ending.outcomes
        assert f"alb-reconcile adopt spec.yaml {lost}={ids[lost]}" in str(ending.selection.withheld)
        keep.adopt(spec, f"{lost}={ids[lost]}")
        assert {step.id for step in world.plan(spec).steps} <= {ids["vpc.main"]}, (
            "its Name, which somebody took away, too"
        )


def test_what_is_used_and_is_another_stacks_is_drift() -> None:
    """Somebody leads the listener to another stack's group, and deletes the own one: that is put right."""
    with keeper() as (world, _):
        spec = web(2)
        world.converge(spec)
        elb = world.client("elbv2")
        (old,) = elb.describe_target_groups()["TargetGroups"]
        mine = [{"Key": "alb-reconcile:stack", "Value": "theirs"}]
        made = elb.create_target_group(Name="theirs", Protocol="HTTP", Port=80, VpcId=old["VpcId"], Tags=mine)
        (balancer,) = elb.describe_load_balancers()["LoadBalancers"]
        (listener,) = elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
        to = [{"Type": "forward", "TargetGroupArn": made["TargetGroups"][0]["TargetGroupArn"]}]
        elb.modify_listener(ListenerArn=listener["ListenerArn"], DefaultActions=to)
        elb.delete_target_group(TargetGroupArn=old["TargetGroupArn"])
        assert not world.sync(spec).selection.withheld
        assert world.plan(spec).is_empty


def test_a_nat_gateway_that_is_gone_is_made_again_though_a_route_still_names_it() -> None:
    with keeper() as (world, _):
        spec = web(2)
        spec["elastic_ips"] = {"out": {}}
        spec["nat_gateways"] = {"main": {"subnet": "public-a", "elastic_ip": "out"}}
        spec["route_tables"]["out"] = {
            "subnets": [],
            "routes": [{"destination_cidr_block": "0.0.0.0/0", "nat_gateway": "main"}],
        }
        world.converge(spec)
        ec2 = world.client("ec2")
        (gateway,) = ec2.describe_nat_gateways()["NatGateways"]
        ec2.delete_nat_gateway(NatGatewayId=gateway["NatGatewayId"])
        world.clock.advance(600)
        assert not world.sync(spec).selection.withheld
        assert world.plan(spec).is_empty


@pytest.mark.parametrize(
    "kept", [("Name",), *at_length(("alb-reconcile:user-data",), ("Name", "alb-reconcile:address"))]
)
def test_sync_launches_no_second_one_beside_a_member_that_lost_its_tags(kept: tuple[str, ...]) -> None:
    """Found: it launched one, and took the first out of the group, which ran on and cost."""
    with keeper() as (world, keep):
        spec = web(2)
        world.converge(spec)
        ids = members(world)
        ec2 = world.client("ec2")
        (own,) = [row["Tags"] for row in rows(world) if row["InstanceId"] == ids["2"]]
        ec2.delete_tags(Resources=[ids["2"]], Tags=[{"Key": tag["Key"]} for tag in own if tag["Key"] not in kept])
        ending = world.sync(spec)
        assert not ending.outcomes
        assert f"alb-reconcile adopt spec.yaml instance.web-2={ids['2']} takes it over" in str(
            ending.selection.withheld
        )
        assert f"alb-reconcile adopt spec.yaml instance.web-2={ids['2']}" in str(world.plan(spec).warnings)
        keep.adopt(spec, f"instance.web-2={ids['2']}")
        world.converge(spec)
        assert members(world) == ids


@pytest.mark.parametrize("others", ["", "keep"])
def test_a_listener_that_lost_its_tags_is_neither_deleted_nor_stood_in_the_way_of(others: str) -> None:
    """Found: `apply` deleted it with a neighbour's rule in it; where others' are kept it deleted the rule, and then failed."""
    with keeper() as (world, keep):
        spec = web(2)
        spec["load_balancers"]["public"] |= {"others": others} if others else {}
        spec["load_balancers"]["public"]["listeners"]["http"]["others"] = "keep"
        world.converge(spec)
        elb = world.client("elbv2")
        (balancer,) = elb.describe_load_balancers()["LoadBalancers"]
        (listener,) = elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
        arn = listener["ListenerArn"]
        elb.create_rule(Priority=50, **_elsewhere(listener))
        _forget(world, arn)
        told = f"{arn} is there already, at load_balancer.public, and no stack owns it; alb-reconcile adopt spec.yaml listener.public/http={arn}"
        with pytest.raises(RefusedError, match=re.escape(told)):
            world.plan(spec, allow={"delete": 9, "replace": 9})
        spec["sync"] = {"correct": ["create", "update", "delete", "replace"]}
        ending = world.sync(spec)
        assert not ending.outcomes
        assert "adopt spec.yaml listener.public/http=" in str(ending.selection.withheld)
        keep.adopt(spec)
        world.converge(spec)
        assert len(elb.describe_rules(ListenerArn=arn)["Rules"]) == 2


def test_rules_of_a_listener_that_is_kept_stay() -> None:
    """Found: they were deleted, since no entry says what is kept in it."""
    with keeper() as (world, _):
        spec = web(2)
        spec["load_balancers"]["public"]["others"] = "keep"
        world.converge(spec)
        elb = world.client("elbv2")
        (balancer,) = elb.describe_load_balancers()["LoadBalancers"]
        (own,) = elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
        for port, owner in (
            (8080, {"Key": "team", "Value": "theirs"}),
            (9090, {"Key": "alb-reconcile:stack", "Value": "theirs"}),
        ):
            where = {"LoadBalancerArn": balancer["LoadBalancerArn"], "Port": port, "Protocol": "HTTP"}
            made = elb.create_listener(DefaultActions=own["DefaultActions"], Tags=[owner], **where)
            elb.create_rule(Priority=50, **_elsewhere(made["Listeners"][0]))
        assert world.plan(spec).is_empty
        del spec["load_balancers"]["public"]["others"]
        (step,) = world.plan(spec, allow={"close": 1}).steps
        assert str(step.address) == "listener.public/:8080"
        assert [str(item) for item in step.also_deletes] == ["rule.8080/#50"]


def _elsewhere(listener: Mapping[str, Any]) -> dict[str, Any]:
    """A rule of a listener that leads another path where its default action leads."""
    conditions = [{"Field": "path-pattern", "Values": ["/x"]}]
    return {"ListenerArn": listener["ListenerArn"], "Conditions": conditions, "Actions": listener["DefaultActions"]}


def _forget(world: World, known: str) -> None:
    """Take all tags of this tool's away, by hand."""
    if not known.startswith("arn:"):
        own = world.client("ec2").describe_tags(Filters=[{"Name": "resource-id", "Values": [known]}])["Tags"]
        world.client("ec2").delete_tags(Resources=[known], Tags=[{"Key": tag["Key"]} for tag in own])
        return
    (found,) = world.client("elbv2").describe_tags(ResourceArns=[known])["TagDescriptions"]
    world.client("elbv2").remove_tags(ResourceArns=[known], TagKeys=[tag["Key"] for tag in found["Tags"]])


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
