"""A plan of a spec that describes what runs, and that nobody adopted: it says what `adopt` would take over."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.model.errors import RefusedError
from tests.adoption.adopting import RUNBOOK_NAMES, build_runbook, runbook
from tests.kinds.many import members, rows, web

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.adoption.adopting import Keeper
    from tests.harness import World
    from tests.properties.watched import WatchedWorld

pytestmark = pytest.mark.slow


def test_what_exists_and_nobody_owns_is_named_in_one_line(world: WatchedWorld, keep: Keeper) -> None:
    spec = web(2)
    world.converge(spec)
    keep.forget(spec)
    (line,) = [text for text in world.plan(spec).warnings if "adopt" in text]
    assert line.startswith("vpc.main (vpc-")
    assert "load_balancer.public (demo-public-" in line
    assert "exist already, and no stack owns them: this plan makes new ones; alb-reconcile adopt spec.yaml" in line
    keep.adopt(spec)
    assert not [text for text in world.plan(spec).warnings if "adopt" in text]
    spec["stack"] = "other"
    spec["vpcs"]["main"]["name"] = "demo-main"
    assert not [text for text in world.plan(spec).warnings if "adopt" in text], "another stack's"


def test_a_name_that_aws_has_once_is_refused_with_both_ways_out(world: WatchedWorld) -> None:
    ids = build_runbook(world, RUNBOOK_NAMES)
    with pytest.raises(RefusedError) as refused:
        world.plan(runbook())
    balancer = ids["load_balancer.main"]
    assert (
        f'"alb" belongs to {balancer}, which is outside this stack; alb-reconcile adopt spec.yaml takes it over; or'
        in str(refused.value)
    )
    world.client("elbv2").add_tags(ResourceArns=[balancer], Tags=[{"Key": "alb-reconcile:stack", "Value": "another"}])
    with pytest.raises(RefusedError) as refused:
        world.plan(runbook())
    assert f'"alb" belongs to {balancer}, which is outside this stack; choose another name' in str(refused.value)


@pytest.mark.parametrize("lost", ["security_group.main", "target_group.main", "vpc.main"])
def test_what_its_users_still_name_isnt_made_a_second_time(world: WatchedWorld, keep: Keeper, lost: str) -> None:
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
    assert {step.id for step in world.plan(spec).steps} <= {ids["vpc.main"]}, "its Name, which somebody took away, too"


def test_what_is_used_and_is_another_stacks_is_drift(world: WatchedWorld) -> None:
    """Somebody leads the listener to another stack's group, and deletes the own one: that is put right."""
    spec = web(2)
    world.converge(spec)
    elb = world.client("elbv2")
    (old,) = elb.describe_target_groups()["TargetGroups"]
    mine = [{"Key": "alb-reconcile:stack", "Value": "theirs"}]
    made = elb.create_target_group(Name="theirs", Protocol="HTTP", Port=80, VpcId=old["VpcId"], Tags=mine)
    listener = _listener(world)
    to = [{"Type": "forward", "TargetGroupArn": made["TargetGroups"][0]["TargetGroupArn"]}]
    elb.modify_listener(ListenerArn=listener["ListenerArn"], DefaultActions=to)
    elb.delete_target_group(TargetGroupArn=old["TargetGroupArn"])
    assert not world.sync(spec).selection.withheld
    assert world.plan(spec).is_empty


def test_a_nat_gateway_that_is_gone_is_made_again_though_a_route_still_names_it(world: WatchedWorld) -> None:
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


@pytest.mark.parametrize("kept", [("Name",), ("alb-reconcile:user-data",)])
def test_no_second_one_is_launched_beside_one_that_lost_its_tags(
    world: WatchedWorld, keep: Keeper, kept: tuple[str, ...]
) -> None:
    spec = web(2)
    world.converge(spec)
    ids = members(world)
    ec2 = world.client("ec2")
    (own,) = [row["Tags"] for row in rows(world) if row["InstanceId"] == ids["2"]]
    ec2.delete_tags(Resources=[ids["2"]], Tags=[{"Key": tag["Key"]} for tag in own if tag["Key"] not in kept])
    ending = world.sync(spec)
    assert not ending.outcomes
    assert f"alb-reconcile adopt spec.yaml instance.web-2={ids['2']} takes it over" in str(ending.selection.withheld)
    told = f"{ids['2']} is there already, at target_group.web, and no stack owns it; alb-reconcile adopt spec.yaml instance.web-2="
    assert told in str(world.plan(spec).warnings)
    keep.adopt(spec, f"instance.web-2={ids['2']}")
    world.converge(spec)
    assert members(world) == ids


@pytest.mark.parametrize("others", ["", "keep"])
def test_a_listener_that_lost_its_tags_isnt_deleted(world: WatchedWorld, keep: Keeper, others: str) -> None:
    spec = web(2)
    spec["load_balancers"]["public"] |= {"others": others} if others else {}
    spec["load_balancers"]["public"]["listeners"]["http"]["others"] = "keep"
    world.converge(spec)
    elb = world.client("elbv2")
    listener = _listener(world)
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


def test_rules_of_a_listener_that_is_kept_stay(world: WatchedWorld) -> None:
    spec = web(2)
    spec["load_balancers"]["public"]["others"] = "keep"
    world.converge(spec)
    elb = world.client("elbv2")
    own = _listener(world)
    for port, owner in (
        (8080, {"Key": "team", "Value": "theirs"}),
        (9090, {"Key": "alb-reconcile:stack", "Value": "theirs"}),
    ):
        where = {"LoadBalancerArn": own["LoadBalancerArn"], "Port": port, "Protocol": "HTTP"}
        made = elb.create_listener(DefaultActions=own["DefaultActions"], Tags=[owner], **where)
        elb.create_rule(Priority=50, **_elsewhere(made["Listeners"][0]))
    assert world.plan(spec).is_empty
    del spec["load_balancers"]["public"]["others"]
    (step,) = world.plan(spec, allow={"close": 1}).steps
    assert str(step.address) == "listener.public/:8080"
    assert [str(item) for item in step.also_deletes] == ["rule.8080/#50"]


def _listener(world: World) -> dict[str, Any]:
    """The only one there is."""
    elb = world.client("elbv2")
    (balancer,) = elb.describe_load_balancers()["LoadBalancers"]
    (found,) = elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    listener: dict[str, Any] = found
    return listener


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
